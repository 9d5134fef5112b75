package sync

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"partnersync/store"
	"partnersync/sync/partnercenter/partnercentertest"
)

func TestBackfill_resumesWhereItWasInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	ids := w.customers(8)
	for _, id := range ids {
		w.put(id, "b", "finished")
	}
	w.once()
	w.partner.Concurrency = 1
	before := w.listings()
	// The fifth customer hangs until the backfill is stopped.
	hit := make(chan struct{})
	remove := w.api.Fail(partnercentertest.Fault{Path: "deviceBatches", Skip: 4, Hang: true,
		Before: func() { close(hit) }, Times: 1})
	ctx, stop := context.WithCancel(t.Context())
	go func() { <-hit; stop() }()
	runs, err := w.runner().Once(ctx, Request{Kind: store.Backfill})
	if !errors.Is(err, context.Canceled) || runs[0].State != store.Abandoned || runs[0].CustomersOK != 4 {
		t.Fatalf("interrupted backfill: %+v, %v", runs, err)
	}
	remove()
	interrupted := w.listings()
	resumed, err := w.runner().Once(t.Context(), Request{Kind: store.Backfill})
	w.ok(err)
	if run := resumed[0]; run.ID != runs[0].ID || run.State != store.Complete || run.CustomersOK != 8 ||
		run.Unchanged != 8 {
		t.Errorf("resumed backfill: %+v", run)
	}
	again := 0
	for id, read := range w.listings() {
		again += read - interrupted[id]
		if read-before[id] > 2 || read-interrupted[id] > 1 {
			t.Errorf("customer %s was read %d times, the last %d by the resumed backfill", id, read-before[id], read-interrupted[id])
		}
	}
	if again != 4 {
		t.Errorf("the resumed backfill read %d customers, want the 4 that were left", again)
	}
	anew, err := w.runner().Once(t.Context(), Request{Kind: store.Backfill})
	w.ok(err)
	if anew[0].ID == runs[0].ID {
		t.Error("a finished backfill was resumed")
	}
}

// What another backfill has done meanwhile is done again: it may have read fewer devices.
func TestBackfill_resumedAfterAnotherOneDoesAllThatIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{}).reading()
	ids := w.customers(4)
	for i, id := range ids {
		w.fill(id, fmt.Sprint("b", i), 2)
	}
	w.once()
	w.partner.Concurrency = 1
	hit := make(chan struct{})
	before := len(w.api.Requests())
	remove := w.api.Fail(partnercentertest.Fault{Path: "deviceBatches$", Skip: 2, Hang: true,
		Before: func() { close(hit) }, Times: 1})
	ctx, stop := context.WithCancel(t.Context())
	go func() { <-hit; stop() }()
	runs, err := w.runner().Once(ctx, Request{Kind: store.Backfill})
	if !errors.Is(err, context.Canceled) || runs[0].State != store.Abandoned {
		t.Fatalf("interrupted backfill: %+v, %v", runs, err)
	}
	remove()
	others, err := w.runner().Once(t.Context(), Request{Kind: store.Backfill, Since: time.Now().AddDate(1, 0, 0)})
	w.ok(err)
	if others[0].ID == runs[0].ID || others[0].State != store.Complete || others[0].CustomersOK != 4 {
		t.Fatalf("another backfill: %+v", others)
	}
	resumed, err := w.runner().Once(t.Context(), Request{Kind: store.Backfill})
	w.ok(err)
	if run := resumed[0]; run.ID != runs[0].ID || run.State != store.Complete || run.CustomersTotal != 4 ||
		run.CustomersOK != 4 {
		t.Errorf("resumed backfill: %+v, want all 4 customers done", run)
	}
	if asked := w.devicesAsked(before); len(asked) != 4 {
		t.Errorf("the backfill read %q before it was interrupted and after, want 4 device lists", asked)
	}
}

