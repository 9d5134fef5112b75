package partnercentertest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"partnersync/sync/partnercenter/partnercentertest"
)

func TestFault_answers(t *testing.T) {
	t.Parallel()
	const source = `,"data":[],"source":"PartnerApiServiceControllers"}`
	tests := []struct {
		name       string
		fault      partnercentertest.Fault
		status     int
		body       string
		retryAfter string
	}{
		{"documented form", partnercentertest.Fault{Status: 500}, 500,
			bom + `{"code":"800003","description":"Unexpected service error"` + source, ""},
		{"bad request", partnercentertest.Fault{Status: 400}, 400,
			bom + `{"code":"800002","description":"Invalid request input"` + source, ""},
		{"unauthorized", partnercentertest.Fault{Status: 401}, 401,
			bom + `{"code":"400","description":"Access denied"` + source, ""},
		{"forbidden", partnercentertest.Fault{Status: 403}, 403,
			bom + `{"code":"2032","description":"Access denied"` + source, ""},
		{"not found", partnercentertest.Fault{Status: 404}, 404, bom + `{"code":"1000","description":"Not found"` + source,
			""},
		{"not implemented", partnercentertest.Fault{Status: 501}, 501,
			bom + `{"code":"0","description":"Exception not defined"` + source, ""},
		{"without a code of its own", partnercentertest.Fault{Status: 503, RetryAfter: "3"}, 503,
			bom + `{"code":"503","description":"Service Unavailable"` + source, "3"},
		{"unknown status", partnercentertest.Fault{Status: 599}, 599, bom + `{"code":"599","description":"Unknown"` + source,
			""},
		{"code and description", partnercentertest.Fault{Status: 401, Code: "900421", Description: `MFA "now"`}, 401,
			bom + `{"code":"900421","description":"MFA \"now\""` + source, ""},
		{"gateway", partnercentertest.Fault{Status: 429, RetryAfter: "57"}, 429,
			`{ "statusCode": 429, "message": "Rate limit is exceeded. Try again in 57 seconds." }`, "57"},
		{"gateway without a time", partnercentertest.Fault{Status: 429}, 429,
			`{ "statusCode": 429, "message": "Rate limit is exceeded." }`, ""},
		{"gateway with a date", partnercentertest.Fault{Status: 429, RetryAfter: "Tue, 21 Jul 2026 04:10:58 GMT"}, 429,
			`{ "statusCode": 429, "message": "Rate limit is exceeded." }`, "Tue, 21 Jul 2026 04:10:58 GMT"},
		{"throttled by the API", partnercentertest.Fault{Status: 429, Code: "1"}, 429,
			bom + `{"code":"1","description":"Too Many Requests"` + source, ""},
		{"empty body", partnercentertest.Fault{Status: 200}, 200, "", ""},
		{"own body", partnercentertest.Fault{Body: "<html>sorry</html>"}, 200, "<html>sorry</html>", ""},
		{"own body and status", partnercentertest.Fault{Status: 502, Body: "Bad Gateway"}, 502, "Bad Gateway", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newContoso(t)
			p.Fail(test.fault)
			response, body := p.get(t, contosoBatches)
			if response.StatusCode != test.status {
				t.Errorf("status %d, want %d", response.StatusCode, test.status)
			}
			if diff := cmp.Diff(test.body, body); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if got := response.Header.Get("Retry-After"); got != test.retryAfter {
				t.Errorf("Retry-After %q, want %q", got, test.retryAfter)
			}
		})
	}
}

func TestFault_gatewayKnowsNoRequestIDs(t *testing.T) {
	t.Parallel()
	p := newContoso(t)
	p.Fail(partnercentertest.Fault{Status: 429, RetryAfter: "57"})
	response, _ := p.get(t, contosoBatches, "MS-RequestId", "r-1")
	if got := response.Header.Get("MS-RequestId"); got != "" {
		t.Errorf("MS-RequestId %q", got)
	}
	if got := response.Header.Get("Content-Length"); got != "84" {
		t.Errorf("Content-Length %s, documented is 84", got)
	}
	if got := response.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
}

