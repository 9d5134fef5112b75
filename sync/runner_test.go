package sync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"partnersync/store"
	"partnersync/store/cron"
	"partnersync/sync/partnercenter/partnercentertest"
)

// start runs the daemon until the test ends or stop is called; runs are the runs it has finished.
func (w *world) start(r *Runner) (runs <-chan store.Run, stop func()) {
	w.t.Helper()
	finished := make(chan store.Run, 100)
	r.OnRun = func(run store.Run) { finished <- run }
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	var g errgroup.Group
	g.Go(func() error { return r.Run(ctx) })
	stop = func() {
		cancel()
		if err := g.Wait(); err != nil {
			w.t.Errorf("daemon: %v", err)
		}
	}
	w.t.Cleanup(stop)
	return finished, stop
}

func TestRun_firstAtStartAndThenAtEachTick(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.put(w.customers(1)[0], "b", "queued")
	var err error
	w.partner.Schedule, err = cron.Parse("@every 1s", time.UTC)
	w.ok(err)
	r := w.runner()
	r.RunOnStart = true
	runs, stop := w.start(r)
	for i := range 3 {
		run := <-runs
		if run.State != store.Complete || run.Kind != store.Scheduled {
			t.Errorf("run %d: %+v", i+1, run)
		}
		if aligned := run.ScheduledFor.Equal(run.ScheduledFor.Truncate(time.Second)); aligned != (i > 0) {
			t.Errorf("run %d is scheduled for %s: all but the one at the start are for whole seconds", i+1, run.ScheduledFor)
		}
	}
	stop()
	w.want("0", "count(*)) FROM partnersync.workers")
}

func TestRun_withoutRunOnStartWaitsForTheFirstTick(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.customers(1)
	var err error
	w.partner.Schedule, err = cron.Parse("@every 1s", time.UTC)
	w.ok(err)
	runs, _ := w.start(w.runner())
	if run := <-runs; !run.ScheduledFor.Equal(run.ScheduledFor.Truncate(time.Second)) {
		t.Errorf("the first run is scheduled for %s, which is no tick", run.ScheduledFor)
	}
}

func TestRun_stoppedPassIsAbandonedAndItsClaimsAreLetGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.customers(3)
	hit := make(chan struct{}, 10)
	w.api.Fail(partnercentertest.Fault{Path: "deviceBatches", Hang: true, Before: func() { hit <- struct{}{} }})
	r := w.runner()
	r.RunOnStart = true
	_, stop := w.start(r)
	<-hit
	stop()
	w.want("abandoned|t", "state, finished_at IS NOT NULL) FROM partner_center.sync_runs")
	w.want("0", "count(owner)) FROM partnersync.customer_state")
}

func TestRun_replicasShareOnePass(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	ids := w.customers(250)
	for _, id := range ids {
		w.put(id, "b", "finished")
	}
	first, second := w.replica(0), w.replica(0)
	// The first replica's requests wait until the second one has asked too.
	both, asked := make(chan struct{}), make(chan struct{}, len(ids))
	w.api.Fail(partnercentertest.Fault{Path: "deviceBatches", Times: 5, Before: func() { asked <- struct{}{}; <-both }})
	runs, _ := w.start(first)
	for range 4 { // the first replica's concurrency
		<-asked
	}
	w.start(second)
	<-asked
	close(both)
	if run := <-runs; run.State != store.Complete || run.CustomersOK != len(ids) || run.Inserted != int64(len(ids)) {
		t.Errorf("run: %+v", run)
	}
	for id, n := range w.listings() {
		if n != 1 {
			t.Errorf("customer %s was read %d times", id, n)
		}
	}
	w.want("1|2", "(SELECT count(*) FROM partnersync.runs), (SELECT count(*) FROM partnersync.run_workers))")
}

func TestRun_heartbeatThatHangsIsGivenUpForAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	failed := signalling{"waiting for the database", make(chan struct{}, 100)}
	r := w.replica(0)
	r.Store = store.New(w.pool, store.Options{Lease: 2 * time.Second})
	r.Logger = slog.New(slog.NewTextHandler(failed, nil))
	w.start(r)
	beat := func() (at time.Time) {
		return w.value("SELECT coalesce(max(heartbeat_at), 'epoch') FROM partnersync.workers")
	}
	w.eventually(func() (string, bool) { return "no heartbeat", beat().Unix() > 0 })
	tx, err := w.pool.Begin(t.Context())
	w.ok(err)
	defer tx.Rollback(t.Context())
	_, err = tx.Exec(t.Context(), "SELECT 1 FROM partnersync.workers FOR UPDATE")
	w.ok(err)
	before := beat()
	<-failed.seen
	w.ok(tx.Rollback(t.Context()))
	w.eventually(func() (string, bool) { return "no new heartbeat", beat().After(before) })
}

