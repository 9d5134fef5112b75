package partnercentertest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/sync/partnercenter/partnercentertest"
)

// putMany puts n devices with the ids d1, d2 and so on.
func putMany(p *partner, n int) {
	devices := make([]partnercentertest.Device, n)
	for i := range devices {
		devices[i].ID = fmt.Sprintf("d%d", i+1)
	}
	p.PutDevices(contoso, "Test batch", devices...)
}

func TestDeviceList_pages(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		options     partnercentertest.Options
		token, link bool
		uri         string
	}{
		{"as documented", partnercentertest.Options{}, true, false, ""},
		{"token in the body", partnercentertest.Options{Paging: partnercentertest.BodyToken}, true, false, ""},
		{"link", partnercentertest.Options{Paging: partnercentertest.NextLink}, false, true, "/v1"},
		{"both", partnercentertest.Options{Paging: partnercentertest.NextLinkAndToken}, true, true, "/v1"},
		{"unversioned link", partnercentertest.Options{Paging: partnercentertest.NextLink, UnversionedLinks: true}, false, true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newTestBatch(t, test.options)
			putMany(p, 250)
			var sizes []int
			for token := "first"; token != ""; {
				var headers []string
				if token != "first" {
					headers = []string{"MS-ContinuationToken", token}
				}
				page := p.devices(t, headers...)
				sizes = append(sizes, len(page.Items))
				if want := fmt.Sprintf("d%d", 100*len(sizes)-99); page.Items[0].ID != want {
					t.Errorf("page %d begins with %s, want %s", len(sizes), page.Items[0].ID, want)
				}
				token = page.ContinuationToken
				last := len(page.Items) < 100
				if (token != "") != (test.token && !last) || (page.Links != nil) != (test.link && !last) {
					t.Fatalf("page %d leads on by %q and %+v", len(sizes), token, page.Links)
				}
				if page.Links != nil {
					next := page.Links.Next
					if want := test.uri + "/customers/" + contoso + "/deviceBatches/Test%20batch/devices?seekOperation=Next"; next.URI != want {
						t.Errorf("next link is %q, want %q", next.URI, want)
					}
					token = next.Headers[0].Value
				}
			}
			if diff := cmp.Diff([]int{100, 100, 50}, sizes); diff != "" {
				t.Errorf("sizes of pages (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDeviceList_pageSizes(t *testing.T) {
	t.Parallel()
	tests := []struct{ option, devices, first int }{
		{0, 101, 100},
		{1000, 101, 100},
		{3, 101, 3},
		{3, 3, 3},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			t.Parallel()
			p := newTestBatch(t, partnercentertest.Options{DevicePageSize: test.option})
			putMany(p, test.devices)
			page := p.devices(t)
			if len(page.Items) != test.first || (page.ContinuationToken != "") != (test.devices > test.first) {
				t.Errorf("%d devices and the token %q", len(page.Items), page.ContinuationToken)
			}
		})
	}
}

func TestDeviceList_seekOperation(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{DevicePageSize: 1})
	put(p, "a", "b")
	token := p.devices(t).ContinuationToken
	tests := []struct{ query, want string }{
		{"", "b: o_o_b_e="},
		{"?seekOperation=Next", "b: o_o_b_e="},
		{"?seekoperation=first", "a: o_o_b_e="},
	}
	for _, test := range tests {
		_, body := p.get(t, testBatchDevices+test.query, "MS-ContinuationToken", token)
		if diff := cmp.Diff([]string{test.want}, decode[devicePage](t, body).lines()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.query, diff)
		}
	}
}

func TestDeviceList_pagesSurviveChanges(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{DevicePageSize: 2})
	put(p, "a", "b", "c", "d")
	token := p.devices(t).ContinuationToken
	p.RemoveDevice(contoso, "Test batch", "a")
	p.RemoveDevice(contoso, "Test batch", "b") // which the token names
	put(p, "e")
	second := p.devices(t, "MS-ContinuationToken", token)
	if diff := cmp.Diff([]string{"c: o_o_b_e=", "d: o_o_b_e="}, second.lines()); diff != "" {
		t.Errorf("second page (-want +got):\n%s", diff)
	}
	third := p.devices(t, "MS-ContinuationToken", second.ContinuationToken)
	if diff := cmp.Diff([]string{"e: o_o_b_e="}, third.lines()); diff != "" {
		t.Errorf("third page (-want +got):\n%s", diff)
	}
}

func TestDeviceList_pageEndsWithTheLastThatIsThere(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{DevicePageSize: 2})
	put(p, "a", "b")
	p.PutDevice(contoso, "Test batch", partnercentertest.Device{ID: "later", Script: []partnercentertest.DeviceStep{{After: time.Hour}}})
	if got := p.devices(t).ContinuationToken; got != "" {
		t.Errorf("the token is %q while there is no third device", got)
	}
	p.Advance(time.Hour)
	if p.devices(t).ContinuationToken == "" {
		t.Error("no token once the third device has come")
	}
}

// BenchmarkDevices lists the devices of 200 customers with 50 batches of 20 devices.
func BenchmarkDevices(b *testing.B) {
	e := partnercentertest.New(partnercentertest.Options{})
	var paths []string
	for c := range 200 {
		id := fmt.Sprintf("customer-%d", c)
		e.AddCustomer(partnercentertest.Customer{ID: id})
		for k := range 50 {
			batch := fmt.Sprintf("batch-%d", k)
			e.PutBatch(id, partnercentertest.Batch{ID: batch, Status: "finished"})
			for d := range 20 {
				e.PutDevice(id, batch, partnercentertest.Device{ID: fmt.Sprintf("%d-%d-%d", c, k, d), SerialNumber: "2R9-ZNP67"})
			}
			paths = append(paths, "/v1/customers/"+id+"/deviceBatches/"+batch+"/devices")
		}
	}
	token := signInDirectly(b, e)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, paths[i%len(paths)], nil)
		r.Header.Set("Authorization", "Bearer "+token)
		b.SetBytes(int64(ask(e, r).Body.Len()))
	}
}