// Were they to share the customers between them, each would lack those that the other has done.
func TestOnce_secondOneWaitsForTheFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	ids := w.customers(6)
	w.partner.Concurrency = 1
	begun, goOn := make(chan struct{}), make(chan struct{})
	w.api.Fail(partnercentertest.Fault{Path: "deviceBatches", Times: 1, Before: func() { close(begun); <-goOn }})
	logger, log := newLog()
	second := w.runner()
	second.Store = store.New(w.pool, store.Options{Version: "test"})
	second.Logger = logger
	var g errgroup.Group
	for _, r := range []*Runner{w.runner(), second} {
		g.Go(func() error {
			if r == second {
				<-begun
			}
			runs, err := r.Once(t.Context(), Request{Kind: store.Once})
			if err == nil && (len(runs) != 1 || runs[0].State != store.Complete || runs[0].CustomersOK != len(ids)) {
				err = fmt.Errorf("runs %+v, want one of all customers", runs)
			}
			return err
		})
	}
	w.untilLogged(log, "waiting for another run of this kind")
	close(goOn)
	w.ok(g.Wait())
}

func TestOnce_customersRequestsHaveOneCorrelationID(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{}).reading()
	for _, id := range w.customers(2) {
		w.fill(id, "a", 2)
		w.fill(id, "b", 2)
	}
	w.once()
	ids := map[string]map[string]bool{} // of each customer
	for _, r := range w.api.Requests() {
		if customer, _, ok := strings.Cut(strings.TrimPrefix(r.Path, "/v1/customers/"), "/"); ok &&
			strings.HasPrefix(r.Path, "/v1/customers/") {
			if ids[customer] == nil {
				ids[customer] = map[string]bool{}
			}
			ids[customer][r.Header.Get("MS-CorrelationId")] = true
		}
	}
	if len(ids) != 2 || len(ids["00000000-0000-4000-8000-000000000001"]) != 1 ||
		len(ids["00000000-0000-4000-8000-000000000002"]) != 1 {
		t.Errorf("correlation ids by customer: %v, want one each", ids)
	}
}

func TestBackfill_restartBeginsAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.customers(2)
	ctx, stop := context.WithCancel(t.Context())
	w.api.Fail(partnercentertest.Fault{Path: "deviceBatches", Hang: true, Times: 2, Before: stop})
	runs, _ := w.runner().Once(ctx, Request{Kind: store.Backfill})
	w.api.ClearFaults()
	anew, err := w.runner().Once(t.Context(), Request{Kind: store.Backfill, Restart: true})
	w.ok(err)
	if len(runs) != 1 || anew[0].ID == runs[0].ID || anew[0].State != store.Complete {
		t.Errorf("first %+v, then %+v", runs, anew)
	}
}

func TestOnce_restrictedPassMarksNobodyRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	ids := w.customers(3)
	w.once()
	w.api.RemoveCustomer(ids[0])
	late := "00000000-0000-4000-8000-0000000000ff"
	w.api.AddCustomer(partnercentertest.Customer{ID: late, CompanyName: "Newcomer"})
	before := w.listings()
	for _, q := range []Request{
		{Kind: store.Once, Customers: ids[1:2]},
		{Kind: store.Once, Customers: []string{late}},
		{Kind: store.Once, Partners: []string{"contoso"}},
	} {
		if _, err := w.runner().Once(t.Context(), q); err != nil {
			t.Errorf("%+v: %v", q, err)
		}
	}
	if n := w.listings()[ids[1]] - before[ids[1]]; n != 2 {
		t.Errorf("the customer named was read %d times in three passes, want 2", n)
	}
	w.want("0", "SELECT count(removed_at) FROM partner_center.customers")
	w.want("1|1\n4|3",
		"SELECT customers_total, customers_ok FROM partner_center.sync_runs WHERE run_id IN (3, 4) ORDER BY run_id")
	w.want("Newcomer", "SELECT company_name FROM partner_center.customers WHERE customer_id = $1::uuid", late)
	for _, q := range []Request{{Kind: store.Once, Customers: []string{alpha}},
		{Kind: store.Once, Partners: []string{"nobody"}}} {
		_, err := w.runner().Once(t.Context(), q)
		if !errors.Is(err, ErrUnknownCustomer) && !errors.Is(err, ErrUnknownPartner) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	w.want("4", "SELECT count(*) FROM partnersync.runs")
}