func TestFault_tokenEndpointHasItsOwnForm(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		fault partnercentertest.Fault
		code  string
		says  string
		codes int
	}{
		{"passing", partnercentertest.Fault{Path: "/token$", Status: 503}, "temporarily_unavailable", "AADSTS90033: ", 1},
		{"throttled", partnercentertest.Fault{Path: "/token$", Status: 429, RetryAfter: "1"}, "temporarily_unavailable",
			"AADSTS90033: ", 1},
		{"refused", partnercentertest.Fault{Path: "/token$", Status: 401}, "invalid_client", "AADSTS7000222: ", 1},
		{"expired secret", partnercentertest.Fault{Path: "/token$", Status: 401, Code: "invalid_client",
			Description: "AADSTS7000222: expired"}, "invalid_client", "AADSTS7000222: expired", 1},
		{"without a number", partnercentertest.Fault{Path: "/token$", Status: 400, Code: "invalid_grant", Description: "no"},
			"invalid_grant", "no", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newPartner(t, partnercentertest.Options{})
			p.Fail(test.fault)
			response, body := p.do(t, tokenRequest(t, p.server.URL, nil))
			var got struct {
				Error       string `json:"error"`
				Description string `json:"error_description"`
				Codes       []int  `json:"error_codes"`
			}
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatalf("%v in %q", err, body)
			}
			if response.StatusCode != test.fault.Status || got.Error != test.code ||
				!strings.HasPrefix(got.Description, test.says) || len(got.Codes) != test.codes {
				t.Errorf("%d %+v", response.StatusCode, got)
			}
			if response, _ := p.get(t, "/v1/customers"); response.StatusCode != 200 {
				t.Errorf("status %d from the API, which the fault is not about", response.StatusCode)
			}
		})
	}
}

func TestFault_whichRequestsItHits(t *testing.T) {
	t.Parallel()
	paths := []string{"/v1/customers", contosoBatches, "/v1/customers", contosoBatches, "/v1/customers"}
	tests := []struct {
		name  string
		fault partnercentertest.Fault
		want  string // H: hit
	}{
		{"every", partnercentertest.Fault{}, "HHHHH"},
		{"path's end", partnercentertest.Fault{Path: "/customers$"}, "H.H.H"},
		{"path without case", partnercentertest.Fault{Path: "/CUSTOMERS/.*/devicebatches"}, ".H.H."},
		{"method", partnercentertest.Fault{Method: "GET"}, "HHHHH"},
		{"other method", partnercentertest.Fault{Method: "POST"}, "....."},
		{"skip", partnercentertest.Fault{Skip: 3}, "...HH"},
		{"times", partnercentertest.Fault{Times: 2}, "HH..."},
		{"skip and times of one path", partnercentertest.Fault{Path: "/customers$", Skip: 1, Times: 1}, "..H.."},
		{"all of a share", partnercentertest.Fault{Share: 1}, "HHHHH"},
		{"hardly any share", partnercentertest.Fault{Share: 1e-300}, "....."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newContoso(t)
			test.fault.Status = 418
			p.Fail(test.fault)
			var got strings.Builder
			for _, path := range paths {
				response, _ := p.get(t, path)
				got.WriteByte(map[bool]byte{true: 'H', false: '.'}[response.StatusCode == 418])
			}
			if got.String() != test.want {
				t.Errorf("hit %s, want %s", &got, test.want)
			}
		})
	}
}

