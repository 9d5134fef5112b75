package main

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serviceManager is the socket of one, at a path short enough for a socket.
func serviceManager(t *testing.T) (path string, conn *net.UnixConn) {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path = filepath.Join(dir, "socket")
	conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return path, conn
}

// nextState returns the next message to the service manager.
func nextState(t *testing.T, conn *net.UnixConn) string {
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

func TestDaemon_notifiesServiceManager(t *testing.T) {
	t.Parallel()
	// It waits for its database, which does not answer, and is ready nevertheless.
	p := newProgram(t, withoutServers()["DATABASE_URL"])
	path, conn := serviceManager(t)
	d := p.daemon("daemon", "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=20000")
	if got := nextState(t, conn); got != "READY=1" {
		t.Errorf("first it said %q", got)
	}
	for range 2 {
		if got := nextState(t, conn); got != "WATCHDOG=1" {
			t.Errorf("then it said %q", got)
		}
	}
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	state := nextState(t, conn)
	for state == "WATCHDOG=1" { // until the signal has arrived
		state = nextState(t, conn)
	}
	if state != "STOPPING=1" {
		t.Errorf("at the end it said %q", state)
	}
	if err := d.cmd.Wait(); err != nil {
		t.Errorf("the daemon ended with %v, want exit code 0", err)
	}
}

func TestNotifySystemd_daemonThatEndsByItselfIsStopping(t *testing.T) {
	path, conn := serviceManager(t)
	t.Setenv("NOTIFY_SOCKET", path)
	notifySystemd(t.Context(), slog.New(slog.DiscardHandler))()
	for _, want := range []string{"READY=1", "STOPPING=1"} {
		if got := nextState(t, conn); got != want {
			t.Errorf("it said %q, want %q", got, want)
		}
	}
}

func TestNotifySystemd_missingServiceManagerIsLogged(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "missing"))
	var log bytes.Buffer
	notifySystemd(t.Context(), slog.New(slog.NewTextHandler(&log, nil)))()
	for _, want := range []string{"level=WARN", "the service manager could not be notified", `state="READY=1"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("there is no %q in %s", want, &log)
		}
	}
}
