// Partnercenter-emulator serves an emulated Partner Center API with invented customers, device batches, devices and
// configuration policies on a port: for trying out partnersync without an account, and for tests in other
// languages. It prints the configuration with which partnersync reads from it, and runs until it is interrupted:
//
//	partnercenter-emulator --listen 127.0.0.1:8470 --customers 3 --batches 4 --devices 20
//
// Batches progress while one watches, something each --pace. Everything is in memory, and the same --seed invents the
// same data. A clock faster than real time (--speed) gives dates that have not come yet.
//
// Exit codes: 0 after SIGINT or SIGTERM, 1 if it cannot serve, 2 for wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"partnersync/sync/partnercenter/partnercentertest"
)

// stopTimeout is how long pending requests may take to finish.
const stopTimeout = 5 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}

// run is the program, until ctx ends. It reads neither the environment nor stdin.
func run(ctx context.Context, args []string, _ func(string) string, _ io.Reader, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.listen)
	if err != nil {
		logger.Error("emulator could not start", "err", err)
		return 1
	}
	fmt.Fprint(stdout, snippet(o, listener.Addr()))
	if err := serve(ctx, listener, newEmulator(o)); err != nil {
		logger.Error("emulator stopped", "err", err)
		return 1
	}
	return 0
}

// serve answers requests until ctx ends, and then lets pending ones finish.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		server.Close()
	}
	<-served
	return nil
}

// newEmulator returns an emulator that starts now, with its customers and faults.
func newEmulator(o options) *partnercentertest.Emulator {
	e := partnercentertest.New(partnercentertest.Options{
		Start:         time.Now(),
		Speed:         o.speed,
		TenantID:      o.tenant,
		ClientID:      o.clientID,
		ClientSecret:  o.clientSecret,
		TokenLifetime: o.tokenLifetime,
	})
	e.Seed(partnercentertest.SeedOptions{
		Customers: o.customers, Batches: o.batches, Devices: o.devices, Seed: o.seed, Pace: o.pace,
	})
	if o.faultRate > 0 {
		// The second fault sees what the first one let through, and hits as many requests.
		half := o.faultRate / 2
		e.Fail(partnercentertest.Fault{Path: "^/v1/", Share: half, Status: http.StatusServiceUnavailable})
		e.Fail(partnercentertest.Fault{
			Path: "^/v1/", Share: half / (1 - half), Status: http.StatusTooManyRequests, RetryAfter: "1",
		})
	}
	return e
}

// snippet returns the configuration with which partnersync reads from the emulator at addr.
func snippet(o options, addr net.Addr) string {
	base := "http://" + reachable(addr)
	return fmt.Sprintf(`partners:
  - name: emulator
    tenant_id: %s
    client_id: %s
    client_secret: %s
    api_url: %s
    authority_url: %s
`, quote(o.tenant), quote(o.clientID), quote(o.clientSecret), quote(base), quote(base))
}

// reachable returns the host and port under which a client on this machine finds addr.
func reachable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}
	return net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))
}

// quote returns a value as YAML, in which partnersync finds no variable to replace.
func quote(s string) string {
	return strconv.Quote(strings.ReplaceAll(s, "$", "$$"))
}