func TestFault_oldestFirstUntilRemoved(t *testing.T) {
	t.Parallel()
	p := newContoso(t)
	status := func() int {
		response, _ := p.get(t, contosoBatches)
		return response.StatusCode
	}
	removeFirst := p.Fail(partnercentertest.Fault{Status: 500})
	p.Fail(partnercentertest.Fault{Status: 502, Times: 1})
	p.Fail(partnercentertest.Fault{Status: 503})
	got := []int{status()}
	removeFirst()
	removeFirst() // twice does no harm
	got = append(got, status(), status())
	p.ClearFaults()
	got = append(got, status())
	if diff := cmp.Diff([]int{500, 502, 503, 200}, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

func TestFault_badPathPanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	partnercentertest.New(partnercentertest.Options{}).Fail(partnercentertest.Fault{Path: "("})
}

func TestFault_headerAndEditOfTheProperAnswer(t *testing.T) {
	t.Parallel()
	p := newContoso(t)
	p.PutBatch(contoso, partnercentertest.Batch{ID: "a", Created: p.Now()})
	_, whole := p.get(t, contosoBatches)
	p.Fail(partnercentertest.Fault{
		Times: 1, Header: http.Header{"content-type": {"text/plain"}},
		Edit: func(body []byte) []byte { clear(body[10:]); return body[:20] },
	})
	response, cut := p.get(t, contosoBatches)
	if want := whole[:10] + strings.Repeat("\x00", 10); cut != want || response.ContentLength != 20 {
		t.Errorf("got %q of length %d, want %q", cut, response.ContentLength, want)
	}
	if got := response.Header.Get("Content-Type"); got != "text/plain" {
		t.Errorf("Content-Type %q", got)
	}
	if _, again := p.get(t, contosoBatches); again != whole {
		t.Errorf("the edit changed later answers too: %q", again)
	}
}

func TestFault_beforeChangesWhatIsAnswered(t *testing.T) {
	t.Parallel()
	p := newPartner(t, partnercentertest.Options{PageSize: 1, Paging: partnercentertest.BodyToken})
	p.addCustomers(2)
	p.Fail(partnercentertest.Fault{Path: "/customers$", Skip: 1, Times: 1, Before: func() { p.RemoveCustomer("c2") }})
	_, body := p.get(t, "/v1/customers")
	second := p.next(t, "/v1/customers?seekOperation=Next", decode[customerPage](t, body).ContinuationToken)
	if len(second.Items) != 0 {
		t.Errorf("second page holds %v", second.ids())
	}
}

func TestFault_resetBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	p := newContoso(t)
	p.Fail(partnercentertest.Fault{Reset: true})
	_, _, err := p.try(p.request(t, "GET", contosoBatches))
	if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want a reset connection", err)
	}
}

func TestFault_resetInTheBody(t *testing.T) {
	t.Parallel()
	p := newContoso(t)
	p.PutBatch(contoso, partnercentertest.Batch{ID: strings.Repeat("long ", 100)})
	_, whole := p.get(t, contosoBatches)
	p.Fail(partnercentertest.Fault{ResetBody: true})
	response, body, err := p.try(p.request(t, "GET", contosoBatches))
	if err == nil {
		t.Fatal("got a whole answer")
	}
	if response == nil {
		t.Fatalf("broke off before the body: %v", err)
	}
	if response.ContentLength != int64(len(whole)) || !strings.HasPrefix(whole, body) || len(body) > len(whole)/2 {
		t.Errorf("got %d of %d bytes, announced as %d", len(body), len(whole), response.ContentLength)
	}
	log := p.Requests()
	if last := log[len(log)-1]; last.Status != 200 || last.Bytes != len(whole)/2 {
		t.Errorf("logged %d and %d bytes", last.Status, last.Bytes)
	}
}

func TestFault_resetWithoutAConnectionAborts(t *testing.T) {
	t.Parallel()
	e := partnercentertest.New(partnercentertest.Options{})
	e.Fail(partnercentertest.Fault{Reset: true})
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("panic %v, want http.ErrAbortHandler", got)
		}
	}()
	ask(e, httptest.NewRequestWithContext(t.Context(), "GET", "/v1/customers", nil))
}

func TestFault_hangEndsWithItsFault(t *testing.T) {
	t.Parallel()
	p := newContoso(t)
	hit := make(chan struct{})
	p.Fail(partnercentertest.Fault{Hang: true, Before: func() { close(hit) }, Times: 1})
	go func() {
		<-hit
		p.ClearFaults()
	}()
	if _, _, err := p.try(p.request(t, "GET", contosoBatches)); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want a connection that ended", err)
	}
}

func TestFault_hangEndsWithItsClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := partnercentertest.New(partnercentertest.Options{})
		e.Fail(partnercentertest.Fault{Hang: true})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan any)
		go func() {
			defer func() { ended <- recover() }()
			ask(e, httptest.NewRequestWithContext(ctx, "GET", "/v1/customers", bytes.NewReader(make([]byte, 10))))
		}()
		synctest.Wait()
		select {
		case <-ended:
			t.Error("the request ended while its client waited")
		default:
		}
		cancel()
		if got := <-ended; got != http.ErrAbortHandler {
			t.Errorf("panic %v, want http.ErrAbortHandler", got)
		}
	})
}
