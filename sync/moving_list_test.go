package sync

import (
	"net/http"
	"strings"
	"testing"

	"partnersync/store"
	"partnersync/sync/partnercenter/partnercentertest"
)

// moving is a transport under which a list changes once between two of its pages.
type moving struct {
	http.RoundTripper
	path   string // how the path of the list ends
	pages  int    // requests for the list so far
	before func() // the second page
	after  func()
}

// RoundTrip is called for one request after the other.
func (m *moving) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.URL.Path, m.path) {
		return m.RoundTripper.RoundTrip(r)
	}
	if m.pages++; m.pages == 2 {
		m.before()
		defer m.after()
	}
	return m.RoundTripper.RoundTrip(r)
}

// A device of the first page is deleted after that was sent: the one that moves up to the first page is never seen, and is
// there all the same.
func TestOnce_listThatChangesBetweenItsPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{DevicePageSize: 1})
	id := w.customers(1)[0]
	w.put(id, "b", "finished")
	devices := func(names ...string) {
		for _, name := range names {
			w.api.PutDevice(id, "b", partnercentertest.Device{ID: name})
		}
	}
	devices("1", "2", "3")
	change := &moving{RoundTripper: http.DefaultTransport, path: "/devices", before: func() {}, after: func() {}}
	w.transport = change
	w.partner = w.newPartner("contoso", w.url, 0)
	w.partner.Devices, w.partner.Concurrency = true, 1
	w.once()

	change.pages = 0
	change.before = func() {
		w.api.RemoveDevice(id, "b", "1")
		w.api.RemoveDevice(id, "b", "2") // which has moved to the first page
	}
	change.after = func() { devices("2") }
	for i, removed := range []int64{0, 1} { // the first pass has seen device 1, so that only the next one removes it
		runs, err := w.runner().Once(t.Context(), Request{Kind: store.Backfill}) // which reads all lists
		w.ok(err)
		if run := runs[0]; run.State != store.Complete || run.Removed != removed {
			t.Errorf("pass %d: run %+v, want it complete with %d devices removed", i+1, run, removed)
		}
	}
	w.want("1|t\n2|f\n3|f", `SELECT device_id, removed_at IS NOT NULL FROM partner_center.devices ORDER BY device_id`)
	w.want("4", `SELECT count(*) FROM partner_center.device_history`)
	w.want("0", `SELECT count(*) FROM partnersync.list_state WHERE digest IS NULL AND resource = 'devices'`)
}

// The same with more customers than go on one page: one of them that is still there is not marked as gone.
func TestOnce_customersThatChangeBetweenPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{PageSize: 1})
	ids := w.customers(3)
	change := &moving{RoundTripper: http.DefaultTransport, path: "/customers", before: func() {}, after: func() {}}
	w.transport = change
	w.partner = w.newPartner("contoso", w.url, 0)
	w.once()

	change.pages = 0
	change.before = func() {
		w.api.RemoveCustomer(ids[0])
		w.api.RemoveCustomer(ids[1])
	}
	change.after = func() { w.api.AddCustomer(partnercentertest.Customer{ID: ids[1]}) }
	w.once() // has seen the first customer, so that only the next pass marks it as gone
	w.want("", `SELECT customer_id FROM partner_center.customers WHERE removed_at IS NOT NULL`)
	w.once()
	w.want(ids[0], `SELECT customer_id FROM partner_center.customers WHERE removed_at IS NOT NULL`)
}
