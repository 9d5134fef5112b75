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
			return // goes out as it is
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
	f.Add("GET", "/v1/customers/c1/deviceBatches/b%201/devices", "AQAAAA==", "")
	f.Add("POST", "/v1/customers/c1/deviceBatches", "", `{"BatchId":"new","Devices":[{"ProductKey":"k"}]}`)
	f.Add("POST", "/v1/customers/c1/deviceBatches/b%201/devices", "", `[{"hardwareHash":"h"}]`)
	f.Add("PUT", "/v1/customers/c1/deviceBatches/b%201/devices/d", "", `{"policies":[{"key":"o_o_b_e","value":"x"}]}`)
	f.Add("DELETE", "/v1/customers/c1/deviceBatches/b%201/devices/d", "", "")
	f.Add("PATCH", "/v1/customers/c1/DevicePolicyUpdates", "",
		`{"Devices":[{"Id":"d","Policies":[{"Key":"o_o_b_e","Value":null}]}]}`)
	f.Add("POST", "/v1/customers/c1/policies", "", bom+`{"Name":"p","PolicySettings":["none"]}`)
	f.Add("PUT", "/v1/customers/c1/policies/p", "", `{"category":"","policySettings":null}`)
	f.Fuzz(func(t *testing.T, method, target, token, body string) {
		u, err := url.Parse(target)
		if err != nil {
			return // the server refuses it before the emulator
		}
		e := New(Options{PageSize: 1, DevicePageSize: 1, Paging: NextLinkAndToken})
		for _, id := range []string{"c1", "c2"} {
			e.AddCustomer(Customer{ID: id})
			e.PutPolicy(id, Policy{ID: "p", Name: "policy"})
			e.PutBatch(id, Batch{ID: "b 1"})
			e.PutDevices(id, "b 1", Device{ID: "d", ProductKey: id}, Device{ID: "e"})
		}
		r := &http.Request{Method: method, URL: u, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{}}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization",
			"Bearer "+e.newToken(&query{scope: []string{"https://api.partnercenter.microsoft.com/.default"}}, nil))
		r.Header.Set("MS-ContinuationToken", token)
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if w.Code > 409 || !answersWell(w) {
			t.Errorf("%d %q", w.Code, w.Body)
		}
		// What was written can be read.
		for _, path := range []string{"deviceBatches", "deviceBatches/b%201/devices", "policies"} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/customers/c1/"+path, nil)
			r.Header.Set("Authorization",
				"Bearer "+e.newToken(&query{scope: []string{"https://api.partnercenter.microsoft.com/.default"}}, nil))
			w := httptest.NewRecorder()
			if e.ServeHTTP(w, r); w.Code != http.StatusOK || !answersWell(w) {
				t.Errorf("%s: %d %q", path, w.Code, w.Body)
			}
		}
	})
}

// answersWell reports whether an answer's body is what its status promises: nothing or JSON.
func answersWell(w *httptest.ResponseRecorder) bool {
	if w.Code == http.StatusAccepted || w.Code == http.StatusNoContent {
		return w.Body.Len() == 0
	}
	return json.Valid(bytes.TrimPrefix(w.Body.Bytes(), []byte(bom)))
}

func TestAppendString_badUTF8GoesOutAsItIs(t *testing.T) {
	t.Parallel()
	if got := string(appendString(nil, "a\xffb")); got != "\"a\xffb\"" {
		t.Errorf("got %q", got)
	}
}

func FuzzParseAssertion(f *testing.F) {
	f.Add("e30.e30.c2ln")
	f.Add("e30.bnVsbA.")
	f.Add("..")
	f.Fuzz(func(t *testing.T, text string) {
		a, ok := parseAssertion(text)
		if ok && a.signed+"." != text[:len(a.signed)+1] {
			t.Errorf("signed %q of %q", a.signed, text)
		}
	})
}
