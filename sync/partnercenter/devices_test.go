package partnercenter

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The response of the API documentation's "Get a list of devices for the specified batch and customer", with the byte
// order mark and without the white space that it has there. " attributes" is the documentation's own.
const documentedDevices = "\ufeff" + `{"totalCount":2,"items":[{"id":"7c141ea9-2816-4e15-a819-53f6856499ff",` +
	`"serialNumber":"2R9-ZNP67","productKey":"00329-00000-0003-AA6069","modelName":"Precision WorkStation T7500",` +
	`"oemManufacturerName":"Dell Inc.","policies":[{"key":"o_o_b_e","value":null}],` +
	`"uploadedDate":"2017-08-09T14:43:26.0092288-07:00"," attributes":{"objectType":"Device"}},` +
	`{"id":"e528a62f-5031-49f4-bea7-5fafe47388fd","serialNumber":"1234567890",` +
	`"productKey":"12345-67890-09876-54321-13579","modelName":"HP Z420 Workstation",` +
	`"oemManufacturerName":"Hewlett-Packard","policies":[{"key":"o_o_b_e","value":null}],` +
	`"uploadedDate":"2017-08-09T14:35:51.3126144-07:00","attributes":{"objectType":"Device"}}],` +
	`"attributes":{"objectType":"Collection"}}`

func TestDevices_readsTheDocumentedResponse(t *testing.T) {
	t.Parallel()
	a := newAPI(t, reply(200, documentedDevices))
	var l Listing
	got := readAll(t, a.client(t).Devices(t.Context(), testCustomer, "Test batch", &l))
	none := []PolicyAssignment{{Key: "o_o_b_e"}}
	want := []Device{{
		ID: "7c141ea9-2816-4e15-a819-53f6856499ff", SerialNumber: new("2R9-ZNP67"),
		ProductKey: new("00329-00000-0003-AA6069"),
		ModelName:  new("Precision WorkStation T7500"), OEMManufacturerName: new("Dell Inc."),
		UploadedDate: new(time.Date(2017, 8, 9, 21, 43, 26, 9228800, time.UTC)), Policies: none,
	}, {
		ID: "e528a62f-5031-49f4-bea7-5fafe47388fd", SerialNumber: new("1234567890"),
		ProductKey: new("12345-67890-09876-54321-13579"),
		ModelName:  new("HP Z420 Workstation"), OEMManufacturerName: new("Hewlett-Packard"),
		UploadedDate: new(time.Date(2017, 8, 9, 21, 35, 51, 312614400, time.UTC)), Policies: none,
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{listPath + "/Test%20batch/devices"}, a.seen(uri)); d != "" {
		t.Error(d)
	}
	if len(l.Digest) != 16 || l.Items != 2 || l.Skipped+l.Misfits+l.Replaced != 0 {
		t.Errorf("listing %+v", l)
	}
}

// tokenStyle writes what leads to the next page of a list.
type tokenStyle func(uri, token string) string

func bodyToken(_, token string) string { return `,"continuationToken":"` + token + `"` }

func linkToken(uri, token string) string {
	return `,"links":{"self":{"uri":"` + uri + `"},"next":{"uri":"` + uri +
		`?size=100&seekOperation=Next","method":"GET",` +
		`"headers":[{"key":"MS-ContinuationToken","value":"` + token + `"}]}}`
}

func bothTokens(uri, token string) string { return bodyToken(uri, token) + linkToken(uri, token) }

// serveDevices serves n devices, 100 a page. Links say that the list is at that uri.
func serveDevices(n int, style tokenStyle, uri string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		from := 0
		if token := r.Header.Get("MS-ContinuationToken"); token != "" {
			from, _ = strconv.Atoi(strings.TrimSuffix(token, "=="))
		}
		to := min(from+100, n)
		var items []string
		for i := range to - from {
			items = append(items, fmt.Sprintf(`{"id":"%d"}`, from+i))
		}
		next := ""
		if to < n {
			next = style(uri, fmt.Sprintf("%d==", to))
		}
		fmt.Fprintf(w, "\ufeff"+`{"totalCount":%d,"items":[%s]%s}`, len(items), strings.Join(items, ","), next)
	}
}