func TestOnce_customerIsFoundThoughAnotherPartnerCannotSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	ids := w.customers(1)
	wrong := serve(t, partnercentertest.New(partnercentertest.Options{ClientSecret: "another"}))
	r := w.runner()
	r.Partners = []Partner{w.newPartner("adatum", wrong, 0), w.partner, w.newPartner("fabrikam", wrong, 0)}
	runs, err := r.Once(t.Context(), Request{Kind: store.Once, Customers: ids})
	if err != nil || len(runs) != 1 || runs[0].Partner != "contoso" || runs[0].State != store.Complete {
		t.Errorf("runs %+v, error %v", runs, err)
	}
	_, err = r.Once(t.Context(), Request{Kind: store.Once, Customers: []string{alpha}})
	if err == nil || errors.Is(err, ErrUnknownCustomer) || !strings.Contains(err.Error(), "adatum") ||
		!strings.Contains(err.Error(), "fabrikam") {
		t.Errorf("a customer whom those who cannot be asked may have: %v", err)
	}
}

func TestOnce_restrictedPassLeavesExcludedCustomersAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	ids := w.customers(3)
	w.once()
	before := w.listings()
	w.partner.Exclude = ids[:1]
	all, err := w.runner().Once(t.Context(), Request{Kind: store.Once, Partners: []string{"contoso"}})
	w.ok(err)
	w.partner.Customers = ids[:2]
	listed, err := w.runner().Once(t.Context(), Request{Kind: store.Once, Partners: []string{"contoso"}})
	w.ok(err)
	if all[0].CustomersTotal != 2 || all[0].State != store.Complete || listed[0].CustomersTotal != 1 ||
		listed[0].State != store.Complete {
		t.Errorf("runs: %+v and %+v, want 2 customers and 1", all[0], listed[0])
	}
	for i, want := range []int{0, 2, 1} {
		if got := w.listings()[ids[i]] - before[ids[i]]; got != want {
			t.Errorf("customer %d was read %d times, want %d", i+1, got, want)
		}
	}
	w.want("0", "SELECT count(removed_at) FROM partner_center.customers")
}

func TestOnce_besideABackfillThatIsResumedCountsEachForItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{}).reading()
	ids := w.customers(6)
	for _, id := range ids {
		w.fill(id, "b", 1)
	}
	// The backfill is stopped while it reads devices: what it waits for must not be settled by the pass in between.
	ctx, stop := context.WithCancel(t.Context())
	w.api.Fail(partnercentertest.Fault{Path: "/devices$", Skip: 1, Hang: true, Before: stop})
	first, err := w.runner().Once(ctx, Request{Kind: store.Backfill})
	if !errors.Is(err, context.Canceled) || first[0].State != store.Abandoned {
		t.Fatalf("interrupted backfill: %+v, %v", first, err)
	}
	w.api.ClearFaults()
	if run := w.once(); run.State != store.Complete || run.CustomersOK != 6 {
		t.Errorf("pass in between: %+v", run)
	}
	w.api.Fail(partnercentertest.Fault{Path: ids[0] + "/deviceBatches/b/devices$", Status: 403})
	again, err := w.runner().Once(t.Context(), Request{Kind: store.Backfill})
	w.ok(err)
	run := again[0]
	if run.ID != first[0].ID || run.CustomersOK+run.CustomersFailed != 6 || run.CustomersOK < 5 {
		t.Errorf("resumed backfill: %+v", run)
	}
}
