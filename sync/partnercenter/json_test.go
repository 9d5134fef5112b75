package partnercenter

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// decodeAll decodes the items of one page.
func decodeAll[T any](t testing.TB, items string, decode func(*itemReader) T) (all []T, l Listing) {
	t.Helper()
	for item := range decodeItems(&l, page{items: []byte(items)}, decode) {
		all = append(all, item)
	}
	return all, l
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
		p, err := readPage(body)
		if err != nil {
			return
		}
		for _, b := range decodeEach(t, p.items, decodeDeviceBatch) {
			checkItem(t, b.ID, b.Extra, b.CreationDate)
		}
		for _, d := range decodeEach(t, p.items, decodeDevice) {
			checkItem(t, d.ID, d.Extra, d.UploadedDate)
			checkAssignments(t, d.Policies)
		}
		for _, c := range decodeEach(t, p.items, decodeConfigurationPolicy) {
			checkItem(t, c.ID, c.Extra, c.CreatedDate, c.LastModifiedDate)
			if !slices.IsSorted(c.PolicySettings) {
				t.Errorf("settings %q", c.PolicySettings)
			}
		}
		for _, c := range decodeEach(t, p.items, decodeCustomer) {
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
func decodeEach[T any](t *testing.T, items []byte, decode func(*itemReader) T) []T {
	t.Helper()
	all, l := decodeAll(t, string(items), decode)
	var elements []json.RawMessage
	if err := json.Unmarshal(slices.Concat(items), &elements); items != nil && err != nil && utf8.Valid(items) {
		t.Errorf("items %q: %v", items, err)
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
func benchmarkDecode[T any](b *testing.B, list string, n int, decode func(*itemReader) T) {
	b.Helper()
	body := []byte(list)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		p, err := readPage(body)
		if err != nil {
			b.Fatal(err)
		}
		got := 0
		p.customer = customerOf([]byte(listPath))
		for range decodeItems(new(Listing), p, decode) {
			got++
		}
		if got != n {
			b.Fatalf("%d items", got)
		}
	}
}

func TestCopyStorable_writesWhatDatabasesTake(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("1", 1001)
	tests := []struct{ in, want string }{
		{` { "a" : [ 1 , true , null , "b" ] } `, `{"a":[1,true,null,"b"]}`},
		{`"\u0000a\u0000"`, "\"\ufffda\ufffd\""},
		{`"\\u0000"`, `"\\u0000"`},
		{`"\\\u0000"`, `"\\` + "\ufffd\""},
		{`{"\u0000":"\""}`, "{\"\ufffd\":\"\\\"\"}"},
		{`"\ud800"`, "\"\ufffd\""},
		{"\"\xff\"", "\"\ufffd\""},
		{`"\u00e9\/"`, `"é/"`},
		{`[1.50,-0,1e5,1E+300]`, `[1.50,-0,1e5,1E+300]`},
		{`[1e1000,-1E-99999,{"a":` + long + `}]`, `["1e1000","-1E-99999",{"a":"` + long + `"}]`},
		{long[:1000], long[:1000]},
		{`{"a":1,"a":2}`, `{"a":1,"a":2}`},
	}
	for _, tt := range tests {
		var got strings.Builder
		replaced := copyStorable(jsontext.NewEncoder(&got, lenient), []byte(tt.in))
		if strings.TrimSpace(got.String()) != tt.want || replaced != strings.Contains(tt.want, "\ufffd") {
			t.Errorf("%s: %s, replaced %t; want %s", tt.in, got.String(), replaced, tt.want)
		}
	}
}

func TestExtra_cleansNames(t *testing.T) {
	t.Parallel()
	var l Listing
	r := &itemReader{listing: &l, unknown: []member{{"a\x00\"\xff", []byte(`1`)}}}
	if got, want := string(r.extra()), "{\"a\ufffd\\\"\ufffd\":1}"; got != want || l.Replaced != 1 {
		t.Errorf("%s with %d replaced, want %s", got, l.Replaced, want)
	}
}

func TestParseTime_readsWhatTheAPIWrites(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"2017-07-25T01:51:00", "2017-07-25T01:51:00Z"},
		{"2017-08-09T14:43:26.0092288-07:00", "2017-08-09T21:43:26.0092288Z"},
		{"2020-01-30T09:10:33.2417951+01:00", "2020-01-30T08:10:33.2417951Z"},
		{"2020-09-02T23:26:19.7753934Z", "2020-09-02T23:26:19.7753934Z"},
		{"2020-09-02T23:26:19.5", "2020-09-02T23:26:19.5Z"},
		{"2020-09-02T23:26:19.123456789123456Z", "2020-09-02T23:26:19.123456789Z"},
		{"2020-09-02t23:26:19z", "2020-09-02T23:26:19Z"},
		{"2020-09-02 23:26:19", "2020-09-02T23:26:19Z"},
		{"2020-09-02 23:26:19+05:30", "2020-09-02T17:56:19Z"},
		{"2020-09-02", "2020-09-02T00:00:00Z"},
		{"0001-01-01T00:00:00", "0001-01-01T00:00:00Z"},
		{"", ""},
		{"2020-09-02T", ""},
		{"2020-09-02Z", ""},
		{"2020-09-02T23:26", ""},
		{"2020-02-30T00:00:00Z", ""},
		{"2020-09-02T24:00:00Z", ""},
		{"2020-09-02T23:26:19+1:00", ""},
		{"10000-01-01T00:00:00Z", ""},
		{"/Date(1599089179000)/", ""},
		{" 2020-09-02", ""},
	}
	for _, tt := range tests {
		got, ok := parseTime(tt.in)
		if ok != (tt.want != "") || ok && got.Format(time.RFC3339Nano) != tt.want {
			t.Errorf("%q: %v, %v; want %q", tt.in, got, ok, tt.want)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"2017-07-25T01:51:00", "2017-08-09T14:43:26.0092288-07:00", "2020-09-02", "2020-09-02t23:26:19z", "0001-01-01T00:00:00+14:00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseTime(s)
		if !ok {
			return
		}
		if got.Location() != time.UTC {
			t.Errorf("%q is in %v", s, got.Location())
		}
		if y := got.Year(); y < 1 || y > 9999 {
			return // cannot be written as RFC 3339 again
		}
		if again, ok := parseTime(got.Format(time.RFC3339Nano)); !ok || !again.Equal(got) {
			t.Errorf("%q: %v, read again as %v", s, got, again)
		}
	})
}
