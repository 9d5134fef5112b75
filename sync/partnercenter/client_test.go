package partnercenter

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The response of the API documentation's "Get the list of device batches for the specified customer": its stated
// length, 339, is that of this compact JSON with a byte order mark.
const documentedBatches = "\ufeff" + `{"totalCount":1,"items":[{"id":"Test batch","status":"finished",` +
	`"creationDate":"2017-07-25T01:51:00","devicesCount":5,"devicesLink":{"uri":` +
	`"/customers/47021739-3426-40bf-9601-61b4b6d7c793/deviceBatches/Test batch/devices","method":"GET","headers":[]},` +
	`"attributes":{"objectType":"DeviceBatch"}}],"attributes":{"objectType":"Collection"}}`

func TestDeviceBatches_readsTheDocumentedResponse(t *testing.T) {
	t.Parallel()
	if len(documentedBatches) != 339 {
		t.Fatalf("the documented response has %d bytes", len(documentedBatches))
	}
	a := newAPI(t, reply(200, documentedBatches, "MS-RequestId: 7b3e2e00"))
	var l Listing
	got := readAll(t, a.client(t).DeviceBatches(t.Context(), testCustomer, &l))
	want := []DeviceBatch{{
		ID: "Test batch", Status: new("finished"), DevicesCount: new(int32(5)),
		CreationDate: new(time.Date(2017, 7, 25, 1, 51, 0, 0, time.UTC)),
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	// With a monotonic reading: a clock on the wall that jumps must not move what is observed.
	if len(l.Digest) != 16 || !strings.Contains(l.SentAt.String(), " m=") || l.CorrelationID == "" ||
		l.Answered != l.CorrelationID {
		t.Errorf("digest %x, sent at %v, correlation %q", l.Digest, l.SentAt, l.CorrelationID)
	}
	l.Digest, l.SentAt, l.CorrelationID, l.Answered = nil, time.Time{}, "", ""
	if d := cmp.Diff(Listing{Pages: 1, Items: 1, Expected: 1, Requests: 2, RequestID: "7b3e2e00"}, l); d != "" {
		t.Error(d)
	}
}

func TestCustomers_asksForPagesOf500(t *testing.T) {
	t.Parallel()
	a := newAPI(t, reply(200, `{"totalCount":2,"items":[
		{"id":"B44BB1FB-3E5D-4D11-9F42-0E5A1B2C3D4E","companyProfile":{"tenantId":"x","domain":"d","companyName":"n"},
			"relationshipToPartner":"reseller","links":{"self":{"uri":"/customers/`+testCustomer+`"}}},
		{"id":"`+testCustomer+`","companyProfile":null}]}`))
	got := readAll(t, a.client(t).Customers(t.Context(), nil))
	want := []Customer{
		{ID: "b44bb1fb-3e5d-4d11-9f42-0e5a1b2c3d4e", CompanyName: new("n"), Domain: new("d"),
			Relationship: new("reseller")},
		{ID: testCustomer},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"/pre/fix/v1/customers?size=500"}, a.seen(uri)); d != "" {
		t.Error(d)
	}
}

func TestClient_sendsTheDocumentedHeaders(t *testing.T) {
	t.Parallel()
	a := newAPI(t, reply(200, onePage))
	l := Listing{CorrelationID: "of-the-pass"}
	if _, err := batchIDs(a.client(t).DeviceBatches(t.Context(), "a b/ü", &l)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"/pre/fix/v1/customers/a%20b%2F%C3%BC/deviceBatches"}, a.seen(uri)); d != "" {
		t.Error(d)
	}
	for name, want := range map[string]string{
		"Accept": "application/json", "Authorization": "Bearer token-1", "User-Agent": "partnersync/1.2",
		"X-Locale": "en-US", "MS-PartnerCenter-Application": "partnersync", "MS-CorrelationId": "of-the-pass",
		"MS-RequestId": l.RequestID,
	} {
		if got := a.seen(header(name))[0]; got != want || got == "" {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestNew_readsBaseURLs(t *testing.T) {
	t.Parallel()
	tests := []struct{ url, want string }{
		{"https://host", "https://host"},
		{"https://host/", "https://host"},
		{"https://host/v1", "https://host"},
		{" https://host/V1/ ", "https://host"},
		{"http://127.0.0.1:80/pre/fix/v1/", "http://127.0.0.1:80/pre/fix"},
		{"https://host/a%20b", "https://host/a%20b"},
		{"", ""},
		{"host", ""},
		{"ftp://host", ""},
		{"https://", ""},
		{"https://user:hunter2@host", ""},
		{"https://host:hunter2/", ""},
		{"https://host?hunter2", ""},
		{"https://host#hunter2", ""},
	}
	for _, tt := range tests {
		c, err := New(Options{BaseURL: tt.url, Tokens: &TokenSource{}})
		switch {
		case tt.want == "":
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q: error %v", tt.url, err)
			}
		case err != nil:
			t.Errorf("%q: %v", tt.url, err)
		case c.base.String() != tt.want:
			t.Errorf("%q: %v, want %v", tt.url, c.base, tt.want)
		}
	}
}

func TestNew_needsTokens(t *testing.T) {
	t.Parallel()
	if _, err := New(Options{BaseURL: "https://host"}); err == nil {
		t.Error("no error")
	}
}

func TestClient_limitsBodies(t *testing.T) {
	t.Parallel()
	a := newAPI(t, reply(200, onePage+strings.Repeat(" ", 1<<20)))
	c := a.client(t)
	c.maxBody = 1 << 20
	_, err := batchIDs(c.DeviceBatches(t.Context(), testCustomer, nil))
	e := errorOf(t, err)
	if e.ErrorCode() != "too_large" || e.Status != 200 || len(a.seen(uri)) != 1 {
		t.Errorf("%v after %d requests", e, len(a.seen(uri)))
	}
}

func TestClient_followsRedirectsOnItsHostOnly(t *testing.T) {
	t.Parallel()
	elsewhere := newAPI(t, func(http.ResponseWriter, *http.Request) { t.Error("the token went to another host") })
	to := func(url string) http.HandlerFunc { return reply(http.StatusFound, "", "Location: "+url) }
	tests := []struct {
		name    string
		answers []http.HandlerFunc
		code    string
	}{
		{"same host", []http.HandlerFunc{to("/pre/fix/v1/moved"), reply(200, onePage)}, ""},
		{"other host", []http.HandlerFunc{to(elsewhere.url + "/pre/fix/v1/customers")}, "redirect"},
		{"other scheme", []http.HandlerFunc{to("https://127.0.0.1/pre/fix/v1/x")}, "redirect"},
		{"in circles", []http.HandlerFunc{to("/pre/fix/v1/again")}, "redirect"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, tt.answers...)
			_, err := batchIDs(a.client(t).DeviceBatches(t.Context(), testCustomer, nil))
			switch {
			case tt.code == "" && err != nil:
				t.Error(err)
			case tt.code != "" && errorOf(t, err).ErrorCode() != tt.code:
				t.Errorf("error %v", err)
			case tt.name == "same host" && a.seen(header("Authorization"))[1] != "Bearer token-1":
				t.Error("the redirected request went without its token")
			}
			if n := len(a.seen(uri)); n > maxRedirects+1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestClient_errorsOfTheTransportAreWrapped(t *testing.T) {
	t.Parallel()
	a := newAPI(t, reply(200, onePage))
	broken := errors.New("no route")
	c := a.client(t, func(o *Options) {
		o.Transport = roundTripper(func(*http.Request) (*http.Response, error) { return nil, broken })
	})
	c.retrier.timeout = time.Minute
	e := c.attemptOnce(t)
	if !errors.Is(e, broken) || e.ErrorCode() != "connection" || !e.retry {
		t.Errorf("error %#v", e)
	}
	if s := e.Error(); strings.Contains(s, "size=500") {
		t.Errorf("the query is in %q", s)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// attemptOnce makes one attempt at the customers' first page.
func (c *Client) attemptOnce(t *testing.T) *Error {
	t.Helper()
	p := &pageRequest{client: c, listing: new(Listing), token: &token{access: "token"}}
	u := *c.base
	u.Path += "/v1/customers"
	u.RawQuery = "size=500"
	p.target = target{url: &u}
	p.op = operation{method: http.MethodGet, url: withoutQuery(&u)}
	return p.try(t.Context())
}

// Where the server closes a connection that was kept, Go's transport sends a request once more without a word.
func TestDeviceBatches_requestsThatTheTransportRepeatsCount(t *testing.T) {
	t.Parallel()
	closes := func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		conn.Close()
	}
	a := newAPI(t, reply(200, `{"items":[]}`), closes, reply(200, `{"items":[]}`))
	c := a.client(t)
	var first, second Listing
	readAll(t, c.DeviceBatches(t.Context(), testCustomer, &first))
	readAll(t, c.DeviceBatches(t.Context(), testCustomer, &second))
	if second.Requests != 2 || second.Retries != 1 {
		t.Errorf("%d requests, %d retries; want both that the API has seen", second.Requests, second.Retries)
	}
}