func TestDevices_readsEveryPage(t *testing.T) {
	t.Parallel()
	const path = listPath + "/b/devices"
	const linked = path + "?size=100&seekOperation=Next"
	tests := []struct {
		name  string
		style tokenStyle
		next  string
	}{
		{"token in the body", bodyToken, path + "?seekOperation=Next"},
		{"token in the link", linkToken, linked},
		{"both", bothTokens, linked},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, serveDevices(250, tt.style, "/customers/"+testCustomer+"/deviceBatches/b/devices"))
			var l Listing
			got := readAll(t, a.client(t).Devices(t.Context(), testCustomer, "b", &l))
			for i, d := range got {
				if d.ID != strconv.Itoa(i) {
					t.Fatalf("device %d is %q", i, d.ID)
				}
			}
			if len(got) != 250 || l.Items != 250 || l.Pages != 3 || len(l.Digest) != 16 {
				t.Errorf("%d devices, listing %+v", len(got), l)
			}
			if d := cmp.Diff([]string{path, tt.next, tt.next}, a.seen(uri)); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff([]string{"", "100==", "200=="}, a.seen(header("MS-ContinuationToken"))); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestDevices_repeatedTokenEndsInError(t *testing.T) {
	t.Parallel()
	for name, style := range map[string]tokenStyle{"body": bodyToken, "link": linkToken, "both": bothTokens} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, func(w http.ResponseWriter, _ *http.Request) {
				io.WriteString(w, `{"items":[{"id":"a"}]`+style("/customers/c/deviceBatches/b/devices", "again")+`}`)
			})
			var l Listing
			var devices int
			var last error
			for _, err := range a.client(t).Devices(t.Context(), "c", "b", &l) {
				if last = err; err == nil {
					devices++
				}
			}
			e := errorOf(t, last)
			if e.ErrorCode() != "incomplete_listing" || !strings.HasSuffix(e.URL, "/c/deviceBatches/b/devices") {
				t.Errorf("error %v", e)
			}
			if devices != 2 || l.Pages != 2 || l.Digest != nil {
				t.Errorf("%d devices, listing %+v", devices, l)
			}
		})
	}
}

