package sync

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
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
	const tables = `SELECT (SELECT string_agg(concat_ws('/', ctid, xmin, batch_id), ' ' ORDER BY batch_id, customer_id)
		FROM partner_center.device_batches),
		(SELECT count(*) FROM partner_center.device_batch_versions), (SELECT count(*) FROM partnersync.runs),
		(SELECT string_agg(concat_ws('/', ctid, xmin), ' ' ORDER BY customer_id) FROM partnersync.customer_state),
		(SELECT count(*) FROM partnersync.workers)`
	before := w.rows(tables)
	w.put(ids[0], "a", "processing")
	w.put(ids[0], "d", "queued")
	w.api.RemoveBatch(ids[0], "c")
	for _, b := range []string{"a", "b", "c"} {
		w.api.RemoveBatch(ids[1], b)
	}
	w.api.Fail(partnercentertest.Fault{Path: ids[2], Status: 404})
	want := map[string][]string{
		"":     {},
		ids[0]: {"changed a [status: queued -> processing]", "removed c []", "inserted d []"},
		ids[1]: {"held a []", "held b []", "held c []", "failed, held 3"},
		ids[2]: {"failed"},
	}
	if diff := cmp.Diff(want, w.plans()); diff != "" {
		t.Errorf("plans: (-want +got)\n%s", diff)
	}
	w.want(strings.Join(before, "\n"), tables)
}

func TestDryRun_missingSchemaCountsAsEmpty(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	db := storetest.Empty(t)
	w.pool, w.store = db.Pool, store.New(db.Pool, store.Options{})
	id := w.customers(1)[0]
	w.put(id, "a", "queued")
	want := map[string][]string{"": {"inserted " + id + " []"}, id: {"inserted a []"}}
	if diff := cmp.Diff(want, w.plans()); diff != "" {
		t.Errorf("plans: (-want +got)\n%s", diff)
	}
	w.want("0", "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'partner%'")
}

func TestDryRun_failedEnumerationGoesOnWithTheCustomersKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	id := w.customers(1)[0]
	w.once()
	w.api.Fail(partnercentertest.Fault{Path: "/customers$", Status: 404})
	want := map[string][]string{"": {"failed"}, id: {}}
	if diff := cmp.Diff(want, w.plans()); diff != "" {
		t.Errorf("plans: (-want +got)\n%s", diff)
	}
}

// plannedCustomers are those that a dry run lists batches of.
func (w *world) plannedCustomers() []string {
	ids := slices.Sorted(maps.Keys(w.plans()))
	return slices.DeleteFunc(ids, func(id string) bool { return id == "" })
}

func TestDryRun_showsCustomersThatComeAndGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	ids := w.customers(3)
	w.once()
	w.api.RemoveCustomer(ids[0])
	w.api.AddCustomer(partnercentertest.Customer{ID: ids[1], CompanyName: "Another name"})
	fourth := "00000000-0000-4000-8000-000000000004"
	w.api.AddCustomer(partnercentertest.Customer{ID: fourth})
	const state = "SELECT partner, count(*), count(removed_at) FROM partner_center.customers GROUP BY partner"
	got := w.plans()
	if len(got[""]) != 3 || got[""][0] != "removed "+ids[0]+" []" || !strings.Contains(got[""][1], "-> Another name") ||
		got[""][2] != "inserted "+fourth+" []" {
		t.Errorf("customers: %q", got[""])
	}
	if diff := cmp.Diff([]string{ids[1], ids[2], fourth}, w.plannedCustomers()); diff != "" {
		t.Errorf("customers read: (-want +got)\n%s", diff)
	}
	w.want("contoso|3|0", state)
	w.once() // and it comes like that
	if diff := cmp.Diff([]string{}, w.plans()[""]); diff != "" {
		t.Errorf("after the pass: (-want +got)\n%s", diff)
	}
	w.want("contoso|4|1", state)
}

func TestDryRun_customersHeldByTheGuardAreReadAllTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	ids := w.customers(8)
	w.once()
	for _, id := range ids[1:] {
		w.api.RemoveCustomer(id)
	}
	if got := w.plans()[""]; len(got) != 8 || got[0] != "held "+ids[1]+" []" || got[7] != "failed, held 7" {
		t.Errorf("customers: %q", got)
	}
	if got := w.plannedCustomers(); !slices.Equal(got, ids) {
		t.Errorf("customers read: %v, want %v", got, ids)
	}
}

func TestDryRun_customerOfAPartnerThatTheConfigurationLacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	id := w.customers(1)[0]
	w.once()
	renamed := w.newPartner("fabrikam", w.url, 0)
	var got string
	err := (&Runner{Store: w.store, Partners: []Partner{renamed}}).DryRun(t.Context(), Request{Kind: store.Once},
		func(p Plan) {
			if p.Customer.ID == id && p.Err != nil {
				got = p.Err.Error()
			}
		})
	w.ok(err)
	if !strings.Contains(got, "belongs to partner contoso, which is not in the configuration") ||
		!strings.Contains(got, "give contoso its name back") {
		t.Errorf("got %q", got)
	}
}
