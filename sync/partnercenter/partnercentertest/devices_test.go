package partnercentertest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/sync/partnercenter/partnercentertest"
)

const testBatchDevices = contosoBatches + "/Test%20batch/devices"

// deviceItem is a device as lists have it.
type deviceItem struct {
	ID, SerialNumber, ProductKey, HardwareHash string
	ModelName, OEMManufacturerName, UploadedBy string
	UploadedDate                               string
	Policies                                   []struct{ Key, Value string }
}

// devicePage is a page of devices.
type devicePage struct {
	TotalCount        int
	Items             []deviceItem
	Links             *struct{ Next *link }
	ContinuationToken string
}

// lines returns the devices of a page as "id: policy, policy".
func (d devicePage) lines() []string {
	lines := []string{}
	for _, item := range d.Items {
		var values []string
		for _, p := range item.Policies {
			values = append(values, p.Key+"="+p.Value)
		}
		lines = append(lines, item.ID+": "+strings.Join(values, ", "))
	}
	return lines
}

// newTestBatch returns an emulator whose one customer has one batch.
func newTestBatch(t *testing.T, o partnercentertest.Options) *partner {
	t.Helper()
	p := newPartner(t, o)
	p.AddCustomer(partnercentertest.Customer{ID: contoso})
	p.PutBatch(contoso, partnercentertest.Batch{ID: "Test batch", Status: "finished"})
	return p
}

// devices lists the first page of the test batch's devices.
func (p *partner) devices(t *testing.T, headers ...string) devicePage {
	t.Helper()
	_, body := p.get(t, testBatchDevices, headers...)
	page := decode[devicePage](t, body)
	if page.TotalCount != len(page.Items) {
		t.Errorf("totalCount %d with %d items", page.TotalCount, len(page.Items))
	}
	return page
}

// devicesCount returns what the only batch says.
func (p *partner) devicesCount(t *testing.T) int {
	t.Helper()
	return p.batches(t).Items[0].DevicesCount
}

func put(p *partner, ids ...string) {
	for _, id := range ids {
		p.PutDevice(contoso, "Test batch", partnercentertest.Device{ID: id})
	}
}

func TestDevices_bodyAsDocumented(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{})
	redmond := time.FixedZone("", -7*60*60)
	p.PutDevices(contoso, "Test batch",
		partnercentertest.Device{
			ID: "7c141ea9-2816-4e15-a819-53f6856499ff", SerialNumber: "2R9-ZNP67", ProductKey: "00329-00000-0003-AA6069",
			ModelName: "Precision WorkStation T7500", OEMManufacturerName: "Dell Inc.",
			Uploaded: time.Date(2017, 8, 9, 14, 43, 26, 9_228_800, redmond),
		},
		partnercentertest.Device{
			ID: "e528a62f-5031-49f4-bea7-5fafe47388fd", SerialNumber: "1234567890", ProductKey: "12345-67890-09876-54321-13579",
			ModelName: "HP Z420 Workstation", OEMManufacturerName: "Hewlett-Packard",
			Uploaded: time.Date(2017, 8, 9, 14, 35, 51, 312_614_400, redmond),
		})
	response, body := p.get(t, testBatchDevices)
	// This is the documented example, without the space before the first device's attributes.
	want := bom + `{"totalCount":2,"items":[{"id":"7c141ea9-2816-4e15-a819-53f6856499ff","serialNumber":"2R9-ZNP67",` +
		`"productKey":"00329-00000-0003-AA6069","modelName":"Precision WorkStation T7500","oemManufacturerName":"Dell Inc.",` +
		`"policies":[{"key":"o_o_b_e","value":null}],"uploadedDate":"2017-08-09T14:43:26.0092288-07:00","attributes":{"objectType":"Device"}},` +
		`{"id":"e528a62f-5031-49f4-bea7-5fafe47388fd","serialNumber":"1234567890","productKey":"12345-67890-09876-54321-13579",` +
		`"modelName":"HP Z420 Workstation","oemManufacturerName":"Hewlett-Packard","policies":[{"key":"o_o_b_e","value":null}],` +
		`"uploadedDate":"2017-08-09T14:35:51.3126144-07:00","attributes":{"objectType":"Device"}}],"attributes":{"objectType":"Collection"}}`
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if got := response.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
}

