package partnercentertest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/sync/partnercenter/partnercentertest"
)

const (
	bom = "\xef\xbb\xbf"

	contoso  = "47021739-3426-40bf-9601-61b4b6d7c793" // the customer of the documented list of batches
	fabrikam = "b44bb1fb-c595-45b0-9e09-d657365580bf"

	contosoBatches = "/v1/customers/" + contoso + "/deviceBatches"
)

// partner sends requests to an emulator as a signed-in partner.
type partner struct {
	*partnercentertest.Emulator
	server *httptest.Server
	token  string
}

// newPartner serves an emulator until the test ends and signs in.
func newPartner(t *testing.T, o partnercentertest.Options) *partner {
	t.Helper()
	e := partnercentertest.New(o)
	server := httptest.NewServer(e)
	// With kept connections the transport itself would repeat a request that was reset.
	server.Client().Transport.(*http.Transport).DisableKeepAlives = true
	t.Cleanup(server.Close)
	t.Cleanup(e.ClearFaults)
	p := &partner{Emulator: e, server: server}
	p.signIn(t)
	return p
}

func (p *partner) signIn(t *testing.T) {
	t.Helper()
	_, body := p.do(t, tokenRequest(t, p.server.URL, nil))
	var reply struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(body), &reply); err != nil || reply.Token == "" {
		t.Fatalf("no token in %q: %v", body, err)
	}
	p.token = reply.Token
}

// tokenRequest asks for a token by the defaults, with some of the form's values changed, or left out where "".
func tokenRequest(t *testing.T, base string, change map[string]string) *http.Request {
	t.Helper()
	form := url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {partnercentertest.DefaultClientID},
		"client_secret": {partnercentertest.DefaultClientSecret},
		"scope":         {"https://api.partnercenter.microsoft.com/.default"},
	}
	for name, value := range change {
		form.Set(name, value)
	}
	return newRequest(t, "POST", base+"/"+partnercentertest.DefaultTenantID+"/oauth2/v2.0/token",
		strings.NewReader(form.Encode()), "Content-Type", "application/x-www-form-urlencoded")
}

// newRequest makes a request with headers given as names and values in turn.
func newRequest(t *testing.T, method, target string, body io.Reader, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// do sends a request and returns the response with its body read.
func (p *partner) do(t *testing.T, r *http.Request) (*http.Response, string) {
	t.Helper()
	response, body, err := p.try(r)
	if err != nil {
		t.Fatal(err)
	}
	return response, body
}

func (p *partner) try(r *http.Request) (*http.Response, string, error) {
	response, err := p.server.Client().Do(r)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

// get sends a GET with the token and further headers.
func (p *partner) get(t *testing.T, path string, headers ...string) (*http.Response, string) {
	t.Helper()
	return p.do(t, p.request(t, "GET", path, headers...))
}

func (p *partner) request(t *testing.T, method, path string, headers ...string) *http.Request {
	t.Helper()
	return newRequest(t, method, p.server.URL+path, nil, append(headers, "Authorization", "Bearer "+p.token)...)
}

// decode reads a body of the API, which begins with a byte order mark.
func decode[T any](t *testing.T, body string) T {
	t.Helper()
	var v T
	text, ok := strings.CutPrefix(body, bom)
	if !ok {
		t.Fatalf("no byte order mark before %.80q", body)
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %.200q", err, text)
	}
	return v
}

// fault is the documented form of an error.
type fault struct {
	Code, Description, Source string
	Data                      []any
}

func TestEmulator_clockStandsUnlessMoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := partnercentertest.New(partnercentertest.Options{})
		start := e.Now()
		if want := time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC); !start.Equal(want) {
			t.Errorf("the clock begins at %v, want %v", start, want)
		}
		<-time.After(time.Hour)
		e.Advance(time.Minute)
		e.Advance(time.Second)
		if got := e.Now().Sub(start); got != time.Minute+time.Second {
			t.Errorf("the clock moved by %v, want 1m1s", got)
		}
	})
}

func TestEmulator_clockRunsAtSpeed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Date(2027, 3, 4, 5, 6, 7, 0, time.UTC)
		e := partnercentertest.New(partnercentertest.Options{Start: start, Speed: 60})
		<-time.After(2 * time.Second)
		e.Advance(time.Hour)
		if got := e.Now().Sub(start); got != time.Hour+2*time.Minute {
			t.Errorf("the clock moved by %v, want 1h2m", got)
		}
	})
}

func TestEmulator_requestsAreLogged(t *testing.T) {
	t.Parallel()
	p := newPartner(t, partnercentertest.Options{})
	_, body := p.get(t, "/v1/customers?size=7", "X-Locale", "en-US")
	p.Fail(partnercentertest.Fault{Reset: true})
	if _, _, err := p.try(p.request(t, "GET", contosoBatches)); err == nil {
		t.Error("a reset connection brought an answer")
	}
	type entry struct {
		Method, Path, Query string
		Status              int
	}
	var got []entry
	for _, r := range p.Requests() {
		if r.At.IsZero() {
			t.Errorf("no time with %s", r.Path)
		}
		got = append(got, entry{r.Method, r.Path, r.Query, r.Status})
	}
	want := []entry{
		{"POST", "/" + partnercentertest.DefaultTenantID + "/oauth2/v2.0/token", "", 200},
		{"GET", "/v1/customers", "size=7", 200},
		{"GET", contosoBatches, "", 0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	listed := p.Requests()[1]
	if listed.Bytes != len(body) || listed.Header.Get("X-Locale") != "en-US" {
		t.Errorf("logged %d bytes and X-Locale %q", listed.Bytes, listed.Header.Get("X-Locale"))
	}
	if got := listed.Header.Get("Authorization"); got != "[redacted]" {
		t.Errorf("logged Authorization %q", got)
	}
}

func TestEmulator_logKeepsTheNewest(t *testing.T) {
	t.Parallel()
	e := partnercentertest.New(partnercentertest.Options{LogSize: 3})
	for _, path := range strings.Fields("/1 /2 /3 /4 /5 /6 /7 /8 /9 /10") {
		e.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
	}
	var paths []string
	for _, r := range e.Requests() {
		paths = append(paths, r.Path)
	}
	if diff := cmp.Diff([]string{"/8", "/9", "/10"}, paths); diff != "" {
		t.Errorf("paths kept (-want +got):\n%s", diff)
	}
}

func TestEmulator_isSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	p := newPartner(t, partnercentertest.Options{Speed: 60, PageSize: 2})
	p.Seed(partnercentertest.SeedOptions{Customers: 5, Batches: 20, Devices: 5})
	p.AddCustomer(partnercentertest.Customer{ID: contoso})
	changed := make(chan struct{})
	go func() {
		defer close(changed)
		for range 100 {
			p.PutBatch(contoso, partnercentertest.Batch{ID: "a"})
			p.Advance(time.Second)
			p.PutDevice(contoso, "a", partnercentertest.Device{ID: "d"})
			p.RemoveDevice(contoso, "a", "d")
			p.PutPolicy(contoso, partnercentertest.Policy{ID: "p"})
			p.RemovePolicy(contoso, "p")
			p.RemoveBatch(contoso, "a")
			p.Fail(partnercentertest.Fault{Path: "/nowhere"})()
			p.RemoveCustomer(fabrikam)
			p.AddCustomer(partnercentertest.Customer{ID: fabrikam})
			p.Requests()
		}
	}()
	for range 50 {
		p.get(t, "/v1/customers")
		p.get(t, contosoBatches)
		p.get(t, contosoBatches+"/a/devices")
		p.get(t, contosoPolicies)
	}
	<-changed
}
