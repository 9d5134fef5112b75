package statuspage

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
)

// logged is a log whose lines can be waited for.
type logged chan string

func (l logged) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

func (l logged) until(t *testing.T, text string) string {
	t.Helper()
	for {
		select {
		case line := <-l:
			if strings.Contains(line, text) {
				return line
			}
		case <-t.Context().Done():
			t.Fatalf("%q was never logged", text)
		}
	}
}

func TestListenAndServe_waitsForAPortInUse(t *testing.T) {
	t.Parallel()
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	lines := make(logged, 100)
	site := New(Options{Logger: slog.New(slog.NewTextHandler(lines, nil))})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		site.ListenAndServe(ctx, other.Addr().String())
	}()
	lines.until(t, "listening failed, trying again; the sync goes on")
	other.Close()
	lines.until(t, "msg=listening")
	resp, err := http.Get("http://" + other.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(body) != "alive\n" {
		t.Errorf("/healthz: %s", body)
	}
	cancel()
	<-ended
	if _, err := net.Dial("tcp", other.Addr().String()); err == nil {
		t.Error("it still listens")
	}
}

func TestListenAndServe_pageOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]int{"127.0.0.1:0": http.StatusServiceUnavailable,
		"0.0.0.0:0": http.StatusForbidden} {
		lines := make(logged, 100)
		site := New(Options{Logger: slog.New(slog.NewTextHandler(lines, nil))})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			site.ListenAndServe(ctx, address)
		}()
		_, at, _ := strings.Cut(strings.TrimSpace(lines.until(t, "msg=listening")), "address=")
		_, port, err := net.SplitHostPort(strings.Trim(at, `"`))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.Get("http://127.0.0.1:" + port + "/")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", address, resp.StatusCode, want)
		}
		cancel()
		<-ended
	}
}
