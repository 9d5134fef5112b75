package partnercentertest_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/sync/partnercenter/partnercentertest"
)

// batchPage is a list of device batches.
type batchPage struct {
	TotalCount int
	Items      []struct {
		ID, Status, CreatedBy, CreationDate string
		DevicesCount                        int
	}
}

// batches lists Contoso's batches.
func (p *partner) batches(t *testing.T) batchPage {
	t.Helper()
	_, body := p.get(t, contosoBatches)
	page := decode[batchPage](t, body)
	if page.TotalCount != len(page.Items) {
		t.Errorf("totalCount %d with %d items", page.TotalCount, len(page.Items))
	}
	return page
}

// statuses lists Contoso's batches as "id: status", in order.
func (p *partner) statuses(t *testing.T) []string {
	t.Helper()
	lines := []string{}
	for _, item := range p.batches(t).Items {
		lines = append(lines, item.ID+": "+item.Status)
	}
	return lines
}

// newContoso returns an emulator with the one customer.
func newContoso(t *testing.T) *partner {
	t.Helper()
	p := newPartner(t, partnercentertest.Options{})
	p.AddCustomer(partnercentertest.Customer{ID: contoso, CompanyName: "Contoso"})
	return p
}

func TestBatches_bodyAsDocumented(t *testing.T) {
	t.Parallel()
	p := newContoso(t)
	p.PutBatch(contoso, partnercentertest.Batch{
		ID: "Test batch", Status: "finished", Created: time.Date(2017, 7, 25, 1, 51, 0, 0, time.UTC), DevicesCount: 5,
	})
	response, body := p.get(t, contosoBatches)
	want := bom + `{"totalCount":1,"items":[{"id":"Test batch","status":"finished","creationDate":"2017-07-25T01:51:00",` +
		`"devicesCount":5,"devicesLink":{"uri":"/customers/47021739-3426-40bf-9601-61b4b6d7c793/deviceBatches/Test batch/devices",` +
		`"method":"GET","headers":[]},"attributes":{"objectType":"DeviceBatch"}}],"attributes":{"objectType":"Collection"}}`
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if got := response.Header.Get("Content-Length"); got != "339" {
		t.Errorf("Content-Length %s, documented is 339", got)
	}
}

func TestBatches_none(t *testing.T) {
	t.Parallel()
	p := newContoso(t)
	_, body := p.get(t, contosoBatches)
	if want := bom + `{"totalCount":0,"items":[],"attributes":{"objectType":"Collection"}}`; body != want {
		t.Errorf("body %q, want %q", body, want)
	}
}

