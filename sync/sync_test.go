package sync

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"partnersync/store"
	"partnersync/sync/partnercenter/partnercentertest"
)

func TestOnce_documentedBatchBecomesItsRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.api.AddCustomer(partnercentertest.Customer{ID: alpha, CompanyName: "Contoso"})
	w.api.PutBatch(alpha, partnercentertest.Batch{
		ID: "Test batch", Status: "finished", Created: time.Date(2017, 7, 25, 1, 51, 0, 0, time.UTC), DevicesCount: 5,
	})
	run := w.once()
	if run.State != store.Complete || run.Inserted != 1 || run.CustomersOK != 1 {
		t.Errorf("run: %+v", run)
	}
	if last := w.api.Requests()[len(w.api.Requests())-1]; last.Bytes != 339 {
		t.Errorf("the documented response has 339 bytes, this one %d", last.Bytes)
	}
	w.want(alpha+"|Test batch|finished|2017-07-25 01:51:00|5|{}",
		`SELECT customer_id, batch_id, status, creation_date AT TIME ZONE 'UTC', devices_count, extra
			FROM partner_center.device_batches`)
}

func TestOnce_sixPassesOverABatchThatVanishesAndReturns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.api.AddCustomer(partnercentertest.Customer{ID: alpha})
	w.put(alpha, "stays", "finished")
	w.put(alpha, "stays too", "finished")
	for i, status := range []string{"queued", "processing", "processing", "finished", "", "finished", "finished"} {
		if status == "" {
			w.api.RemoveBatch(alpha, "b")
		} else {
			w.put(alpha, "b", status)
		}
		if run := w.once(); run.State != store.Complete {
			t.Fatalf("pass %d: %+v", i+1, run)
		}
	}
	w.want(`
		queued|f|t|t
		processing|f|f|t
		finished|f|f|t
		finished|t|f|t
		finished|f|f|t`,
		`SELECT status, removed_at IS NOT NULL, not_before IS NULL,
			valid_to IS NOT DISTINCT FROM lead(valid_from) OVER (ORDER BY valid_from)
				AND coalesce(not_before < valid_from, true)
		FROM partner_center.device_batch_history WHERE batch_id = 'b' ORDER BY valid_from`)
	w.want("7", "SELECT count(*) FROM partner_center.device_batch_history")
	w.want("0|0|0|3",
		"SELECT inserted, changed, removed, unchanged FROM partner_center.sync_runs ORDER BY run_id DESC LIMIT 1")
}

func TestOnce_allCustomersOfThreePages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.customers(1203)
	run := w.once()
	if run.State != store.Complete || run.CustomersTotal != 1203 || run.CustomersOK != 1203 {
		t.Errorf("run: %+v", run)
	}
	if n := len(w.listings()); n != 1203 {
		t.Errorf("the batches of %d customers were listed", n)
	}
	w.want("1203", "SELECT count(*) FROM partner_center.sync_freshness WHERE last_success_at IS NOT NULL")
}

func TestOnce_onlyResellersCustomersThatAreNotExcluded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	ids := w.customers(3)
	w.api.AddCustomer(partnercentertest.Customer{ID: alpha, Relationship: "advisor"})
	w.partner.Exclude = ids[1:2]
	w.once()
	w.want(ids[0]+"|Contoso 1|reseller\n"+ids[2]+"|Contoso 3|reseller",
		"SELECT customer_id, company_name, relationship FROM partner_center.customers ORDER BY customer_id")
}

func TestOnce_customersOfTheConfigurationAreTakenAsGiven(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	ids := w.customers(4)
	w.partner.Customers = ids[:3]
	w.once()
	w.partner.Customers = ids[2:]
	w.once()
	w.want(ids[0]+"|t\n"+ids[1]+"|t\n"+ids[2]+"|f\n"+ids[3]+"|f",
		"SELECT customer_id, removed_at IS NOT NULL FROM partner_center.customers ORDER BY customer_id")
	for _, r := range w.api.Requests() {
		if r.Path == "/v1/customers" {
			t.Error("the API was asked for customers")
		}
	}
}

func TestOnce_oneFailingCustomerAmongMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	ids := w.customers(20)
	for _, id := range ids {
		w.put(id, "b", "finished")
	}
	remove := w.api.Fail(partnercentertest.Fault{Path: ids[7], Status: 403, Code: "20002",
		Description: "no commerce relationship"})
	run := w.once()
	if run.State != store.Partial || run.CustomersOK != 19 || run.CustomersFailed != 1 || run.Inserted != 19 {
		t.Errorf("run: %+v", run)
	}
	w.want(ids[7]+"|1|t|20002|t|36|36",
		`SELECT customer_id, consecutive_failures, failing_since IS NOT NULL, last_error_code,
			last_error LIKE '%no commerce relationship%',
			length(last_request_id), length(last_correlation_id) FROM partner_center.sync_freshness
				WHERE consecutive_failures > 0`)
	w.once()
	w.want("2", "SELECT max(consecutive_failures) FROM partner_center.sync_freshness")
	remove()
	if run := w.once(); run.State != store.Complete || run.Inserted != 1 {
		t.Errorf("run after the recovery: %+v", run)
	}
	w.want("0|0", "SELECT count(failing_since), count(last_error_code) FROM partner_center.sync_freshness")
}

func TestOnce_failedEnumerationGoesOnWithTheCustomersKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.customers(3)
	w.once()
	w.api.Fail(partnercentertest.Fault{Path: "/v1/customers", Times: 1, Status: 404})
	run := w.once()
	if run.State != store.Partial || run.CustomersOK != 3 || run.Error == nil ||
		!strings.Contains(*run.Error, "listing the customers of partner contoso") {
		t.Errorf("run: %+v", run)
	}
	w.want("3", "SELECT count(*) FROM partner_center.customers WHERE removed_at IS NULL")
}

func TestOnce_nothingKnownAndNothingEnumeratedFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{ClientSecret: "another"})
	w.customers(3)
	run := w.once()
	if run.State != store.Failed || run.Error == nil || !strings.Contains(*run.Error, "AADSTS7000215") {
		t.Errorf("run: %+v", run)
	}
	if strings.Contains(*run.Error, partnercentertest.DefaultClientSecret) {
		t.Error("the error shows the secret")
	}
}

func TestOnce_unchangedListsAreNeitherDecodedNorWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	for _, id := range w.customers(3) {
		w.put(id, "a", "queued")
		w.put(id, "b", "finished")
	}
	w.once()
	state := `SELECT customer_id, batch_id, ctid, xmin
		FROM partner_center.device_batches ORDER BY customer_id, batch_id`
	before := w.rows(state)
	run := w.once()
	if run.Unchanged != 6 || run.Inserted+run.Changed+run.Removed != 0 {
		t.Errorf("run: %+v", run)
	}
	w.want(strings.Join(before, "\n"), state)
	w.want("t",
		`SELECT bool_and(confirmed_at = observed_at
			AND confirmed_at > (SELECT max(valid_from) FROM partner_center.device_batches))
				FROM partnersync.list_state`)
}

func TestOnce_incompleteListingRemovesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	id := w.customers(1)[0]
	w.put(id, "a", "queued")
	w.put(id, "b", "queued")
	w.once()
	w.api.Fail(partnercentertest.Fault{
		Path: "deviceBatches", Times: 1, Status: 200,
		Body: `{"totalCount":2,"items":[{"id":"a","status":"finished","devicesCount":5}]}`,
	})
	if run := w.once(); run.State != store.Failed || run.Changed != 1 || run.Removed != 0 {
		t.Errorf("run: %+v", run)
	}
	w.want("incomplete_listing", "SELECT last_error_code FROM partner_center.sync_freshness")
	w.want("a|finished|f\nb|queued|f",
		"SELECT batch_id, status, removed_at IS NOT NULL FROM partner_center.device_batches ORDER BY batch_id")
	if run := w.once(); run.State != store.Complete || run.Changed != 1 {
		t.Errorf("run after it: %+v", run)
	}
}

func TestOnce_massRemovalIsHeldAndThenConfirmed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	id := w.customers(1)[0]
	w.put(id, "only", "finished")
	w.once()
	w.api.RemoveBatch(id, "only")
	if run := w.once(); run.State != store.Failed || run.Removed != 0 {
		t.Errorf("first run without the batch: %+v", run)
	}
	w.want("mass_removal_held", "SELECT last_error_code FROM partner_center.sync_freshness")
	if run := w.once(); run.State != store.Complete || run.Removed != 1 {
		t.Errorf("second run without the batch: %+v", run)
	}
}