func TestDevices_item(t *testing.T) {
	t.Parallel()
	uploaded := time.Date(2026, 3, 1, 0, 30, 15, 0, time.UTC)
	const date, end = `,"uploadedDate":"2026-03-01T00:30:15.0000000+00:00"`, `,"attributes":{"objectType":"Device"}`
	tests := []struct {
		name   string
		device partnercentertest.Device
		item   string
	}{
		{"id alone", partnercentertest.Device{ID: `a"b`, Uploaded: uploaded},
			`{"id":"a\"b","policies":[{"key":"o_o_b_e","value":null}]` + date + end + `}`},
		{"all", partnercentertest.Device{
			ID: "a", SerialNumber: "s", ProductKey: "k", HardwareHash: "h", ModelName: "m", OEMManufacturerName: "o",
			UploadedBy: "u", Uploaded: uploaded,
			Policies: []partnercentertest.PolicyAssignment{{Key: "o_o_b_e", Value: "AzureAD Join Default Profile"},
				{Key: "none"}},
		}, `{"id":"a","serialNumber":"s","productKey":"k","hardwareHash":"h","modelName":"m","oemManufacturerName":"o",` +
			`"policies":[{"key":"o_o_b_e","value":"AzureAD Join Default Profile"},{"key":"none","value":null}]` + date +
			`,"uploadedBy":"u"` + end + `}`},
		{"no policies", partnercentertest.Device{ID: "a", Uploaded: uploaded,
			Policies: []partnercentertest.PolicyAssignment{}},
			`{"id":"a","policies":[]` + date + end + `}`},
		{"extra", partnercentertest.Device{ID: "a", Uploaded: uploaded, Extra: `" attributes":{},"policies":null`},
			`{"id":"a","policies":[{"key":"o_o_b_e","value":null}]` + date + end + `," attributes":{},"policies":null}`},
		{"raw", partnercentertest.Device{ID: "a", Raw: `17`}, `17`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newTestBatch(t, partnercentertest.Options{})
			p.PutDevice(contoso, "Test batch", test.device)
			_, body := p.get(t, testBatchDevices)
			want := bom + `{"totalCount":1,"items":[` + test.item + `],"attributes":{"objectType":"Collection"}}`
			if diff := cmp.Diff(want, body); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDevices_putReplacesInPlaceAndRemoveTakesAway(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{})
	put(p, "a", "b", "A")
	p.Advance(time.Hour)
	p.PutDevice(contoso, "Test batch", partnercentertest.Device{ID: "a", SerialNumber: "new"})
	items := p.devices(t).Items
	if len(items) != 3 || items[0].SerialNumber != "new" || items[0].UploadedDate != items[1].UploadedDate {
		t.Errorf("devices %+v, want the first replaced and its date kept", items)
	}
	p.RemoveDevice(contoso, "Test batch", "a")
	p.RemoveDevice(contoso, "Test batch", "never there")
	p.RemoveDevice(contoso, "no batch", "b")
	p.RemoveDevice(fabrikam, "Test batch", "b")
	if diff := cmp.Diff([]string{"b: o_o_b_e=", "A: o_o_b_e="}, p.devices(t).lines()); diff != "" {
		t.Errorf("devices left (-want +got):\n%s", diff)
	}
}

func TestDevices_scriptGivesAPolicyAndTakesTheDeviceAway(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{})
	put(p, "still")
	p.PutDevice(contoso, "Test batch", partnercentertest.Device{
		ID: "moving", Uploaded: p.Now().Add(time.Hour),
		Script: []partnercentertest.DeviceStep{ // in any order
			{After: 2 * time.Hour, Gone: true},
			{After: 0},
			{After: time.Hour, Policies: []partnercentertest.PolicyAssignment{{Key: "o_o_b_e", Value: "policy"}}},
		},
	})
	tests := [][]string{
		{"still: o_o_b_e="},
		{"still: o_o_b_e=", "moving: o_o_b_e="},
		{"still: o_o_b_e=", "moving: o_o_b_e=policy"},
		{"still: o_o_b_e="},
	}
	for hour, want := range tests {
		if diff := cmp.Diff(want, p.devices(t).lines()); diff != "" {
			t.Errorf("hour %d (-want +got):\n%s", hour, diff)
		}
		if got := p.devicesCount(t); got != len(want) {
			t.Errorf("hour %d: the batch says %d devices, want %d", hour, got, len(want))
		}
		p.Advance(time.Hour)
	}
	p.Advance(-2 * time.Hour)
	if diff := cmp.Diff(tests[2], p.devices(t).lines()); diff != "" {
		t.Errorf("the clock put back (-want +got):\n%s", diff)
	}
}

func TestDevices_batchSaysTheirNumberUnlessToldAnother(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{})
	put(p, "a", "b")
	if got := p.devicesCount(t); got != 2 {
		t.Errorf("the batch says %d devices, want 2", got)
	}
	p.PutBatch(contoso, partnercentertest.Batch{ID: "Test batch", DevicesCount: 7})
	if got := p.devicesCount(t); got != 7 {
		t.Errorf("the batch says %d devices, want 7", got)
	}
	if got := len(p.devices(t).Items); got != 2 {
		t.Errorf("%d devices after the batch was replaced, want 2", got)
	}
}