func TestBatches_item(t *testing.T) {
	t.Parallel()
	const tail = `,"method":"GET","headers":[]},"attributes":{"objectType":"DeviceBatch"}`
	created := time.Date(2026, 3, 1, 0, 30, 15, 999_999_999, time.FixedZone("", 3600))
	tests := []struct {
		name  string
		batch partnercentertest.Batch
		item  string
	}{
		{"without status and creator", partnercentertest.Batch{ID: "a", Created: created},
			`{"id":"a","creationDate":"2026-02-28T23:30:15","devicesCount":0,"devicesLink":{"uri":"/customers/` + contoso +
				`/deviceBatches/a/devices"` + tail + `}`},
		{"with all", partnercentertest.Batch{ID: `q"\/ü` + "\t\x01", Status: "queued", CreatedBy: "relecloud",
			Created: created, DevicesCount: -1},
			`{"id":"q\"\\/ü\t\u0001","createdBy":"relecloud","status":"queued","creationDate":"2026-02-28T23:30:15","devicesCount":-1,"devicesLink":{"uri":"/customers/` + contoso + `/deviceBatches/q\"\\/ü\t\u0001/devices"` + tail + `}`},
		{"extra", partnercentertest.Batch{ID: "a", Created: created, Extra: `"region":"EU","id":null`},
			`{"id":"a","creationDate":"2026-02-28T23:30:15","devicesCount":0,"devicesLink":{"uri":"/customers/` + contoso +
				`/deviceBatches/a/devices"` + tail + `,"region":"EU","id":null}`},
		{"raw", partnercentertest.Batch{ID: "a", Raw: `["no", "object"]`}, `["no", "object"]`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newContoso(t)
			p.PutBatch(contoso, test.batch)
			_, body := p.get(t, contosoBatches)
			want := bom + `{"totalCount":1,"items":[` + test.item + `],"attributes":{"objectType":"Collection"}}`
			if diff := cmp.Diff(want, body); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBatches_lifecycle(t *testing.T) {
	t.Parallel()
	p := newContoso(t)
	p.PutBatch(contoso, partnercentertest.Batch{ID: "well",
		Script: partnercentertest.Lifecycle(time.Minute, time.Hour, false)})
	p.PutBatch(contoso, partnercentertest.Batch{ID: "badly", Script: partnercentertest.Lifecycle(0, 2*time.Hour, true)})
	tests := []struct {
		advance time.Duration
		want    []string
	}{
		{0, []string{"well: queued", "badly: processing"}},
		{time.Minute - 1, []string{"well: queued", "badly: processing"}},
		{1, []string{"well: processing", "badly: processing"}},
		{time.Hour, []string{"well: finished", "badly: processing"}},
		{time.Hour, []string{"well: finished", "badly: finished_with_errors"}},
		{-2 * time.Hour, []string{"well: processing", "badly: processing"}},
	}
	for _, test := range tests {
		p.Advance(test.advance)
		if diff := cmp.Diff(test.want, p.statuses(t)); diff != "" {
			t.Errorf("at %v (-want +got):\n%s", p.Now(), diff)
		}
	}
}

func TestBatches_scriptComesAndGoes(t *testing.T) {
	t.Parallel()
	p := newContoso(t)
	p.PutBatch(contoso, partnercentertest.Batch{
		ID: "a", Created: p.Now().Add(time.Hour), DevicesCount: 3,
		Script: []partnercentertest.Step{ // in any order
			{After: 3 * time.Hour, Status: "finished"},
			{After: 0, Status: "queued", DevicesCount: 1},
			{After: 2 * time.Hour, Gone: true},
		},
	})
	p.PutBatch(contoso, partnercentertest.Batch{ID: "b", Status: "finished"})
	tests := []struct {
		want    []string
		devices int
	}{
		{[]string{"b: finished"}, 0},
		{[]string{"a: queued", "b: finished"}, 1},
		{[]string{"a: queued", "b: finished"}, 1},
		{[]string{"b: finished"}, 0},
		{[]string{"a: finished", "b: finished"}, 3},
	}
	for hour, test := range tests {
		if diff := cmp.Diff(test.want, p.statuses(t)); diff != "" {
			t.Errorf("hour %d (-want +got):\n%s", hour, diff)
		}
		if got := p.batches(t).Items[0].DevicesCount; got != test.devices {
			t.Errorf("hour %d: %d devices in the first, want %d", hour, got, test.devices)
		}
		p.Advance(time.Hour)
	}
}

func TestBatches_replacedInPlace(t *testing.T) {
	t.Parallel()
	p := newContoso(t)
	p.PutBatch(contoso, partnercentertest.Batch{ID: "a", Status: "queued"})
	p.PutBatch(contoso, partnercentertest.Batch{ID: "b"})
	p.Advance(time.Hour)
	p.PutBatch(contoso, partnercentertest.Batch{ID: "a", Status: "finished"})
	p.PutBatch(contoso, partnercentertest.Batch{ID: "A", Status: "other case, other batch"})
	if diff := cmp.Diff([]string{"a: finished", "b: ", "A: other case, other batch"}, p.statuses(t)); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
	items := p.batches(t).Items
	if items[0].CreationDate != "2026-01-05T08:00:00" || items[2].CreationDate != "2026-01-05T09:00:00" {
		t.Errorf("created at %s and %s, want the first kept and the new one now", items[0].CreationDate,
			items[2].CreationDate)
	}
}

func TestBatches_removed(t *testing.T) {
	t.Parallel()
	p := newContoso(t)
	p.PutBatch(contoso, partnercentertest.Batch{ID: "a"})
	p.PutBatch(contoso, partnercentertest.Batch{ID: "b"})
	if diff := cmp.Diff([]string{"a: ", "b: "}, p.statuses(t)); diff != "" {
		t.Errorf("before (-want +got):\n%s", diff)
	}
	p.RemoveBatch(contoso, "a")
	p.RemoveBatch(contoso, "never there")
	p.RemoveBatch(fabrikam, "a")
	if diff := cmp.Diff([]string{"b: "}, p.statuses(t)); diff != "" {
		t.Errorf("after (-want +got):\n%s", diff)
	}
	p.PutBatch(contoso, partnercentertest.Batch{ID: "a"})
	if diff := cmp.Diff([]string{"b: ", "a: "}, p.statuses(t)); diff != "" {
		t.Errorf("put anew (-want +got):\n%s", diff)
	}
}

func TestPutBatch_unknownCustomerPanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	partnercentertest.New(partnercentertest.Options{}).PutBatch(contoso, partnercentertest.Batch{ID: "a"})
}

// BenchmarkBatches lists a customer of 2,000 batches, of which one changes before each listing or none does.
func BenchmarkBatches(b *testing.B) {
	for _, changing := range []bool{false, true} {
		b.Run("changing="+strconv.FormatBool(changing), func(b *testing.B) {
			e := partnercentertest.New(partnercentertest.Options{})
			e.AddCustomer(partnercentertest.Customer{ID: contoso})
			for i := range 2000 {
				e.PutBatch(contoso, partnercentertest.Batch{ID: "Sales laptops " + strconv.Itoa(i), Status: "finished"})
			}
			token := signInDirectly(b, e)
			b.ReportAllocs()
			for b.Loop() {
				if changing {
					e.PutBatch(contoso, partnercentertest.Batch{ID: "Sales laptops 7", Status: "finished"})
				}
				r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, contosoBatches, nil)
				r.Header.Set("Authorization", "Bearer "+token)
				w := ask(e, r)
				b.SetBytes(int64(w.Body.Len()))
			}
		})
	}
}
