package partnercenter

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const listPath = "/pre/fix/v1/customers/" + testCustomer + "/deviceBatches"

// pages returns a handler that serves each body once.
func pages(bodies ...string) []http.HandlerFunc {
	var all []http.HandlerFunc
	for _, b := range bodies {
		all = append(all, reply(200, b))
	}
	return all
}

func TestListing_followsEveryFormOfPaging(t *testing.T) {
	t.Parallel()
	const last = `{"totalCount":1,"items":[{"id":"b"}]}`
	link := func(members string) string {
		return `{"totalCount":1,"items":[{"id":"a"}],"links":{"self":{"uri":"/x"},"next":{` + members + `}}}`
	}
	tests := []struct{ name, first, uri, token string }{
		{"token", `{"items":[{"id":"a"}],"continuationToken":"t=="}`, listPath + "?seekOperation=Next", "t=="},
		{"link", link(`"uri":"/customers/x?size=2&seekOperation=Next","method":"GET","headers":[{"key":"MS-ContinuationToken","value":"AQAAAA=="}]`),
			"/pre/fix/v1/customers/x?size=2&seekOperation=Next", "AQAAAA=="},
		{"link with /v1", link(`"uri":"/v1/customers/x"`), "/pre/fix/v1/customers/x", ""},
		{"link and token of the body", `{"items":[{"id":"a"}],"continuationToken":"t","links":{"next":{"uri":"customers/x"}}}`,
			"/pre/fix/v1/customers/x", "t"},
		{"link's token before the body's",
			`{"items":[{"id":"a"}],"continuationToken":"t","links":{"next":{"uri":"/customers","headers":[{"key":"ms-continuationtoken","value":"u"}]}}}`,
			"/pre/fix/v1/customers", "u"},
		{"link without uri", link(`"headers":[{"key":"MS-ContinuationToken","value":"u"}]`), listPath +
			"?seekOperation=Next", "u"},
		{"raw spaces, second ?", link(`"uri":"/customers/x/deviceBatches/Test batch/devices?size=2?seekOperation=Next"`),
			"/pre/fix/v1/customers/x/deviceBatches/Test%20batch/devices?size=2&seekOperation=Next", ""},
		{"empty page between", `{"totalCount":0,"continuationToken":"t"}`, listPath + "?seekOperation=Next", "t"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, pages(tt.first, last)...)
			var l Listing
			ids, err := batchIDs(a.client(t).DeviceBatches(t.Context(), testCustomer, &l))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(ids, ""); !strings.HasSuffix("ab", got) || l.Pages != 2 || l.Items != len(ids) {
				t.Errorf("ids %q, %d pages, %d items", ids, l.Pages, l.Items)
			}
			if d := cmp.Diff([]string{listPath, tt.uri}, a.seen(uri)); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff([]string{"", tt.token}, a.seen(header("MS-ContinuationToken"))); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestListing_eachPageIsAnOperationOfOneCorrelation(t *testing.T) {
	t.Parallel()
	a := newAPI(t, pages(`{"items":[],"continuationToken":"1"}`, `{"items":[],"continuationToken":"2"}`,
		`{"items":null}`)...)
	if _, err := batchIDs(a.client(t).DeviceBatches(t.Context(), testCustomer, nil)); err != nil {
		t.Fatal(err)
	}
	requests, correlations := a.seen(header("MS-RequestId")), a.seen(header("MS-CorrelationId"))
	if requests[0] == requests[1] || requests[1] == requests[2] {
		t.Errorf("request ids %q", requests)
	}
	if correlations[0] == "" || correlations[0] != correlations[1] || correlations[1] != correlations[2] {
		t.Errorf("correlation ids %q", correlations)
	}
	if d := cmp.Diff([]string{listPath, listPath + "?seekOperation=Next", listPath + "?seekOperation=Next"},
		a.seen(uri)); d != "" {
		t.Error(d)
	}
}

func TestListing_serverHeadersNeverReplaceOurs(t *testing.T) {
	t.Parallel()
	a := newAPI(t, pages(`{"items":[],"links":{"next":{"uri":"/customers/x","headers":[
		{"key":"Authorization","value":"Bearer theirs"},{"key":"Host","value":"elsewhere"},{"key":"Cookie","value":"c"},
		{"key":"MS-RequestId","value":"r"},{"key":"Content-Length","value":"9"},{"key":"MS-Contract-Version","value":"v1"},
		{"key":" MS-ContinuationToken","value":"spaced"},{"key":null,"value":null}]}}}`, onePage)...)
	if _, err := batchIDs(a.client(t).DeviceBatches(t.Context(), testCustomer, nil)); err != nil {
		t.Fatal(err)
	}
	r := a.requests[1]
	if r.Header.Get("Authorization") != "Bearer token-1" || !strings.HasSuffix(a.url, r.Host) ||
		r.Header.Get("Cookie") != "" ||
		r.Header.Get("MS-RequestId") == "r" || r.Header.Get("MS-Contract-Version") != "v1" ||
		r.Header.Get("MS-ContinuationToken") != "spaced" {
		t.Errorf("host %q, header %v", r.Host, r.Header)
	}
}

func TestListing_incompleteEndsInErrorAfterItsItems(t *testing.T) {
	t.Parallel()
	token := `{"items":[{"id":"a"}],"continuationToken":"t"}`
	next := func(uri string) string { return `{"items":[{"id":"a"}],"links":{"next":{"uri":"` + uri + `"}}}` }
	tests := []struct {
		name    string
		answers []http.HandlerFunc
		ids     string
		code    string
	}{
		{"repeated token", pages(token, token), "aa", "incomplete_listing"},
		{"token once more later", pages(token, `{"items":[],"continuationToken":"u"}`, token), "aa", "incomplete_listing"},
		{"repeated link", pages(next("/customers?p=2"), next("/customers?p=2")), "aa", "incomplete_listing"},
		{"link to itself", pages(next("/customers/" + testCustomer + "/deviceBatches")), "a", "incomplete_listing"},
		{"fewer items than stated", pages(`{"totalCount":2,"items":[{"id":"a"}]}`), "a", "incomplete_listing"},
		{"fewer than an earlier page stated",
			pages(`{"totalCount":3,"items":[{"id":"a"}],"continuationToken":"t"}`, onePage), "aa", "incomplete_listing"},
		{"item without an id", pages(`{"totalCount":2,"items":[{"id":null},{"id":"a"}]}`), "a", "incomplete_listing"},
		{"item that is no object", pages(token, `{"items":["b",{"id":"c"}]}`), "ac", "incomplete_listing"},
		{"nothing but items without an id", pages(`{"items":[{},{"id":""}]}`), "", "incomplete_listing"},
		{"error on the second page", []http.HandlerFunc{reply(200, token), reply(403, `{"code":"20002"}`)}, "a", "20002"},
		{"no JSON on the second page", pages(token, `{"items":[{"id":"b"}`), "a", "bad_response"},
		{"link to another host", pages(next("https://elsewhere.test/v1/customers")), "a", "bad_response"},
		{"token of another type", pages(`{"items":[{"id":"a"}],"continuationToken":5}`), "a", "bad_response"},
		{"token that no header holds", pages(`{"items":[{"id":"a"}],"continuationToken":"a\r\nHost: b"}`), "a",
			"bad_response"},
		{"unreadable link", pages(`{"items":[{"id":"a"}],"links":{"next":"/customers"}}`), "a", "bad_response"},
		{"unparsable link", pages(next("/customers/100%")), "a", "bad_response"},
		{"unreadable link before the items",
			pages(`{"links":{"next":{"uri":5,"x":{}},"self":{}},"items":[{"id":"a"},{"id":"b"}]}`), "ab", "bad_response"},
		{"unreadable header of a link",
			pages(`{"links":{"next":{"headers":[5,{}],"uri":"/customers"}},"items":[{"id":"a"}]}`), "a", "bad_response"},
		{"unreadable link of the second page", pages(token, `{"links":{"next":[]},"items":[{"id":"b"}]}`), "ab",
			"bad_response"},
		{"link to another host on the second page", pages(token, next("//elsewhere.test/v1/customers")), "aa",
			"bad_response"},
		{"unreadable link, then no JSON", pages(`{"items":[{"id":"a"}],"links":{"next":5}`), "", "bad_response"},
		{"unreadable token without items", pages(`{"continuationToken":5}`), "", "bad_response"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := Listing{Known: []byte("something else")}
			ids, err := batchIDs(newAPI(t, tt.answers...).client(t).DeviceBatches(t.Context(), testCustomer, &l))
			if got := strings.Join(ids, ""); got != tt.ids {
				t.Errorf("ids %q, want %q", got, tt.ids)
			}
			if e := errorOf(t, err); e.ErrorCode() != tt.code || e.RequestID == "" || e.RequestID != l.RequestID ||
				!strings.Contains(e.URL, listPath[:16]) {
				t.Errorf("error %v, last request %s", e, l.RequestID)
			}
			if l.Digest != nil || l.Unchanged || l.SentAt.IsZero() || l.Items != len(ids)+l.Skipped {
				t.Errorf("listing %+v", l)
			}
		})
	}
}

func TestListing_itemsWithoutAnIDAreCountedInItsError(t *testing.T) {
	t.Parallel()
	const first = `{"totalCount":2,"items":[{"id":"a"},{}],"continuationToken":"t"}`
	list := func(l *Listing) *Error {
		const second = `{"items":[{"id":5},{"id":"b"},null]}`
		a := newAPI(t, reply(200, first, "MS-RequestId: of-the-first"), reply(200, second))
		ids, err := batchIDs(a.client(t).DeviceBatches(t.Context(), testCustomer, l))
		if strings.Join(ids, "") != "ab" || l.Items != 5 || l.Skipped != 3 || l.Digest != nil {
			t.Errorf("ids %q, listing %+v", ids, l)
		}
		return errorOf(t, err)
	}
	e := list(new(Listing))
	if e.RequestID != "of-the-first" || !strings.Contains(e.Error(), "3 of 5 items had no usable id") ||
		!strings.Contains(e.Hint, "quote the request id to Microsoft's support") {
		t.Errorf("error %v", e)
	}
	if e = list(&Listing{Known: []byte("something else")}); e.RequestID != "of-the-first" {
		t.Errorf("error %v", e)
	}
}

func TestListing_customersWithoutAUUIDMakeItIncomplete(t *testing.T) {
	t.Parallel()
	a := newAPI(t, reply(200, `{"totalCount":2,"items":[{"id":"contoso"},{"id":"`+strings.ToUpper(testCustomer)+`"}]}`))
	var ids []string
	var last error
	for c, err := range a.client(t).Customers(t.Context(), nil) {
		if last = err; err == nil {
			ids = append(ids, c.ID)
		}
	}
	if d := cmp.Diff([]string{testCustomer}, ids); d != "" {
		t.Error(d)
	}
	e := errorOf(t, last)
	if e.ErrorCode() != "incomplete_listing" || e.Description != "1 of 2 items had no usable id" {
		t.Errorf("error %v", e)
	}
}

func TestListing_stopsAtItsLimits(t *testing.T) {
	t.Parallel()
	endless := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"items":[{"id":"a"}],"continuationToken":"%s0"}`, r.Header.Get("MS-ContinuationToken"))
	}
	tests := []struct {
		name  string
		limit func(*Client)
		pages int
	}{
		{"pages", func(c *Client) { c.maxPages = 7 }, 7},
		{"bytes", func(c *Client) { c.maxListing = 100 }, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newAPI(t, endless).client(t)
			tt.limit(c)
			var l Listing
			ids, err := batchIDs(c.DeviceBatches(t.Context(), testCustomer, &l))
			if errorOf(t, err).ErrorCode() != "incomplete_listing" || len(ids) != tt.pages || l.Pages != tt.pages {
				t.Errorf("error %v after %d items of %d pages", err, len(ids), l.Pages)
			}
		})
	}
}

func TestListing_sameBytesAreUnchanged(t *testing.T) {
	t.Parallel()
	const first = `{"items":[{"id":"a"}],"continuationToken":"t"}`
	a := newAPI(t, pages(first, onePage, first, onePage, first, onePage+" ", first+" ")...)
	c := a.client(t)
	var l Listing
	if ids, err := batchIDs(c.DeviceBatches(t.Context(), testCustomer, &l)); err != nil || len(ids) != 2 {
		t.Fatalf("ids %q, error %v", ids, err)
	}
	l.Known = l.Digest
	ids, err := batchIDs(c.DeviceBatches(t.Context(), testCustomer, &l))
	if err != nil || ids != nil || !l.Unchanged || !bytes.Equal(l.Digest, l.Known) || l.Items != 0 || l.Pages != 2 ||
		l.Requests != 2 {
		t.Errorf("ids %q, error %v, listing %+v", ids, err, l)
	}
	ids, err = batchIDs(c.DeviceBatches(t.Context(), testCustomer, &l))
	if err != nil || len(ids) != 2 || l.Unchanged || bytes.Equal(l.Digest, l.Known) {
		t.Errorf("ids %q, error %v, listing %+v", ids, err, l)
	}
}

func TestListing_unchangedBytesAreNotParsed(t *testing.T) {
	t.Parallel()
	const nonsense = "<html>"
	p := newPager(nil, new(Listing))
	p.add(&answer{body: []byte(nonsense)})
	l := Listing{Known: p.digest[:]}
	a := newAPI(t, reply(200, nonsense))
	if _, err := batchIDs(a.client(t).DeviceBatches(t.Context(), testCustomer, &l)); err != nil || !l.Unchanged {
		t.Errorf("error %v, listing %+v", err, l)
	}
}

func TestListing_digestKeepsPagesApart(t *testing.T) {
	t.Parallel()
	sum := func(bodies ...string) string {
		p := newPager(nil, new(Listing))
		for _, body := range bodies {
			p.add(&answer{body: []byte(body)})
		}
		return string(p.digest[:])
	}
	if sum("ab", "c") == sum("a", "bc") || sum("abc") == sum("ab", "c") {
		t.Error("different pages have the same digest")
	}
}

func TestListing_badResponsesSayWhatCame(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 200)
	tests := []struct{ name, body, contentType, want string }{
		{"empty", "", "text/plain", `the answer is no list: text/plain: an empty body`},
		{"only a byte order mark", "\ufeff", "text/plain", `the answer is no list: text/plain: ""`},
		{"HTML", "<html>\n<body>\x00", "text/html", `the answer is no list: text/html: "<html> <body>` + "\ufffd" + `"`},
		{"long", long, "text/plain", `the answer is no list: text/plain: "` + long[:80] + `…"`},
		{"array", `[]`, "application/json", `the answer is no list: application/json: "[]"`},
		{"null", `null`, "application/json", `the answer is no list: application/json: "null"`},
		{"neither items nor totalCount", `{}`, "application/json", `the answer is no list: application/json: "{}"`},
		{"items missing", `{"totalCount":1}`, "application/json",
			`the answer is no list: application/json: "{\"totalCount\":1}"`},
		{"items of another type", `{"items":{}}`, "application/json",
			`the answer is no list: application/json: "{\"items\":{}}"`},
		{"something after it", `{"items":[]}]`, "application/json",
			`the answer is no list: application/json: "{\"items\":[]}]"`},
		{"the token in it", `{"a":"token-1"}`, "application/json",
			`the answer is no list: application/json: "{\"a\":\"[redacted]\"}"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, reply(200, tt.body, "Content-Type: "+tt.contentType))
			_, err := batchIDs(a.client(t).DeviceBatches(t.Context(), testCustomer, nil))
			e := errorOf(t, err)
			if e.ErrorCode() != "bad_response" || e.Status != 200 || len(a.seen(uri)) != 1 {
				t.Errorf("error %v", e)
			}
			if d := cmp.Diff(tt.want, e.Description); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestListing_toleratesOddEnvelopes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		ids        string
	}{
		{"items null", `{"items":null}`, ""},
		{"no items of none", `{"totalCount":0.0}`, ""},
		{"totalCount of other types", `{"totalCount":"5","items":[{"id":"a"}]}`, "a"},
		{"totalCount -1", `{"totalCount":-1,"items":[{"id":"a"}]}`, "a"},
		{"more items than stated", `{"totalCount":1,"items":[{"id":"a"},{"id":"b"}]}`, "ab"},
		{"white space", " \r\n{ \"items\" : [ {\"id\":\"a\"} , {\"id\":\"b\"} ] } \n", "ab"},
		{"equal names, the last counts",
			`{"items":[{"id":"a"}],"items":[{"id":"b"}],"continuationToken":"t","continuationToken":""}`, "b"},
		{"no next", `{"items":[{"id":"a"}],"links":{"next":null},"continuationToken":null}`, "a"},
		{"links of another type", `{"items":[{"id":"a"}],"links":[]}`, "a"},
		{"next without anything", `{"items":[{"id":"a"}],"links":{"next":{"uri":null,"headers":null}}}`, "a"},
		{"escaped names", `{"\u0069tems":[{"i\u0064":"a"}]}`, "a"},
		{"invalid Unicode", "{\"items\":[{\"id\":\"a\xff\"}],\"\xff\":\"\\ud800\"}", "a\ufffd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ids, err := batchIDs(newAPI(t, reply(200, tt.body)).client(t).DeviceBatches(t.Context(), testCustomer, nil))
			if got := strings.Join(ids, ""); err != nil || got != tt.ids {
				t.Errorf("ids %q, error %v", got, err)
			}
		})
	}
}

