package main

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// notifySocket is a service manager's socket, at a path short enough for one.
func notifySocket(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "socket")
}

// told returns the next message to the service manager.
func told(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	message := make([]byte, 4096)
	n, err := conn.Read(message)
	if err != nil {
		t.Fatal(err)
	}
	return string(message[:n])
}

func TestDaemon_tellsServiceManager(t *testing.T) {
	t.Parallel()
	path, configPath := socketPath(t), filepath.Join(t.TempDir(), "partnersync.yaml")
	if err := os.WriteFile(configPath, []byte(defaultConfig+"listen: \"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	manager := notifySocket(t, path)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	exit := make(chan int, 1)
	var stderr bytes.Buffer
	go func() {
		// It waits for its database, and is ready nevertheless.
		env := withoutServers()
		env["NOTIFY_SOCKET"], env["WATCHDOG_USEC"], env["WATCHDOG_PID"] = path, "20000", strconv.Itoa(os.Getpid())
		exit <- run(ctx, []string{"--config", configPath}, env.lookup, strings.NewReader(""), &stderr, &stderr)
	}()
	if got := told(t, manager); got != "READY=1" {
		t.Errorf("first it said %q", got)
	}
	for range 2 {
		if got := told(t, manager); got != "WATCHDOG=1" {
			t.Errorf("then it said %q", got)
		}
	}
	stop()
	said := told(t, manager)
	for said == "WATCHDOG=1" { // until it noticed
		said = told(t, manager)
	}
	if said != "STOPPING=1" {
		t.Errorf("at the end it said %q", said)
	}
	if code := <-exit; code != exitOK {
		t.Errorf("it ended with %d: %s", code, &stderr)
	}
}

func TestNotifier_thatEndsByItselfIsStopping(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	manager := notifySocket(t, path)
	stop := notifier{socket: path}.start(t.Context(), slog.New(slog.DiscardHandler))
	stop()
	for _, want := range []string{"READY=1", "STOPPING=1"} {
		if got := told(t, manager); got != want {
			t.Errorf("it said %q, want %q", got, want)
		}
	}
}

func TestNotifier_abstractSocket(t *testing.T) {
	t.Parallel()
	name := "@partnersync-test-" + strconv.Itoa(os.Getpid())
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Skip("there are no abstract sockets here:", err)
	}
	defer conn.Close()
	if err := (notifier{socket: name}).tell("READY=1"); err != nil {
		t.Fatal(err)
	}
	if got := told(t, conn); got != "READY=1" {
		t.Errorf("it said %q", got)
	}
}

func TestNotifier_goneManagerIsLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	notifier{socket: socketPath(t)}.start(t.Context(), slog.New(slog.NewTextHandler(&log, nil)))()
	for _, want := range []string{"level=WARN", "not told that partnersync is ready", "telling READY=1 to NOTIFY_SOCKET"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("there is no %q in %s", want, &log)
		}
	}
}

func TestNewNotifier(t *testing.T) {
	t.Parallel()
	self := strconv.Itoa(os.Getpid())
	tests := []struct {
		name string
		env  environment
		want notifier
	}{
		{"no service manager", environment{}, notifier{}},
		{"no watchdog", environment{"NOTIFY_SOCKET": "/run/n"}, notifier{socket: "/run/n"}},
		{"watchdog", environment{"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "1000000"}, notifier{"/run/n", time.Second}},
		{"watchdog of this process", environment{"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": self}, notifier{watchdog: time.Second}},
		{"watchdog of another process", environment{"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1" + self}, notifier{}},
		{"watchdog that is none", environment{"WATCHDOG_USEC": "soon"}, notifier{}},
		{"watchdog of no time", environment{"WATCHDOG_USEC": "0"}, notifier{}},
		{"watchdog that overflows", environment{"WATCHDOG_USEC": "9223372036854775807"}, notifier{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := newNotifier(tt.env.lookup); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
