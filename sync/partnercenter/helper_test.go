package partnercenter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"partnersync/sync/partnercenter/partnercentertest"
)

const (
	testCustomer = "47021739-3426-40bf-9601-61b4b6d7c793"
	testSecret   = "s3cr3t-of-the-client"
)

// api is a scripted API, under a path prefix so that a wrong URL fails loudly, and the sign-in beside it.
type api struct {
	url       string // of the server
	transport http.RoundTripper
	log       bytes.Buffer

	mu       sync.Mutex
	requests []*http.Request // of lists
	signIns  int

	signIn http.HandlerFunc // nil: token-1, token-2 and so on
}

// newAPI serves lists with these handlers, one after the other; the last goes on.
func newAPI(t *testing.T, handlers ...http.HandlerFunc) *api {
	t.Helper()
	a := &api{}
	server := httptest.NewServer(a.handler(t, handlers))
	t.Cleanup(server.Close)
	transport := NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	a.url, a.transport = server.URL, transport
	return a
}

// newPipedAPI is newAPI for a synctest bubble, where sockets do not work.
func newPipedAPI(t *testing.T, handlers ...http.HandlerFunc) *api {
	t.Helper()
	a := &api{url: "http://piped.test"}
	a.transport = pipe(t, a.handler(t, handlers))
	return a
}

// pipe serves h in memory and returns a transport that reaches it and nothing else.
func pipe(t *testing.T, h http.Handler) http.RoundTripper {
	transport, stop := partnercentertest.Pipe(h)
	t.Cleanup(stop)
	return transport
}

func (a *api) handler(t *testing.T, handlers []http.HandlerFunc) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login/contoso/oauth2/v2.0/token", a.serveToken)
	mux.HandleFunc("GET /pre/fix/v1/", func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		n := len(a.requests)
		a.requests = append(a.requests, r.Clone(context.WithoutCancel(r.Context())))
		a.mu.Unlock()
		handlers[min(n, len(handlers)-1)](w, r)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("request outside of the API: %s %s", r.Method, r.URL)
		http.Error(w, "wrong URL", http.StatusTeapot)
	})
	return mux
}

func (a *api) serveToken(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.signIns++
	n, signIn := a.signIns, a.signIn
	a.mu.Unlock()
	if signIn != nil {
		signIn(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3599,"access_token":"token-%d"}`, n)
}

// signsIn changes the sign-in while a connection of before may still be served.
func (a *api) signsIn(by http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.signIn = by
}

func (a *api) tokenRequests() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.signIns
}

// seen returns what f says of each list request.
func (a *api) seen(f func(*http.Request) string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []string
	for _, r := range a.requests {
		all = append(all, f(r))
	}
	return all
}

func header(name string) func(*http.Request) string {
	return func(r *http.Request) string { return r.Header.Get(name) }
}

func uri(r *http.Request) string { return r.RequestURI }

func (a *api) credentials() Credentials {
	return Credentials{
		AuthorityURL: a.url + "/login/", TenantID: "contoso", ClientID: "client", ClientSecret: testSecret, Scope: "scope",
	}
}

func (a *api) tokens(t *testing.T) *TokenSource {
	t.Helper()
	s, err := NewTokenSource(a.credentials(), TokenOptions{Transport: a.transport, Logger: a.logger(), Version: "1.2"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (a *api) logger() *slog.Logger { return slog.New(slog.NewTextHandler(&a.log, nil)) }

// client returns a client of the API, with options changed by each of change.
func (a *api) client(t *testing.T, change ...func(*Options)) *Client {
	t.Helper()
	opts := Options{
		BaseURL: a.url + "/pre/fix/", Tokens: a.tokens(t), Transport: a.transport, Version: "1.2", Logger: a.logger(),
	}
	for _, f := range change {
		f(&opts)
	}
	c, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// reply answers with a status, a body and headers, as "Name: value".
func reply(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// breakOff begins an answer and closes the connection.
func breakOff(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	io.WriteString(w, `{"totalCount":`)
	panic(http.ErrAbortHandler)
}

// hang answers nothing until the client has gone, which the server sees once it has read the request.
func hang(_ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// readAll reads a listing that must be complete.
func readAll[T any](t *testing.T, list iter.Seq2[T, error]) (all []T) {
	t.Helper()
	for item, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, item)
	}
	return all
}

// batchIDs reads a listing to its end.
func batchIDs(list iter.Seq2[DeviceBatch, error]) (ids []string, err error) {
	for b, e := range list {
		if e != nil {
			return ids, e
		}
		ids = append(ids, b.ID)
	}
	return ids, nil
}

// errorOf returns err as the client's error.
func errorOf(t *testing.T, err error) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("error %v is no *Error", err)
	}
	return e
}

const onePage = `{"totalCount":1,"items":[{"id":"a"}]}`
