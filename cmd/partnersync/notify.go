package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"
)

// notifier tells the service manager that started this process how it is, as sd_notify(3) says. One without a socket
// tells nobody.
type notifier struct {
	socket   string        // the path of a Unix datagram socket; one that begins with @ is abstract
	watchdog time.Duration // how long the service manager waits for a sign of life; 0: it does not
}

// newNotifier reads what the service manager has put in the environment.
func newNotifier(lookupEnv func(string) (string, bool)) notifier {
	var n notifier
	n.socket, _ = lookupEnv("NOTIFY_SOCKET")
	timeout, _ := lookupEnv("WATCHDOG_USEC")
	pid, forOne := lookupEnv("WATCHDOG_PID")
	µs, err := strconv.ParseInt(timeout, 10, 64)
	if err != nil || µs <= 0 || µs > int64(24*time.Hour/time.Microsecond) || forOne && pid != strconv.Itoa(os.Getpid()) {
		return n
	}
	n.watchdog = time.Duration(µs) * time.Microsecond
	return n
}

// start says that the daemon is ready, that it is alive as often as the watchdog asks for, and that it is stopping once
// ctx is done. The stop that it returns ends that, and waits until all is said.
//
// Ready means that the configuration is in order: a daemon that waits for its database is at work, and one that was
// restarted for it would only begin anew to wait.
func (n notifier) start(ctx context.Context, log *slog.Logger) (stop func()) {
	if n.socket == "" {
		return func() {}
	}
	if err := n.tell("READY=1"); err != nil {
		log.Warn("the service manager is not told that partnersync is ready", "err", err)
	}
	ended, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		n.watch(ctx, ended, log)
	}()
	return func() {
		close(ended)
		<-over
	}
}

// watch says what there is to say until ended is closed.
func (n notifier) watch(ctx context.Context, ended <-chan struct{}, log *slog.Logger) {
	var alive <-chan time.Time
	if n.watchdog > 0 {
		ticker := time.NewTicker(n.watchdog / 2) // as sd_watchdog_enabled(3) recommends
		defer ticker.Stop()
		alive = ticker.C
	}
	stopping := ctx.Done()
	for {
		var err error
		select {
		case <-alive:
			err = n.tell("WATCHDOG=1")
		case <-stopping:
			stopping = nil
			err = n.tell("STOPPING=1")
		case <-ended:
			if stopping != nil { // by itself
				n.tell("STOPPING=1")
			}
			return
		}
		if err != nil {
			log.Warn("the service manager is not told how partnersync is", "err", err)
		}
	}
}

// tell sends one message. It never waits for a reader: the socket is a datagram's, and has a deadline.
func (n notifier) tell(state string) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("telling %s to NOTIFY_SOCKET: %w", state, err)
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return fmt.Errorf("telling %s to NOTIFY_SOCKET: %w", state, err)
	}
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("telling %s to NOTIFY_SOCKET: %w", state, err)
	}
	return nil
}
