package store

import "testing"

// The device lists that a customer has left in one run may be read by a run of another kind: it ends all the same.
func TestKinds_devicesReadByAnotherRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	batches, lists := []DeviceBatch{batch("a", "finished")}, deviceLists{"a": {device("1")}}
	run := w.beginReading(RunRequest{Kind: Scheduled, Devices: &DeviceReading{Refresh: day}}, alpha)
	claim := w.claim(run)
	done, err := w.MergeDeviceBatches(t.Context(), claim, complete("1"), batches)
	w.ok(err)
	w.record(run, Result{Claim: claim, DevicesLeft: done.DevicesDue})
	other, backfill := w.devicesPass(Backfill, batches, lists)
	w.wantRead("by the backfill", other, "a")
	if backfill.State != Complete || backfill.CustomersOK != 1 {
		t.Errorf("backfill %+v", backfill)
	}
	for _, c := range w.claimsFor(run, DevicesTurn) {
		w.wantRead("by the scheduled run", w.readDevices(c, lists))
	}
	if now := w.finish(run); now.State != Complete || now.CustomersOK != 1 || now.CustomersTotal != 1 {
		t.Errorf("run %+v, want it complete", now)
	}
}

// A customer that leaves in the middle of a run is no failure of it. One that it has counted already stays in its counts.
func TestKinds_customerLeavesInTheMiddleOfARun(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		leave func(w *world, claim Claim)
		total int
	}{
		"before it is claimed": {func(w *world, _ Claim) {}, 1},
		"while it fails": {func(w *world, claim Claim) {
			lost, err := w.RecordResults(w.t.Context(), claim.Run, []Result{{Claim: claim, Failure: &Failure{Code: "http_404"}}})
			if w.ok(err); lost != 1 {
				w.t.Errorf("%d claims lost, want the customer's that left", lost)
			}
		}, 1},
		"after it was counted": {nil, 2},
	} {
		w := newWorld(t)
		run := w.begin(Scheduled, alpha, beta)
		claims := w.claims(run)
		w.record(run, Result{Claim: claims[0]})
		if test.leave == nil {
			w.record(run, Result{Claim: claims[1]})
		}
		w.enumerate("contoso", minute(1), Enumeration{Customers: named([]string{alpha}), Complete: true})
		w.want("t", "SELECT (customers_ok + customers_failed <= customers_total)::text::char FROM partner_center.sync_runs WHERE run_id = $1", run.ID)
		if test.leave != nil {
			test.leave(w, claims[1])
		}
		if got := w.finish(run); got.State != Complete || got.CustomersTotal != test.total || got.CustomersOK != test.total {
			t.Errorf("%s: run %+v, want it complete with %d customers", name, got, test.total)
		}
	}
}

// Customers that come in the middle of a run are done by it, and the total never falls behind.
func TestKinds_customerComesInTheMiddleOfARun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Scheduled, alpha)
	w.enumerate("contoso", minute(1), listed(alpha, beta))
	for _, c := range w.claims(run) {
		w.record(run, Result{Claim: c})
		w.want("t", "SELECT (customers_ok + customers_failed <= customers_total)::text::char FROM partner_center.sync_runs WHERE run_id = $1", run.ID)
	}
	if got := w.finish(run); got.State != Complete || got.CustomersTotal != 2 || got.CustomersOK != 2 {
		t.Errorf("run %+v, want it complete with 2 customers", got)
	}
}

func TestKinds_backfillResumedAfterACustomerLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ask := RunRequest{Kind: Backfill}
	run := w.beginReading(ask, alpha, beta, gamma)
	w.record(run, Result{Claim: w.claim(run)})
	w.leave(run)
	w.enumerate("contoso", minute(1), listed(gamma)) // one was counted, the other was not
	resumed := w.beginReading(ask)
	if resumed.ID != run.ID || resumed.CustomersOK != 1 {
		t.Fatalf("resumed %+v, want the backfill with one customer done", resumed)
	}
	for _, c := range w.claims(resumed) {
		w.record(resumed, Result{Claim: c})
	}
	if got := w.finish(resumed); got.State != Complete || got.CustomersTotal != 2 || got.CustomersOK != 2 {
		t.Errorf("run %+v, want it complete with 2 customers", got)
	}
}

// A claim whose answer was lost belongs to a live worker that does not know of it.
func TestReleaseClaims_thoseThatNobodyWorksOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Scheduled, alpha, beta)
	w.claim(run)
	if got := claimed(w.claims(run)); len(got) != 1 {
		t.Fatalf("claimed %v", got)
	}
	released, err := w.ReleaseClaims(t.Context(), "contoso")
	if w.ok(err); released != 2 {
		t.Errorf("%d claims released, want 2", released)
	}
	if got := claimed(w.claims(run)); len(got) != 2 {
		t.Errorf("claimed %v afterwards, want both", got)
	}
}
