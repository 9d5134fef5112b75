package partnercentertest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "Test batch", `q"\`, "\x00\t\r\n\x1f", "Büro Köln 🥐", "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			t.Skip("goes out as it is")
		}
		var got string
		if err := json.Unmarshal(appendString(nil, s), &got); err != nil || got != s {
			t.Errorf("%q came back as %q: %v", s, got, err)
		}
	})
}

func FuzzServeHTTP(f *testing.F) {
	f.Add("GET", "/v1/customers?size=2&seekOperation=Next", "AQAAAA==", "")
	f.Add("GET", "/v1//Customers/c1/DeviceBatches?", "", "")
	f.Add("POST", "/"+DefaultTenantID+"/oauth2/v2.0/token", "", "grant_type=client_credentials&client_id=%zz&scope=;")
	f.Add("", "//%2F%2e/*", "\xff", "a=b")
	f.Fuzz(func(t *testing.T, method, target, token, form string) {
		u, err := url.Parse(target)
		if err != nil {
			t.Skip("the server refuses it before the emulator")
		}
		e := New(Options{PageSize: 1})
		for _, id := range []string{"c1", "c2"} {
			e.AddCustomer(Customer{ID: id})
		}
		r := &http.Request{Method: method, URL: u, Body: io.NopCloser(strings.NewReader(form)), Header: http.Header{}}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", "Bearer "+e.newToken())
		r.Header.Set("MS-ContinuationToken", token)
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if body := bytes.TrimPrefix(w.Body.Bytes(), []byte(bom)); w.Code > 405 || !json.Valid(body) {
			t.Errorf("%d %q", w.Code, body)
		}
	})
}

func TestAppendString_badUTF8GoesOutAsItIs(t *testing.T) {
	t.Parallel()
	if got := string(appendString(nil, "a\xffb")); got != "\"a\xffb\"" {
		t.Errorf("got %q", got)
	}
}
