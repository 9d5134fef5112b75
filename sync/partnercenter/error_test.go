package partnercenter

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestError_readsEveryDocumentedBody(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		status      int
		body        string
		code        string // ErrorCode()
		description string
	}{
		{"API", 400, "\ufeff" + `{"code":"2000","description":"Customer search only …","data":["Field1"],"source":"PartnerApiServiceControllers"}`,
			"2000", "Customer search only …"},
		{"number for a code", 403, `{"code":20002,"description":"no relationship"}`, "20002", "no relationship"},
		{"gateway", 401, `{"statusCode":401,"message":"Unauthorized: incorrect audience"}`, "http_401",
			"Unauthorized: incorrect audience"},
		{"no JSON", 404, "Some non-structured\r\ncontent.", "http_404", "Some non-structured  content."},
		{"empty", 501, "", "http_501", ""},
		{"code of another type", 400, `{"code":{},"description":[]}`, "http_400", `{"code":{},"description":[]}`},
		{"code alone", 400, `{"code":"3000"}`, "3000", ""},
		{"cut off", 400, `{"code":"3000","description":"why","data":["`, "3000", "why"},
		{"an array", 400, `[1]`, "http_400", "[1]"},
		{"long", 400, `{"code":"1","description":"` + strings.Repeat("é", 4000) + `"}`, "1", strings.Repeat("é", 2048) + "…"},
		{"endless", 400, `{"code":"1","data":"` + strings.Repeat("x", 1<<20) + `"}`, "1", ""},
		{"control characters", 400, `{"code":"a\u0000b","description":"x\u001b[31m\ny\ud800"}`, "a\ufffdb",
			"x\ufffd[31m y\ufffd"},
		{"echoed token", 400, `{"code":"token-1","description":"bad token token-1"}`, "[redacted]", "bad token [redacted]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, reply(tt.status, tt.body))
			_, err := batchIDs(a.client(t).DeviceBatches(t.Context(), testCustomer, nil))
			e := errorOf(t, err)
			if e.Status != tt.status || e.Method != "GET" || e.URL != a.url+listPath {
				t.Errorf("%s %s: %d", e.Method, e.URL, e.Status)
			}
			if d := cmp.Diff([]string{tt.code, tt.description}, []string{e.ErrorCode(), e.Description}); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestError_hasTheAnswersIDs(t *testing.T) {
	t.Parallel()
	a := newAPI(t, reply(403, "", "MS-RequestId: theirs", "MS-CorrelationId: also theirs token-1"))
	l := Listing{CorrelationID: "ours"}
	_, err := batchIDs(a.client(t).DeviceBatches(t.Context(), testCustomer, &l))
	if e := errorOf(t, err); e.RequestID != "theirs" || e.CorrelationID != "also theirs [redacted]" ||
		l.RequestID != "theirs" {
		t.Errorf("request %q, correlation %q, listing's %q", e.RequestID, e.CorrelationID, l.RequestID)
	}
	a = newAPI(t, reply(403, ""))
	_, err = batchIDs(a.client(t).DeviceBatches(t.Context(), testCustomer, &l))
	if e := errorOf(t, err); e.RequestID != a.seen(header("MS-RequestId"))[0] || e.CorrelationID != "ours" {
		t.Errorf("request %q, correlation %q", e.RequestID, e.CorrelationID)
	}
}

func TestError_isOneLineWithAHint(t *testing.T) {
	t.Parallel()
	cause := errors.New("connection refused")
	tests := []struct {
		err  Error
		want string
	}{
		{Error{Method: "GET", URL: "https://host/v1/x", Status: 403, Code: "20002", Description: "The partner ID …",
			RequestID: "7f3c", Hint: "do it"},
			"GET https://host/v1/x: 403 Forbidden: 20002 The partner ID … (request 7f3c): do it"},
		{Error{Method: "GET", URL: "https://host/v1/x", Status: 599}, "GET https://host/v1/x: 599"},
		{Error{Method: "GET", URL: "https://host/v1/x", Status: 429, RequestID: "7f3c"},
			"GET https://host/v1/x: 429 Too Many Requests (request 7f3c)"},
		{Error{Method: "POST", URL: "https://host/token", Code: "connection", Err: cause},
			"POST https://host/token: connection: connection refused"},
	}
	for _, tt := range tests {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
		if tt.err.Err != nil && !errors.Is(&tt.err, cause) {
			t.Errorf("%v does not unwrap to its cause", &tt.err)
		}
	}
}

func TestError_hintsSayWhatToDo(t *testing.T) {
	t.Parallel()
	tests := []struct {
		err  Error
		want string
	}{
		{Error{Status: 401, Code: "900421"}, "multi-factor"},
		{Error{Status: 401, Code: "10001"}, "multi-factor"},
		{Error{Status: 401, Description: "Authentication failed. MFA required. (10001)"}, "multi-factor"},
		{Error{Status: 403, Code: "20002"}, "no reseller relationship"},
		{Error{Status: 401}, "App management"},
		{Error{Status: 403, Code: "2032"}, "permissions"},
		{Error{Status: 404}, "customer id"},
		{Error{Status: 429}, "requests_per_minute"},
		{Error{Status: 500}, ""},
	}
	for _, tt := range tests {
		got := hint(&tt.err, true)
		if !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%v: hint %q, want %q in it", &tt.err, got, tt.want)
		}
	}
}

func FuzzReadFault(f *testing.F) {
	for _, s := range []string{`{"code":"2000","description":"x"}`, `{"statusCode":429,"message":"y"}`, "text", "", "\ufeff{", `{"code":1e9}`, "\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		code, description := readFault(body)
		e := Error{Status: http.StatusBadRequest, Code: shorten(code, maxWord),
			Description: shorten(description, maxDescription)}
		if s := e.Error(); strings.ContainsAny(s, "\n\r\x00\x1b") {
			t.Errorf("control characters in %q", s)
		}
		if n := len(e.Description); n > maxDescription+len("…") {
			t.Errorf("%d bytes", n)
		}
		if e.ErrorCode() == "" {
			t.Errorf("no error code for %q", body)
		}
	})
}