func TestDevices_idsAreEscapedOnEveryPage(t *testing.T) {
	t.Parallel()
	tests := []struct{ id, escaped string }{
		{"Test batch", "Test%20batch"},
		{"Sales/EMEA", "Sales%2FEMEA"},
		{"50% off?", "50%25%20off%3F"},
		{"a%20b", "a%2520b"},
		{"#1 + more", "%231%20+%20more"},
		{"Ünï", "%C3%9Cn%C3%AF"},
	}
	// The service's links hold names as they are, with a version or without.
	links := map[string]string{"": "raw", "/v1": "raw, with version"}
	for _, tt := range tests {
		path := "/pre/fix/v1/customers/c%2Fd/deviceBatches/" + tt.escaped + "/devices"
		for version, style := range links {
			t.Run(tt.id+" "+style, func(t *testing.T) {
				t.Parallel()
				a := newAPI(t, serveDevices(101, linkToken, version+"/customers/c/d/deviceBatches/"+tt.id+"/devices"))
				if n := len(readAll(t, a.client(t).Devices(t.Context(), "c/d", tt.id, nil))); n != 101 {
					t.Errorf("%d devices", n)
				}
				if d := cmp.Diff([]string{path, path + "?size=100&seekOperation=Next"}, a.seen(uri)); d != "" {
					t.Error(d)
				}
			})
		}
		t.Run(tt.id+" token", func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, serveDevices(101, bodyToken, ""))
			if n := len(readAll(t, a.client(t).Devices(t.Context(), "c/d", tt.id, nil))); n != 101 {
				t.Errorf("%d devices", n)
			}
			if d := cmp.Diff([]string{path, path + "?seekOperation=Next"}, a.seen(uri)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestDevices_dotsAsAnIDAreRefusedUnsent(t *testing.T) {
	t.Parallel()
	tests := []struct{ customer, batch, url string }{
		{"c", ".", "/pre/fix/v1/customers/c/deviceBatches/./devices"},
		{"c", "..", "/pre/fix/v1/customers/c/deviceBatches/../devices"},
		{"..", "b", "/pre/fix/v1/customers/../deviceBatches/b/devices"},
		{"c", "...", ""},
		{"c", "../.", ""},
		{"c", "a..", ""},
	}
	for _, tt := range tests {
		t.Run(tt.customer+" "+tt.batch, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, reply(200, onePage))
			c := a.client(t)
			l := Listing{CorrelationID: "our-own"}
			if tt.url == "" {
				readAll(t, c.Devices(t.Context(), tt.customer, tt.batch, &l))
				return
			}
			var last error
			for _, last = range c.Devices(t.Context(), tt.customer, tt.batch, &l) {
			}
			e := errorOf(t, last)
			if e.ErrorCode() != "unaddressable_id" || e.Method != "GET" || e.URL != a.url+tt.url ||
				e.CorrelationID != "our-own" {
				t.Errorf("error %v", e)
			}
			if len(a.seen(uri)) != 0 || a.tokenRequests() != 0 || l.Requests != 0 || l.Digest != nil || !l.SentAt.IsZero() {
				t.Errorf("requests %q, listing %+v", a.seen(uri), l)
			}
		})
	}
}

func TestDevice_valuesThatDoNotFitGoToExtra(t *testing.T) {
	t.Parallel()
	oobe := func(value *string) []PolicyAssignment { return []PolicyAssignment{{"o_o_b_e", value}} }
	extra := func(s string) Device { return Device{Extra: []byte(s)} }
	tests := []struct {
		name, members string
		want          Device
		misfits       int
	}{
		{"all", `"serialNumber":"s","productKey":"p","hardwareHash":"h","modelName":"m","oemManufacturerName":"o","uploadedBy":"u",` +
			`"uploadedDate":"2020-01-30T09:10:33.2417951+01:00","policies":[{"key":"o_o_b_e","value":"AzureAD Join Default Profile"}]`,
			Device{SerialNumber: new("s"), ProductKey: new("p"), HardwareHash: new("h"), ModelName: new("m"),
				OEMManufacturerName: new("o"),
				UploadedBy:          new("u"), UploadedDate: new(parsed(t, "2020-01-30T08:10:33.2417951Z")),
				Policies: oobe(new("AzureAD Join Default Profile"))}, 0},
		{"null is absent", `"serialNumber":null,"productKey":null,"hardwareHash":null,"modelName":null,"oemManufacturerName":null,` +
			`"uploadedBy":null,"uploadedDate":null,"policies":null`, Device{}, 0},
		{"wrong types", `"serialNumber":1,"productKey":[],"hardwareHash":{},"modelName":true,"oemManufacturerName":2.5,"uploadedBy":false,"uploadedDate":0`,
			extra(`{"serialNumber":1,"productKey":[],"hardwareHash":{},"modelName":true,"oemManufacturerName":2.5,"uploadedBy":false,"uploadedDate":0}`), 7},
		{"no date", `"uploadedDate":"yesterday"`, extra(`{"uploadedDate":"yesterday"}`), 1},
		{"the sentinel", `"uploadedDate":"0001-01-01T00:00:00Z"`, Device{}, 0},
		{"unknown fields", `"allowedOperations":["GET","PATCH"],"groupTag":"x"`,
			extra(`{"allowedOperations":["GET","PATCH"],"groupTag":"x"}`), 0},
		{"left out", `"links":{},"self":1,"attributes":{}," attributes":{}`, Device{}, 0},
		{"no policies", `"policies":[]`, Device{}, 0},
		{"policies as an object", `"policies":{"key":"o_o_b_e"}`, extra(`{"policies":{"key":"o_o_b_e"}}`), 1},
		{"policies of no objects", `"policies":[ "o_o_b_e", null ]`, extra(`{"policies":["o_o_b_e",null]}`), 1},
		{"policy null", `"policies":[{"key":"a"},null]`, extra(`{"policies":[{"key":"a"},null]}`), 1},
		{"policy in an array", `"policies":[[{"key":"a"}]]`, extra(`{"policies":[[{"key":"a"}]]}`), 1},
		{"policy without members", `"policies":[{}]`, extra(`{"policies":[{}]}`), 1},
		{"policy without key", `"policies":[{"key":"a"},{"value":"x"}]`, extra(`{"policies":[{"key":"a"},{"value":"x"}]}`),
			1},
		{"key null", `"policies":[{"key":null,"value":"x"}]`, extra(`{"policies":[{"key":null,"value":"x"}]}`), 1},
		{"key of another type", `"policies":[{"key":1}]`, extra(`{"policies":[{"key":1}]}`), 1},
		{"value of another type", `"policies":[{"key":"a","value":["x"]},{"key":"b","value":1}]`,
			extra(`{"policies":[{"key":"a","value":["x"]},{"key":"b","value":1}]}`), 1},
		{"empty key and value", `"policies":[{"key":"","value":""}]`, Device{Policies: []PolicyAssignment{{"", new("")}}}, 0},
		{"no value", `"policies":[{"key":"o_o_b_e"}]`, Device{Policies: oobe(nil)}, 0},
		{"equal names in a policy, the last counts", `"policies":[{"key":1,"value":{},"key":"o_o_b_e","value":"x"}]`,
			Device{Policies: oobe(new("x"))}, 0},
		{"unknown member of a policy", `"policies":[{"key":"o_o_b_e","value":"x","since":1},{"key":"p","Value":2}]`,
			Device{Policies: []PolicyAssignment{{"o_o_b_e", new("x")}, {"p", nil}},
				Extra: []byte(`{"policies":[{"key":"o_o_b_e","value":"x","since":1},{"key":"p","Value":2}]}`)}, 1},
		{"left out of a policy", `"policies":[{"key":"o_o_b_e","value":null,"attributes":{"objectType":"KeyValuePair"},"links":{}}]`, Device{Policies: oobe(nil)}, 0},
		{"policies, then others", `"policies":[{"key":"a"}],"policies":[{"key":"o_o_b_e"}]`, Device{Policies: oobe(nil)}, 0},
		{"policies, then a misfit", `"policies":[{"key":"a"}],"policies":5`, extra(`{"policies":5}`), 1},
		{"misfit, then policies", `"policies":[5],"policies":[{"key":"o_o_b_e"}]`, Device{Policies: oobe(nil)}, 0},
		{"what follows a misfit is read", `"policies":[{"key":1}],"modelName":"m"`,
			Device{ModelName: new("m"), Extra: []byte(`{"policies":[{"key":1}]}`)}, 1},
		{"databases take what is kept", `"policies":[{"key":"\u0000","value":1e99999}]`,
			extra("{\"policies\":[{\"key\":\"\ufffd\",\"value\":\"1e99999\"}]}"), 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, l := decodeAll(t, `[{"id":"x",`+tt.members+`},{"serialNumber":5}]`, decodeDevice)
			tt.want.ID = "x"
			if d := cmp.Diff([]Device{tt.want}, got); d != "" {
				t.Error(d)
			}
			if l.Misfits != tt.misfits || l.Skipped != 1 {
				t.Errorf("%d misfits, want %d; %d skipped", l.Misfits, tt.misfits, l.Skipped)
			}
		})
	}
}