func TestOnce_customerOfTwoPartners(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	ids := w.customers(2)
	w.put(ids[0], "b", "finished")
	w.once()
	second := w.newPartner("fabrikam", w.url, 0)
	second.Customers = ids[:1]
	before := w.listings()[ids[0]]
	runs, err := (&Runner{Store: w.store, Partners: []Partner{second}, Logger: w.log}).Once(t.Context(),
		Request{Kind: store.Once})
	w.ok(err)
	if run := runs[0]; run.State != store.Failed || run.CustomersTotal != 1 || run.CustomersFailed != 1 {
		t.Errorf("run of the second partner: %+v", run)
	}
	if w.listings()[ids[0]] != before {
		t.Error("the customer was read for the second partner")
	}
	w.want("t|t|t",
		`SELECT last_error LIKE '%contoso%', last_error LIKE '%fabrikam%', last_error LIKE '%not in the configuration%'
			FROM partner_center.sync_freshness
		WHERE partner = 'fabrikam' AND last_error_code = 'customer_of_two_partners'`)
	// The first partner lets the customer go: the second takes it over, with its history.
	w.partner.Exclude = ids[:1]
	w.once()
	runs, err = (&Runner{Store: w.store, Partners: []Partner{second}, Logger: w.log}).Once(t.Context(),
		Request{Kind: store.Once})
	w.ok(err)
	if run := runs[0]; run.State != store.Complete || run.Unchanged != 1 {
		t.Errorf("run of the second partner after the move: %+v", run)
	}
	w.want("fabrikam|f",
		"SELECT partner, removed_at IS NOT NULL FROM partner_center.customers WHERE customer_id = $1::uuid", ids[0])
	w.want("1", "SELECT count(*) FROM partner_center.sync_freshness WHERE customer_id = $1::uuid", ids[0])
}

func TestOnce_hostileIDsAndValues(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	id := w.customers(1)[0]
	long := strings.Repeat("é", 800)
	for _, raw := range []string{
		`{"id":"a b/c?d#e%f'\"","status":"finished"}`,
		`{"id":"😀","status":3,"devicesCount":"7","creationDate":"soon"}`,
		`{"id":"nul\u0000","status":"nul\u0000","new":"nul\u0000","deep":` + strings.Repeat("[", 9000) +
			strings.Repeat("]", 9000) + `,"big":1e99999}`,
		`{"id":"` + long + `"}`,
		`{"id":"twice","status":"first"}`, `{"id":"twice","status":"last"}`,
	} {
		w.api.PutBatch(id, partnercentertest.Batch{ID: fmt.Sprint("raw ", len(raw), raw[:min(20, len(raw))]), Raw: raw})
	}
	if run := w.once(); run.State != store.Complete || run.Inserted != 5 {
		t.Errorf("run: %+v", run)
	}
	key, _ := storedID(long)
	w.want(strings.Join([]string{
		"a b/c?d#e%f'\"|finished|{}", "nul\uFFFD|nul\uFFFD|nul\uFFFD|1e99999", "twice|last|{}", key + "|{}",
		`😀|{"status": 3, "creationDate": "soon", "devicesCount": "7"}`,
	}, "\n"),
		`SELECT batch_id, status,
			CASE WHEN extra ? 'new' THEN concat_ws('|', extra->>'new', extra->>'big') ELSE extra::text END
		FROM partner_center.device_batches ORDER BY batch_id`)
	if run := w.once(); run.Unchanged != 5 {
		t.Errorf("second run: %+v", run)
	}
	w.want("t",
		`SELECT digest IS NULL FROM partnersync.list_state
			WHERE resource = 'device_batches'`) // requests for devices need the ids as received
}

func TestOnce_customerThatCannotBeFetchedDelaysNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	ids := w.customers(30)
	w.partner.Concurrency = 2
	w.api.Fail(partnercentertest.Fault{Path: ids[0], Hang: true})
	ctx, stop := context.WithCancel(t.Context())
	r := w.runner()
	r.Progress = func(p Progress) {
		if p.Done == 29 {
			stop() // all the others are done while the first one hangs
		}
	}
	runs, err := r.Once(ctx, Request{Kind: store.Once})
	if !errors.Is(err, context.Canceled) || len(runs) != 1 || runs[0].State != store.Abandoned ||
		runs[0].CustomersOK != 29 {
		t.Errorf("interrupted pass: %+v, %v; want abandoned with 29 customers ok", runs, err)
	}
	w.want("0", "SELECT count(owner) FROM partnersync.customer_state") // no claim is left behind
	w.want("0", "SELECT count(*) FROM partnersync.workers")
}
