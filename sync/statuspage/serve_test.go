package statuspage

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"partnersync/sync/partnercenter"
)

// password is a made-up one.
const password = "correct horse"

func TestHandler_whoMaySeeWhat(t *testing.T) {
	t.Parallel()
	const local, far = "127.0.0.1:9470", "status.example.com"
	for _, c := range []struct {
		name     string
		loopback bool
		password string // of the configuration
		host     string
		given    string // as password
		page     int    // status of the page; 503: it is shown, if there were a database
		metrics  int    // status of /metrics and /healthz
	}{
		{"loopback", true, "", local, "", 503, 200},
		{"loopback by a host name of elsewhere", true, "", far, "", 421, 421},
		{"loopback, with a password", true, password, local, "", 401, 200},
		{"loopback by the host of page_url, with a password", true, password, "page.example.com:80", password, 503, 200},
		{"loopback by a host name of elsewhere, with a password", true, password, far, password, 421, 200},
		{"other address", false, "", far, "", 403, 200},
		{"other address asked for as localhost", false, "", "localhost", "", 403, 200},
		{"other address, without a password asked for", false, "", far, password, 403, 200},
		{"other address, no password given", false, password, far, "", 401, 200},
		{"other address, wrong password", false, password, far, "wrong", 401, 200},
		{"other address, right password", false, password, far, password, 503, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := New(Options{
				Password: partnercenter.Secret(c.password), PageURL: "https://Page.example.com/partnersync/",
				Metrics: prometheus.NewRegistry(),
			}).Handler(c.loopback)
			for path, want := range map[string]int{
				"/": c.page, "/customers": c.page, "/customers/" + alpha: c.page, "/metrics": c.metrics, "/healthz": c.metrics,
			} {
				req := httptest.NewRequest(http.MethodGet, "http://"+c.host+path, nil)
				if c.given != "" {
					req.SetBasicAuth("anyone", c.given)
				}
				got := httptest.NewRecorder()
				h.ServeHTTP(got, req)
				if got.Code != want {
					t.Errorf("GET %s: %d, want %d: %s", path, got.Code, want, got.Body)
				}
				if asks := got.Header().Get("WWW-Authenticate") != ""; asks != (want == 401) {
					t.Errorf("GET %s: asks for a password: %v", path, asks)
				}
			}
		})
	}
}

// A proxy on this machine asks by a loopback host, for whoever asks it.
func TestHandler_behindAProxyOnTheSameMachine(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"Forwarded", "X-Forwarded-For", "x-forwarded-host", "X-Forwarded-Anything", "Via"} {
		for secret, want := range map[string]int{"": 403, password: 503} {
			h := New(Options{Password: partnercenter.Secret(secret), Metrics: prometheus.NewRegistry()}).Handler(true)
			for path, want := range map[string]int{
				"/": want, "/customers": want, "/nothing": min(want, 404), "/metrics": 200, "/healthz": 200,
			} {
				req := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:9470"+path, nil)
				req.Header.Set(header, "for=192.0.2.1")
				req.SetBasicAuth("anyone", password)
				got := httptest.NewRecorder()
				h.ServeHTTP(got, req)
				if got.Code != want {
					t.Errorf("GET %s with %s and the password %q: %d, want %d", path, header, secret, got.Code, want)
				}
				if why := got.Body.String(); want == 403 && !strings.Contains(why, "set status_page_password_file") {
					t.Errorf("refused without the way out: %s", why)
				}
			}
		}
	}
}

func TestHandler_onlyReads(t *testing.T) {
	t.Parallel()
	h := New(Options{Metrics: prometheus.NewRegistry()}).Handler(true)
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
		for _, path := range []string{"/", "/customers", "/healthz", "/metrics", "/nothing"} {
			got := httptest.NewRecorder()
			h.ServeHTTP(got, httptest.NewRequest(method, "http://localhost"+path, strings.NewReader("x=1")))
			if got.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d, want 405", method, path, got.Code)
			}
		}
	}
	got := httptest.NewRecorder()
	h.ServeHTTP(got, httptest.NewRequest(http.MethodHead, "http://localhost/healthz", nil))
	if got.Code != http.StatusOK {
		t.Errorf("HEAD /healthz: %d", got.Code)
	}
}

func TestHandler_letsBrowsersDoNothingElse(t *testing.T) {
	t.Parallel()
	h := New(Options{}).Handler(true)
	for _, path := range []string{"/", "/static/style.css", "/healthz", "/nothing"} {
		got := httptest.NewRecorder()
		h.ServeHTTP(got, httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil))
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Referrer-Policy": "no-referrer",
		} {
			if value := got.Header().Get(name); !strings.HasPrefix(value, want) {
				t.Errorf("GET %s: %s is %q, want %q", path, name, value, want)
			}
		}
		if strings.Contains(got.Header().Get("Content-Security-Policy"), "unsafe") {
			t.Error("the policy allows what is inline")
		}
	}
}

func TestIsLoopbackHost(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST:9470": true, "localhost.": true, "page.localhost:1": true, "127.0.0.1": true,
		"127.8.9.1:80": true,
		"[::1]:9470":   true, "[::1]": true, "[::ffff:127.0.0.1]:80": true,
		"": false, "example.com": false, "localhost.example.com": false, "127.0.0.1.example.com:9470": false,
		"notlocalhost": false,
		"10.0.0.1":     false, "0.0.0.0": false, "[::]:80": false, "2130706433": false, "localhost:80:80": false,
	} {
		if got := isLoopbackHost(host); got != want {
			t.Errorf("%q: %v, want %v", host, got, want)
		}
	}
}

func TestIsLoopback(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{"127.0.0.1": true, "::1": true, "0.0.0.0": false, "::": false,
		"192.0.2.1": false} {
		if got := isLoopback(&net.TCPAddr{IP: net.ParseIP(address)}); got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
	if isLoopback(&net.UnixAddr{Name: "x"}) {
		t.Error("a socket that nothing is known of")
	}
}
