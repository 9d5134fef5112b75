package sync

import (
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"partnersync/store"
	"partnersync/sync/partnercenter/partnercentertest"
)

var devicesPath = regexp.MustCompile(`deviceBatches/([^/]+)/devices$`)

// devicesAsked returns the batches whose devices were asked for since the log had from requests, in order of their ids.
func (w *world) devicesAsked(from int) []string {
	asked := []string{}
	for _, r := range w.api.Requests()[from:] {
		if of := devicesPath.FindStringSubmatch(r.Path); of != nil {
			asked = append(asked, of[1])
		}
	}
	slices.Sort(asked)
	return slices.Compact(asked)
}

// whenBatchesFail are the ways in which a list of batches does not come, and whether the devices of known batches are read
// all the same.
var whenBatchesFail = []struct {
	name  string
	fault partnercentertest.Fault
	read  bool
}{
	{"no JSON", partnercentertest.Fault{Body: "<html>at your service again soon</html>"}, true},
	{"no list", partnercentertest.Fault{Body: "{}"}, true},
	{"a bad request", partnercentertest.Fault{Status: 400}, true},
	{"no access", partnercentertest.Fault{Status: 401}, false},
	{"no relationship", partnercentertest.Fault{Status: 403, Code: "20002"}, false},
	{"no customer", partnercentertest.Fault{Status: 404}, false},
}

func TestDevices_areReadThoughTheListOfBatchesDoesNotCome(t *testing.T) {
	t.Parallel()
	for _, tt := range whenBatchesFail {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, partnercentertest.Options{}).reading()
			id := w.customers(1)[0]
			w.put(id, "open", "processing")
			w.put(id, "done", "finished")
			w.once()
			w.api.PutDevice(id, "open", partnercentertest.Device{ID: "new"})
			tt.fault.Path = "/deviceBatches$"
			w.api.Fail(tt.fault)
			from := len(w.api.Requests())
			run := w.once()
			want, inserted := []string{}, int64(0)
			if tt.read {
				want, inserted = []string{"open"}, 1
			}
			if diff := cmp.Diff(want, w.devicesAsked(from)); diff != "" {
				t.Errorf("device lists asked for: (-want +got)\n%s", diff)
			}
			if run.State != store.Failed || run.CustomersFailed != 1 || run.Inserted != inserted {
				t.Errorf("run: %+v", run)
			}
			w.want("t", "last_error LIKE 'listing device batches of customer%') FROM partner_center.sync_freshness")
		})
	}
}

func TestDevices_areNotAskedForWithoutAToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{}).reading()
	id := w.customers(1)[0]
	w.put(id, "open", "processing")
	w.once()
	w.partner = w.newPartner("contoso", w.url) // without a token yet
	w.reading().partner.Customers = []string{id}
	w.api.Fail(partnercentertest.Fault{Path: "/token$", Status: 400, Body: `{"error":"invalid_client"}`})
	if run := w.once(); run.State != store.Failed {
		t.Errorf("run: %+v", run)
	}
	w.want("invalid_client", "last_error_code) FROM partner_center.sync_freshness")
	w.want("0", "count(stale_at)) FROM partnersync.list_state")
}
