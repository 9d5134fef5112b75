package partnercenter

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDeviceBatch_valuesThatDoNotFitGoToExtra(t *testing.T) {
	t.Parallel()
	at := func(s string) *time.Time { return new(parsed(t, s)) }
	tests := []struct {
		name, members string
		want          DeviceBatch
		misfits       int
	}{
		{"all", `"status":"finished","createdBy":"contoso","creationDate":"2020-01-02T03:04:05Z","devicesCount":7`,
			DeviceBatch{Status: new("finished"), CreatedBy: new("contoso"), CreationDate: at("2020-01-02T03:04:05Z"),
				DevicesCount: new(int32(7))}, 0},
		{"null is absent", `"status":null,"createdBy":null,"creationDate":null,"devicesCount":null`, DeviceBatch{}, 0},
		{"empty text is text", `"status":""`, DeviceBatch{Status: new("")}, 0},
		{"wrong types", `"status":5,"createdBy":{"a":[1, 2]},"creationDate":true,"devicesCount":"5"`,
			DeviceBatch{Extra: []byte(`{"status":5,"createdBy":{"a":[1,2]},"creationDate":true,"devicesCount":"5"}`)}, 4},
		{"deviceCount", `"deviceCount":5`, DeviceBatch{DevicesCount: new(int32(5))}, 0},
		{"devicesCount before deviceCount", `"devicesCount":4,"deviceCount":5`, DeviceBatch{DevicesCount: new(int32(4))}, 0},
		{"deviceCount for a misfit", `"deviceCount":5,"devicesCount":[]`,
			DeviceBatch{DevicesCount: new(int32(5)), Extra: []byte(`{"devicesCount":[]}`)}, 1},
		{"5.0", `"devicesCount":5.0`, DeviceBatch{DevicesCount: new(int32(5))}, 0},
		{"5e0", `"devicesCount":5e0`, DeviceBatch{DevicesCount: new(int32(5))}, 0},
		{"5.5", `"devicesCount":5.5`, DeviceBatch{Extra: []byte(`{"devicesCount":5.5}`)}, 1},
		{"the greatest count", `"devicesCount":2147483647`, DeviceBatch{DevicesCount: new(int32(2147483647))}, 0},
		{"beyond the greatest count", `"devicesCount":2147483648`, DeviceBatch{Extra: []byte(`{"devicesCount":2147483648}`)},
			1},
		{"far beyond", `"devicesCount":1e99999`, DeviceBatch{Extra: []byte(`{"devicesCount":"1e99999"}`)}, 1},
		{"no date", `"creationDate":"yesterday"`, DeviceBatch{Extra: []byte(`{"creationDate":"yesterday"}`)}, 1},
		{"the sentinel", `"creationDate":"0001-01-01T00:00:00"`, DeviceBatch{}, 0},
		{"the sentinel east of Greenwich", `"creationDate":"0001-01-01T00:00:00+01:00"`, DeviceBatch{}, 0},
		{"year 2", `"creationDate":"0002-01-01"`, DeviceBatch{CreationDate: at("0002-01-01")}, 0},
		{"beyond year 9999", `"creationDate":"9999-12-31T23:59:59-01:00"`,
			DeviceBatch{Extra: []byte(`{"creationDate":"9999-12-31T23:59:59-01:00"}`)}, 1},
		{"unknown fields", `"allowedOperations": [ "GET" ],"note":"é\u00e9"`,
			DeviceBatch{Extra: []byte(`{"allowedOperations":["GET"],"note":"éé"}`)}, 0},
		{"left out", `"links":{},"devicesLink":{"uri":"x"},"self":1,"attributes":{}," attributes":{}`, DeviceBatch{}, 0},
		{"misfit, then fit", `"status":5,"status":"ok"`, DeviceBatch{Status: new("ok")}, 0},
		{"fit, then misfit", `"status":"ok","status":5`, DeviceBatch{Extra: []byte(`{"status":5}`)}, 1},
		{"other case is unknown", `"Status":"x"`, DeviceBatch{Extra: []byte(`{"Status":"x"}`)}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, l := decodeAll(t, `[{"id":"x",`+tt.members+`}]`, decodeDeviceBatch)
			tt.want.ID = "x"
			if d := cmp.Diff([]DeviceBatch{tt.want}, got); d != "" {
				t.Error(d)
			}
			if l.Misfits != tt.misfits || l.Skipped != 0 {
				t.Errorf("%d misfits, want %d; %d skipped", l.Misfits, tt.misfits, l.Skipped)
			}
		})
	}
}

func TestDeviceBatch_itemsWithoutAnIDAreSkipped(t *testing.T) {
	t.Parallel()
	got, l := decodeAll(t, `[{"id":"a"},{},{"id":null},{"id":""},{"id":5,"status":7},{"id":["b"]},"c",null,3,[],{"id":"a","id":null},{"id":"d"}]`, decodeDeviceBatch)
	if d := cmp.Diff([]DeviceBatch{{ID: "a"}, {ID: "d"}}, got); d != "" {
		t.Error(d)
	}
	if l.Skipped != 10 || l.Misfits != 0 {
		t.Errorf("%d skipped, %d misfits", l.Skipped, l.Misfits)
	}
}

func TestDeviceBatch_idsAreKeptAsReceived(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"Test batch", "a/b?c#d%20", " ", "NUL\x00", "Ünï😀", strings.Repeat("x", 5000), `q"\`} {
		quoted, _ := json.Marshal(id)
		got, l := decodeAll(t, `[{"id":`+string(quoted)+`}]`, decodeDeviceBatch)
		if len(got) != 1 || got[0].ID != id || l.Replaced != 0 {
			t.Errorf("%q: %+v, %d replaced", id, got, l.Replaced)
		}
	}
}

func TestDeviceBatch_whatDatabasesDoNotTakeIsReplacedAndCounted(t *testing.T) {
	t.Parallel()
	got, l := decodeAll(t, "[{\"id\":\"a\xffb\",\"status\":\"\\ud800\\u0000\",\"createdBy\":\"\ufffd\"},{\"id\":\"c\",\"status\":\"é\\u0000\"}]", decodeDeviceBatch)
	want := []DeviceBatch{
		{ID: "a\ufffdb", Status: new("\ufffd\ufffd"), CreatedBy: new("\ufffd")},
		{ID: "c", Status: new("é\ufffd")},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if l.Replaced != 3 {
		t.Errorf("%d strings replaced, want 3", l.Replaced)
	}
}

func BenchmarkDeviceBatches_decode(b *testing.B) {
	var body strings.Builder
	body.WriteString("\ufeff" + `{"totalCount":2000,"items":[`)
	for i := range 2000 {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"id":"Batch %d","status":"finished","creationDate":"2017-07-25T01:51:00","devicesCount":%d,`+
			`"devicesLink":{"uri":"/customers/%s/deviceBatches/Batch %d/devices","method":"GET","headers":[]},`+
			`"attributes":{"objectType":"DeviceBatch"}}`, i, i, testCustomer, i)
	}
	body.WriteString(`],"attributes":{"objectType":"Collection"}}`)
	benchmarkDecode(b, body.String(), 2000, decodeDeviceBatch)
}

func parsed(t *testing.T, s string) time.Time {
	t.Helper()
	at, ok := parseTime(s)
	if !ok {
		t.Fatalf("reading %q", s)
	}
	return at
}
