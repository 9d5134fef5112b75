package sync

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/store"
	"partnersync/store/storetest"
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

// whenBatchesFail are the ways in which a list of batches does not come, and whether the devices of known batches are
// read all the same.
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
			w.want("t",
				"SELECT last_error LIKE 'listing device batches of customer%' FROM partner_center.sync_freshness")
		})
	}
}

func TestDevices_areNotAskedForWithoutAToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{}).reading()
	id := w.customers(1)[0]
	w.put(id, "open", "processing")
	w.once()
	w.partner = w.newPartner("contoso", w.url, 0) // without a token yet
	w.reading().partner.Customers = []string{id}
	w.api.Fail(partnercentertest.Fault{Path: "/token$", Status: 400, Body: `{"error":"invalid_client"}`})
	if run := w.once(); run.State != store.Failed {
		t.Errorf("run: %+v", run)
	}
	w.want("invalid_client", "SELECT last_error_code FROM partner_center.sync_freshness")
	w.want("0", "SELECT count(stale_at) FROM partnersync.list_state WHERE resource = 'devices'")
}

// whatComesBetween are changes after a pass over the batches open, done and other, the first of which is unfinished,
// and the batches whose devices the next one asks for.
var whatComesBetween = []struct {
	name   string
	change func(w *world, id string)
	want   []string
}{
	{"nothing", func(*world, string) {}, []string{"open"}},
	{"another creator", func(w *world, id string) {
		w.api.PutBatch(id,
			partnercentertest.Batch{ID: "done", Status: "finished", DevicesCount: 5, CreatedBy: "Fabrikam"})
	}, []string{"open"}},
	{"another status", func(w *world, id string) { w.put(id, "done", "finished_with_errors") },
		[]string{"done", "open"}},
	{"another count", func(w *world, id string) {
		w.api.PutBatch(id, partnercentertest.Batch{ID: "done", Status: "finished", DevicesCount: 6})
	}, []string{"done", "open"}},
	{"the status of the last read again", func(w *world, id string) {
		w.api.Fail(partnercentertest.Fault{Path: "batches/done/devices$", Times: 1, Status: 400})
		w.put(id, "done", "finished_with_errors")
		w.once()
		w.put(id, "done", "finished")
	}, []string{"done", "open"}},
	{"a batch finished and unread", func(w *world, id string) { w.put(id, "open", "finished") }, []string{"open"}},
	{"a new batch", func(w *world, id string) { w.put(id, "new", "finished") }, []string{"new", "open"}},
	{"a batch that is back", func(w *world, id string) {
		w.api.RemoveBatch(id, "done")
		w.once()
		w.put(id, "done", "finished")
	}, []string{"done", "open"}},
	{"a removed batch", func(w *world, id string) { w.api.RemoveBatch(id, "open") }, []string{}},
	{"held batches", func(w *world, id string) {
		for _, b := range []string{"open", "done", "other"} {
			w.api.RemoveBatch(id, b)
		}
	}, []string{"open"}},
	{"an incomplete listing", func(w *world, _ string) {
		w.api.Fail(partnercentertest.Fault{Path: "/deviceBatches$",
			Body: `{"totalCount":3,"items":[{"id":"done","status":"queued","devicesCount":5}]}`})
	}, []string{"done", "open"}},
	{"a list that does not come", func(w *world, _ string) {
		w.api.Fail(partnercentertest.Fault{Path: "/deviceBatches$", Status: 400})
	}, []string{"open"}},
	{"a customer who is refused",
		func(w *world, id string) { w.api.Fail(partnercentertest.Fault{Path: id, Status: 403}) }, []string{}},
}

func TestDryRun_asksForTheDevicesThatThePassAsksFor(t *testing.T) {
	t.Parallel()
	for _, tt := range whatComesBetween {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, partnercentertest.Options{}).reading()
			id := w.customers(1)[0]
			w.put(id, "open", "processing")
			w.put(id, "done", "finished")
			w.put(id, "other", "finished")
			w.once()
			tt.change(w, id)
			from := len(w.api.Requests())
			w.plans()
			if diff := cmp.Diff(tt.want, w.devicesAsked(from)); diff != "" {
				t.Errorf("asked by the dry run: (-want +got)\n%s", diff)
			}
			from = len(w.api.Requests())
			w.once()
			if diff := cmp.Diff(tt.want, w.devicesAsked(from)); diff != "" {
				t.Errorf("asked by the pass: (-want +got)\n%s", diff)
			}
		})
	}
}

func TestDryRun_asksForAllDevicesWhereTheSchemaIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{}).reading()
	db := storetest.Empty(t)
	w.pool, w.store = db.Pool, store.New(db.Pool, store.Options{})
	id, year := w.customers(1)[0], func(y int) time.Time { return time.Date(y, 5, 1, 0, 0, 0, 0, time.UTC) }
	w.api.PutBatch(id, partnercentertest.Batch{ID: "old", Status: "finished", Created: year(2024)})
	w.api.PutBatch(id, partnercentertest.Batch{ID: "new\x00", Status: "finished", Created: year(2025)})
	w.plans()
	if diff := cmp.Diff([]string{"new\x00", "old"}, w.devicesAsked(0)); diff != "" {
		t.Errorf("once: (-want +got)\n%s", diff)
	}
	from := len(w.api.Requests())
	w.ok(w.runner().DryRun(t.Context(), Request{Kind: store.Backfill, Since: year(2025)}, func(Plan) {}))
	if diff := cmp.Diff([]string{"new\x00"}, w.devicesAsked(from)); diff != "" {
		t.Errorf("backfill: (-want +got)\n%s", diff)
	}
}
