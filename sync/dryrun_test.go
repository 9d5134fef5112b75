package sync

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"partnersync/store"
	"partnersync/store/storetest"
	"partnersync/sync/partnercenter/partnercentertest"
)

// plans makes a dry run and returns what it reports, by customer.
func (w *world) plans() map[string][]string {
	w.t.Helper()
	all := map[string][]string{}
	err := w.runner().DryRun(w.t.Context(), Request{Kind: store.Once}, func(p Plan) {
		lines := []string{}
		for _, d := range p.Differences {
			lines = append(lines, fmt.Sprint(d.Kind, " ", d.Key, " ", d.Changes))
		}
		if held, ok := errors.AsType[*heldError](p.Err); ok {
			lines = append(lines, fmt.Sprint("failed, held ", held.rows))
		} else if p.Err != nil {
			lines = append(lines, "failed")
		}
		all[p.Customer.ID] = lines
	})
	w.ok(err)
	return all
}

func TestDryRun_saysWhatAPassWouldDoAndWritesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	ids := w.customers(3)
	for _, id := range ids {
		w.put(id, "a", "queued")
		w.put(id, "b", "finished")
		w.put(id, "c", "finished")
	}
	w.once()
	const tables = `(SELECT string_agg(concat_ws('/', ctid, xmin, batch_id), ' ' ORDER BY batch_id, customer_id) FROM partner_center.device_batches),
		(SELECT count(*) FROM partner_center.device_batch_versions), (SELECT count(*) FROM partnersync.runs),
		(SELECT string_agg(concat_ws('/', ctid, xmin), ' ' ORDER BY customer_id) FROM partnersync.customer_state),
		(SELECT count(*) FROM partnersync.workers))`
	var before string
	w.ok(w.pool.QueryRow(t.Context(), "SELECT concat_ws('|', "+tables).Scan(&before))
	w.put(ids[0], "a", "processing")
	w.put(ids[0], "d", "queued")
	w.api.RemoveBatch(ids[0], "c")
	for _, b := range []string{"a", "b", "c"} {
		w.api.RemoveBatch(ids[1], b)
	}
	w.api.Fail(partnercentertest.Fault{Path: ids[2], Status: 404})
	want := map[string][]string{
		ids[0]: {"changed a [status: queued -> processing]", "removed c []", "inserted d []"},
		ids[1]: {"held a []", "held b []", "held c []", "failed, held 3"},
		ids[2]: {"failed"},
	}
	if diff := cmp.Diff(want, w.plans()); diff != "" {
		t.Errorf("plans: (-want +got)\n%s", diff)
	}
	w.want(before, tables)
}

func TestDryRun_missingSchemaCountsAsEmpty(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	db := storetest.Empty(t)
	w.pool, w.store = db.Pool, store.New(db.Pool, store.Options{})
	id := w.customers(1)[0]
	w.put(id, "a", "queued")
	if diff := cmp.Diff(map[string][]string{id: {"inserted a []"}}, w.plans()); diff != "" {
		t.Errorf("plans: (-want +got)\n%s", diff)
	}
	w.want("0", "count(*)) FROM pg_namespace WHERE nspname LIKE 'partner%'")
}

func TestDryRun_failedEnumerationGoesOnWithTheCustomersKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	id := w.customers(1)[0]
	w.once()
	broken := httptest.NewServer(w.api)
	t.Cleanup(broken.Close)
	w.api.Fail(partnercentertest.Fault{Path: "/customers$", Status: 404})
	want := map[string][]string{"": {"failed"}, id: {}}
	if diff := cmp.Diff(want, w.plans()); diff != "" {
		t.Errorf("plans: (-want +got)\n%s", diff)
	}
}
