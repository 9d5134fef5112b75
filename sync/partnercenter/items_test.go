package partnercenter

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// decodeAll decodes the items of one page.
func decodeAll[T any](t testing.TB, items string, decode func(*items) (T, bool)) (all []T, l Listing) {
	t.Helper()
	for item := range decodePage(newItems(&l), []byte(items), decode) {
		all = append(all, item)
	}
	return all, l
}

func TestArray_isReadWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	decode := func(r *items) (got []string, ok bool) {
		for name := range r.members() {
			if string(name) != "a" {
				r.other(name)
				continue
			}
			got = array(r, "a", func(r *items) (string, bool) {
				s := r.shared("")
				if s == nil {
					return "", false
				}
				return *s, true
			})
		}
		return append(got, string(r.extra())), true
	}
	tests := []struct{ members, want string }{
		{``, ``},
		{`"a":null`, ``},
		{`"a":[]`, ``},
		{`"a":["x","y"]`, `x,y,`},
		{`"a" : [ "x" , "y" ] , "b":1`, `x,y,{"b":1}`},
		{`"a":["x",1,"y"],"b":[2]`, `{"b":[2],"a":["x",1,"y"]}`},
		{`"a":[null]`, `{"a":[null]}`},
		{`"a":[["x"]]`, `{"a":[["x"]]}`},
		{`"a":{"x":[1]}`, `{"a":{"x":[1]}}`},
		{`"a":"x"`, `{"a":"x"}`},
		{`"a":[1],"a":["x"]`, `x,`},
		{`"a":["x"],"a":[1]`, `{"a":[1]}`},
		{`"a":["x"],"a":null`, ``},
	}
	for _, tt := range tests {
		got, l := decodeAll(t, `[{`+tt.members+`}]`, decode)
		if s := strings.Join(got[0], ","); s != tt.want || l.Misfits != strings.Count(tt.want, `"a":`) {
			t.Errorf("%s: %s with %d misfits, want %s", tt.members, s, l.Misfits, tt.want)
		}
	}
}

func FuzzItems(f *testing.F) {
	for _, s := range []string{
		documentedBatches, documentedDevices, documentedPolicies, onePage,
		`{"items":[{"id":"a","x":"\u0000","y":1e99999,"z":[{"a":"\ud800"}]}]}`,
		"{\"items\":[{\"id\":\"\xff\",\"\xff\\u0000\":{\"a\":1,\"a\":2}}]}", `{"items":[{"id":"a","status":1,"status":"x"}]}`,
		`{"items":[{"id":"a","policies":[{"key":"b"},{"key":"a","value":"x","note":[]},{"key":"a","value":null}]}]}`,
		"{\"items\":[{\"id\":\"a\",\"companyProfile\":{\"companyName\":\"\xff\",\"domain\":[],\"domain\":\"d\"},\"companyProfile\":7,\"relationshipToPartner\":\"reseller\"}]}",
		`{"items":[{"id":"a","policies":[{"key":5,"key":"b"},{"value":[[]]}],"policySettings":["b",{}],"policySettings":["b","a"]}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := readEnvelope(body)
		if err != nil {
			return
		}
		for _, b := range decodeEach(t, e, decodeDeviceBatch) {
			checkItem(t, b.ID, b.Extra, b.CreationDate)
		}
		for _, d := range decodeEach(t, e, decodeDevice) {
			checkItem(t, d.ID, d.Extra, d.UploadedDate)
			checkAssignments(t, d.Policies)
		}
		for _, p := range decodeEach(t, e, decodeConfigurationPolicy) {
			checkItem(t, p.ID, p.Extra, p.CreatedDate, p.LastModifiedDate)
			if !slices.IsSorted(p.PolicySettings) {
				t.Errorf("settings %q", p.PolicySettings)
			}
		}
		for _, c := range decodeEach(t, e, decodeCustomer) {
			checkItem(t, c.ID, nil)
			for _, s := range []*string{c.CompanyName, c.Domain, c.Relationship} {
				if s != nil && !utf8.ValidString(*s) {
					t.Errorf("customer %q: %q", c.ID, *s)
				}
			}
		}
	})
}

// decodeEach decodes a page's items and checks that each is accounted for.
func decodeEach[T any](t *testing.T, e envelope, decode func(*items) (T, bool)) []T {
	t.Helper()
	all, l := decodeAll(t, string(e.items), decode)
	var elements []json.RawMessage
	if err := json.Unmarshal(slices.Concat(e.items), &elements); e.items != nil && err != nil && utf8.Valid(e.items) {
		t.Errorf("items %q: %v", e.items, err)
	} else if err == nil && len(all)+l.Skipped != len(elements) || l.Items != len(all)+l.Skipped {
		t.Errorf("%d decoded and %d skipped of %d items", len(all), l.Skipped, len(elements))
	}
	return all
}

// checkItem checks what every decoded item promises.
func checkItem(t *testing.T, id string, extra []byte, dates ...*time.Time) {
	t.Helper()
	if id == "" || !utf8.ValidString(id) {
		t.Errorf("id %q", id)
	}
	for _, at := range dates {
		if at != nil && (at.Year() < 2 || at.Year() > 9999) {
			t.Errorf("date %v", at)
		}
	}
	if extra == nil {
		return
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(extra, &members); err != nil || !utf8.Valid(extra) || len(members) == 0 {
		t.Errorf("extra %q: %v", extra, err)
	}
	if strings.Contains(strings.ReplaceAll(string(extra), `\\`, ""), `\u0000`) {
		t.Errorf("NUL in extra %q", extra)
	}
}

func checkAssignments(t *testing.T, all []PolicyAssignment) {
	t.Helper()
	for i, a := range all {
		if !utf8.ValidString(a.Key) || a.Value != nil && !utf8.ValidString(*a.Value) {
			t.Errorf("assignment %+v", a)
		}
		if i == 0 || all[i-1].Key < a.Key {
			continue
		}
		before := all[i-1]
		if before.Key > a.Key || before.Value != nil && (a.Value == nil || *before.Value > *a.Value) {
			t.Errorf("%+v before %+v", before, a)
		}
	}
}

// benchmarkDecode decodes a list of n items.
func benchmarkDecode[T any](b *testing.B, body string, n int, decode func(*items) (T, bool)) {
	b.Helper()
	page := []byte(body)
	b.ReportAllocs()
	b.SetBytes(int64(len(page)))
	for b.Loop() {
		e, err := readEnvelope(page)
		if err != nil {
			b.Fatal(err)
		}
		got := 0
		for range decodePage(newItems(new(Listing)), e.items, decode) {
			got++
		}
		if got != n {
			b.Fatalf("%d items", got)
		}
	}
}