func TestListing_canBeLeftEarlyAndUsedAgain(t *testing.T) {
	t.Parallel()
	a := newAPI(t, reply(200, `{"items":[{"id":"a"},{"id":"b"}]}`))
	var l Listing
	list := a.client(t).DeviceBatches(t.Context(), testCustomer, &l)
	for b := range list {
		if b.ID != "a" {
			t.Errorf("first item %q", b.ID)
		}
		break
	}
	correlation := l.CorrelationID
	ids, err := batchIDs(list)
	if err != nil || len(ids) != 2 || l.Items != 2 || l.Requests != 1 || l.CorrelationID != correlation {
		t.Errorf("ids %q, error %v, listing %+v", ids, err, l)
	}
}

func TestListing_hasTheIDsOfTheAnswer(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("MS-RequestId", "their request")
		w.Header().Set("MS-CorrelationId", "their correlation")
		fmt.Fprint(w, onePage)
	})
	l := Listing{CorrelationID: "ours"}
	if _, err := batchIDs(a.client(t).DeviceBatches(t.Context(), testCustomer, &l)); err != nil {
		t.Fatal(err)
	}
	if l.RequestID != "their request" || l.Answered != "their correlation" || l.CorrelationID != "ours" {
		t.Errorf("listing %+v", l)
	}
}
