package statuspage

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"partnersync/sync/partnercenter"
)

// guessing asks a site for its page.
type guessing struct {
	handler http.Handler
	log     bytes.Buffer
}

func newGuessing() *guessing {
	g := &guessing{}
	g.handler = New(Options{Password: partnercenter.Secret(password), Logger: slog.New(slog.NewTextHandler(&g.log, nil))}).Handler(false)
	return g
}

// ask returns the status of the answer. A proxy passes the request on for others, if there are any.
func (g *guessing) ask(password, from string, passedOnFor ...string) int {
	req := httptest.NewRequest(http.MethodGet, "http://status.example.com/", nil)
	req.RemoteAddr = from
	req.SetBasicAuth("anyone", password)
	for _, address := range passedOnFor {
		req.Header.Add("X-Forwarded-For", address)
	}
	got := httptest.NewRecorder()
	g.handler.ServeHTTP(got, req)
	return got.Code
}

// One who tries passwords out learns of one a second, whether or not it is right, and the log tells of it once a minute.
func TestPassword_guessing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const stranger, friend = "192.0.2.1:4711", "192.0.2.2:4711"
		g := newGuessing()
		looked := 0
		guess := func() {
			switch code := g.ask("wrong", stranger); code {
			case http.StatusUnauthorized:
				looked++
			case http.StatusTooManyRequests:
			default:
				t.Fatalf("a wrong password: %d", code)
			}
		}
		for range 300 { // half a minute
			guess()
			time.Sleep(100 * time.Millisecond)
		}
		if looked > 30+guessesAtOnce {
			t.Errorf("%d passwords were looked at in half a minute", looked)
		}
		guess()
		if code := g.ask(password, stranger); code != http.StatusTooManyRequests {
			t.Errorf("the right password among wrong ones: %d, want that it is not looked at", code)
		}
		if code := g.ask(password, friend); code != http.StatusServiceUnavailable { // shown, if there were a database
			t.Errorf("the right password from elsewhere: %d", code)
		}
		if n := strings.Count(g.log.String(), "wrong password for the status page"); n != 1 {
			t.Errorf("logged %d times, want once:\n%s", n, &g.log)
		}
		time.Sleep(time.Minute)
		if code := g.ask(password, stranger); code != http.StatusServiceUnavailable {
			t.Errorf("the right password a minute later: %d", code)
		}
		guess()
		last := g.log.String()[strings.LastIndex(strings.TrimSpace(g.log.String()), "\n")+1:]
		if !strings.Contains(last, "address=192.0.2.1/32") || !strings.Contains(last, fmt.Sprintf("attempts=%d", looked-1)) {
			t.Errorf("logged %s, want the address and %d attempts", last, looked-1)
		}
		if strings.Contains(g.log.String(), "msg=wrong\n") || strings.Contains(g.log.String(), password) {
			t.Errorf("a password is logged: %s", &g.log)
		}
	})
}

func TestPassword_whoGuesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGuessing()
		exhaust := func(from string, passedOnFor ...string) {
			for range 2 * guessesAtOnce {
				g.ask("wrong", from, passedOnFor...)
			}
		}
		exhaust("127.0.0.1:1", "203.0.113.9, 192.0.2.1")
		exhaust("[2001:db8::1]:1")
		exhaust("192.0.2.7:1", "192.0.2.8")
		for _, c := range []struct {
			from   string
			passed []string
			want   int
		}{
			{"[::1]:2", []string{"203.0.113.1", "192.0.2.1"}, 429}, // the client makes up all but the last
			{"127.0.0.1:2", []string{"192.0.2.1, 203.0.113.9"}, 503},
			{"127.0.0.1:2", nil, 503},
			{"[2001:db8::abcd]:2", nil, 429}, // of the same network
			{"[2001:db8:0:1::1]:2", nil, 503},
			{"192.0.2.7:2", []string{"192.0.2.9"}, 429}, // no proxy of this machine
			{"192.0.2.8:2", nil, 503},
		} {
			if got := g.ask(password, c.from, c.passed...); got != c.want {
				t.Errorf("from %s for %s: %d, want %d", c.from, c.passed, got, c.want)
			}
		}
	})
}