func TestDevices_hiddenWithTheirBatch(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{})
	put(p, "a")
	p.PutBatch(contoso, partnercentertest.Batch{ID: "Test batch", Script: []partnercentertest.Step{
		{Status: "queued"}, {After: time.Hour, Gone: true}, {After: 2 * time.Hour, Status: "finished"},
	}})
	for hour, want := range []int{200, 404, 200} {
		if response, body := p.get(t, testBatchDevices); response.StatusCode != want {
			t.Errorf("hour %d: %d %s, want %d", hour, response.StatusCode, body, want)
		}
		p.Advance(time.Hour)
	}
	p.RemoveBatch(contoso, "Test batch")
	if response, _ := p.get(t, testBatchDevices); response.StatusCode != 404 {
		t.Errorf("%d for the devices of a removed batch, want 404", response.StatusCode)
	}
	p.PutBatch(contoso, partnercentertest.Batch{ID: "Test batch"})
	if got := len(p.devices(t).Items); got != 0 {
		t.Errorf("%d devices of a batch put anew, want none", got)
	}
}

func TestDevices_paths(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{})
	p.PutBatch(contoso, partnercentertest.Batch{ID: "a/b %2F?#"})
	tests := []struct {
		name, path string
		status     int
		code       string
	}{
		{"other case", "/V1//Customers/" + contoso + "/devicebatches/Test%20batch/DEVICES", 200, ""},
		{"escaped id", contosoBatches + "/a%2Fb%20%252F%3F%23/devices", 200, ""},
		{"batch in other case", contosoBatches + "/test%20batch/devices", 404, "1000"},
		{"one device, which the API cannot give", testBatchDevices + "/a", 405, "405"},
		{"unknown customer", "/v1/customers/" + fabrikam + "/deviceBatches/a/devices", 403, "20002"},
		{"unknown operation", testBatchDevices + "?seekOperation=Sideways", 400, "800002"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			response, body := p.get(t, test.path)
			if got := decode[fault](t, body).Code; response.StatusCode != test.status || got != test.code {
				t.Errorf("%d %s, want %d %s", response.StatusCode, got, test.status, test.code)
			}
		})
	}
	if response, _ := p.get(t, testBatchDevices, "MS-ContinuationToken",
		"?"); response.StatusCode != http.StatusBadRequest {
		t.Errorf("%d for a bad token, want 400", response.StatusCode)
	}
}

func TestDevices_links(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{DevicePageSize: 1, Paging: partnercentertest.NextLink})
	put(p, "a", "b")
	p.devices(t)
	p.AddCustomer(partnercentertest.Customer{ID: strings.ToUpper(contoso)})
	if uri := p.devices(t).Links.Next.URI; !strings.Contains(uri, strings.ToUpper(contoso)) {
		t.Errorf("the link %q does not have the customer's new case", uri)
	}
}

func TestPutDevice_unknownBatchPanics(t *testing.T) {
	t.Parallel()
	for _, customer := range []string{contoso, fabrikam} {
		t.Run(customer, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			e := partnercentertest.New(partnercentertest.Options{})
			e.AddCustomer(partnercentertest.Customer{ID: contoso})
			e.PutDevice(customer, "a", partnercentertest.Device{ID: "d"})
		})
	}
}

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
		{"unversioned link", partnercentertest.Options{Paging: partnercentertest.NextLink, UnversionedLinks: true}, false,
			true, ""},
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
					if want := test.uri + "/customers/" + contoso +
						"/deviceBatches/Test%20batch/devices?seekOperation=Next"; next.URI != want {
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
	p.PutDevice(contoso, "Test batch",
		partnercentertest.Device{ID: "later", Script: []partnercentertest.DeviceStep{{After: time.Hour}}})
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