func TestDevice_policiesAreOrderedByKeyThenValue(t *testing.T) {
	t.Parallel()
	got, _ := decodeAll(t, `[{"id":"x","policies":[{"key":"b","value":"z"},{"key":"a","value":"y"},{"key":"b"},{"key":"A","value":"x"},
		{"key":"b","value":""},{"key":"a","value":"x"},{"key":"b","value":null}]}]`, decodeDevice)
	want := []PolicyAssignment{{"A", new("x")}, {"a", new("x")}, {"a", new("y")}, {"b", nil}, {"b", nil}, {"b", new("")},
		{"b", new("z")}}
	if d := cmp.Diff(want, got[0].Policies); d != "" {
		t.Error(d)
	}
}

func TestDevice_invalidUnicodeIsReplacedAndCounted(t *testing.T) {
	t.Parallel()
	got, l := decodeAll(t, "[{\"id\":\"a\xff\",\"policies\":[{\"key\":\"\\ud800\",\"value\":\"\xff\"}]}]", decodeDevice)
	want := []Device{{ID: "a\ufffd", Policies: []PolicyAssignment{{"\ufffd", new("\ufffd")}}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if l.Replaced != 3 {
		t.Errorf("%d strings replaced, want 3", l.Replaced)
	}
}

func BenchmarkDevices_decode(b *testing.B) {
	var body strings.Builder
	body.WriteString("\ufeff" + `{"totalCount":2000,"items":[`)
	for i := range 2000 {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"id":"7c141ea9-2816-4e15-a819-%012d","serialNumber":"%08d","productKey":"00329-00000-0003-AA%06d",`+
			`"modelName":"Precision WorkStation T7500","oemManufacturerName":"Dell Inc.","policies":[{"key":"o_o_b_e","value":null}],`+
			`"uploadedDate":"2017-08-09T14:43:26.0092288-07:00","attributes":{"objectType":"Device"}}`, i, i, i)
	}
	body.WriteString(`],"attributes":{"objectType":"Collection"}}`)
	benchmarkDecode(b, body.String(), 2000, decodeDevice)
}