func TestBackfill_resumesWhereItWasInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	ids := w.customers(8)
	for _, id := range ids {
		w.put(id, "b", "finished")
	}
	w.once()
	w.partner.Concurrency = 1
	// The fifth customer hangs until the backfill is stopped.
	hit := make(chan struct{})
	remove := w.api.Fail(partnercentertest.Fault{Path: "deviceBatches", Skip: 4, Hang: true, Before: func() { close(hit) }, Times: 1})
	ctx, stop := context.WithCancel(t.Context())
	go func() { <-hit; stop() }()
	runs, err := w.runner().Once(ctx, Request{Kind: store.Backfill})
	if !errors.Is(err, context.Canceled) || runs[0].State != store.Abandoned || runs[0].CustomersOK != 4 {
		t.Fatalf("interrupted backfill: %+v, %v", runs, err)
	}
	remove()
	before := w.listings()
	resumed, err := w.runner().Once(t.Context(), Request{Kind: store.Backfill})
	w.ok(err)
	if run := resumed[0]; run.ID != runs[0].ID || run.State != store.Complete || run.CustomersOK != 8 || run.Unchanged != 8 {
		t.Errorf("resumed backfill: %+v", run)
	}
	for i, id := range ids {
		if again := w.listings()[id] - before[id]; (again == 1) != (i >= 4) {
			t.Errorf("customer %d was read %d times by the resumed backfill", i+1, again)
		}
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
	remove := w.api.Fail(partnercentertest.Fault{Path: "deviceBatches$", Skip: 2, Hang: true, Before: func() { close(hit) }, Times: 1})
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
	before := len(w.api.Requests())
	resumed, err := w.runner().Once(t.Context(), Request{Kind: store.Backfill})
	w.ok(err)
	if run := resumed[0]; run.ID != runs[0].ID || run.State != store.Complete || run.CustomersTotal != 4 || run.CustomersOK != 4 {
		t.Errorf("resumed backfill: %+v, want all 4 customers done", run)
	}
	if asked := w.devicesAsked(before); len(asked) != 4 {
		t.Errorf("the resumed backfill read %q, want 4 device lists", asked)
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
	log := make(lines, 100)
	second := w.runner()
	second.Store = store.New(w.pool, store.Options{Version: "test"})
	second.Logger = slog.New(slog.NewTextHandler(log, nil))
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
	for line := range log {
		if strings.Contains(line, "waiting for another run of this kind") {
			break
		}
	}
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
		if customer, _, ok := strings.Cut(strings.TrimPrefix(r.Path, "/v1/customers/"), "/"); ok && strings.HasPrefix(r.Path, "/v1/customers/") {
			if ids[customer] == nil {
				ids[customer] = map[string]bool{}
			}
			ids[customer][r.Header.Get("MS-CorrelationId")] = true
		}
	}
	if len(ids) != 2 || len(ids["00000000-0000-4000-8000-000000000001"]) != 1 || len(ids["00000000-0000-4000-8000-000000000002"]) != 1 {
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
	w.want("0", "count(removed_at)) FROM partner_center.customers")
	w.want("1|1\n4|3", "customers_total, customers_ok) FROM partner_center.sync_runs WHERE run_id IN (3, 4) ORDER BY run_id")
	w.want("Newcomer", "company_name) FROM partner_center.customers WHERE customer_id = $1::uuid", late)
	for _, q := range []Request{{Kind: store.Once, Customers: []string{alpha}}, {Kind: store.Once, Partners: []string{"nobody"}}} {
		_, err := w.runner().Once(t.Context(), q)
		if !errors.Is(err, ErrUnknownCustomer) && !errors.Is(err, ErrUnknownPartner) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	w.want("4", "count(*)) FROM partnersync.runs")
}

func TestOnce_customerIsFoundThoughAnotherPartnerCannotSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	ids := w.customers(1)
	wrong := serve(t, partnercentertest.New(partnercentertest.Options{ClientSecret: "another"}))
	r := w.runner()
	r.Partners = []Partner{w.newPartner("adatum", wrong), w.partner, w.newPartner("fabrikam", wrong)}
	runs, err := r.Once(t.Context(), Request{Kind: store.Once, Customers: ids})
	if err != nil || len(runs) != 1 || runs[0].Partner != "contoso" || runs[0].State != store.Complete {
		t.Errorf("runs %+v, error %v", runs, err)
	}
	_, err = r.Once(t.Context(), Request{Kind: store.Once, Customers: []string{alpha}})
	if err == nil || errors.Is(err, ErrUnknownCustomer) || !strings.Contains(err.Error(), "adatum") || !strings.Contains(err.Error(), "fabrikam") {
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
	if all[0].CustomersTotal != 2 || all[0].State != store.Complete || listed[0].CustomersTotal != 1 || listed[0].State != store.Complete {
		t.Errorf("runs: %+v and %+v, want 2 customers and 1", all[0], listed[0])
	}
	for i, want := range []int{0, 2, 1} {
		if got := w.listings()[ids[i]] - before[ids[i]]; got != want {
			t.Errorf("customer %d was read %d times, want %d", i+1, got, want)
		}
	}
	w.want("0", "count(removed_at)) FROM partner_center.customers")
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
