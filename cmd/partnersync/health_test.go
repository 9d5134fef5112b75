package main

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"partnersync/cmd/partnersync/config"
)

// notReady answers as a daemon does that lives and whose passes do not go on.
func notReady(t *testing.T) (address string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("alive\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "not ready\nstopped: database_unusable: The database cannot be used.", http.StatusServiceUnavailable)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func TestHealth(t *testing.T) {
	t.Parallel()
	address := notReady(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, listen string // listen is the configuration's
		args         []string
		code         int
		want         string // in what is printed
	}{
		{"at an address", "", []string{address}, exitOK, "alive\n"},
		{"at any of the machine's addresses", "", []string{":" + port}, exitOK, "alive\n"},
		{"where the configuration has it listen", address, nil, exitOK, "alive\n"},
		{"listening everywhere", "0.0.0.0:" + port, nil, exitOK, "alive\n"},
		{"alive but not ready", address, []string{"--ready"}, exitFailed,
			"503 Service Unavailable: not ready\nstopped: database_unusable: The database cannot be used.\n"},
		{"nobody there", "", []string{"127.0.0.1:1"}, exitFailed,
			"connection refused; check that it runs and listens there\n"},
		{"listening nowhere", "", nil, exitUsage, `listen is "" in the configuration`},
		{"no address", "", []string{"9470"}, exitUsage, `"9470" is not host:port`},
		{"no configuration", "", []string{"--config", "none.yaml"}, exitUsage,
			"none.yaml (chosen by --config): there is no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "partnersync.yaml")
			if err := os.WriteFile(path, []byte(defaultConfig+"listen: \""+tt.listen+"\"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			env := withoutServers()
			env["PARTNERSYNC_CONFIG"] = path
			code := run(t.Context(), append([]string{"health"}, tt.args...), env.lookup, strings.NewReader(""), &out,
				&out)
			if code != tt.code || !strings.Contains(out.String(), tt.want) {
				t.Errorf("it ended with %d and printed %s\nwant %d and %s", code, &out, tt.code, tt.want)
			}
		})
	}
}

func TestReachable(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		":9470":          "127.0.0.1:9470",
		"0.0.0.0:9470":   "127.0.0.1:9470",
		"[::]:9470":      "[::1]:9470",
		"[::1]:9470":     "[::1]:9470",
		"10.1.2.3:9470":  "10.1.2.3:9470",
		"localhost:http": "localhost:http",
	} {
		if got := reachable(address); got != want {
			t.Errorf("%s is asked at %s, want %s", address, got, want)
		}
	}
}

func TestHealth_ofStatusPage(t *testing.T) {
	t.Parallel()
	page := newListening(&config.Config{}, slog.New(slog.DiscardHandler)) // before there is a database
	server := httptest.NewServer(page.site.Handler(true))
	t.Cleanup(server.Close)
	var out bytes.Buffer
	if err := askHealth(t.Context(), &out, server.URL+"/healthz"); err != nil || out.String() != "alive\n" {
		t.Errorf("%v, and it printed %q", err, &out)
	}
	err := askHealth(t.Context(), &out, server.URL+"/readyz")
	if err == nil || !strings.Contains(err.Error(), "503 Service Unavailable: not ready\nstopped: database_unusable: ") {
		t.Errorf("got %v", err)
	}
}
