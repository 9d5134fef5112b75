package store

import (
	"testing"
	"time"
)

const freshness = `SELECT concat_ws('|', last_attempt_at IS NOT NULL, last_success_at IS NOT NULL, consecutive_failures, failing_since IS NOT NULL,
	coalesce(last_error_code, '-'), coalesce(last_error, '-'), coalesce(last_request_id, '-'), coalesce(last_correlation_id, '-'))
	FROM partner_center.sync_freshness WHERE customer_id = $1`

// attempt makes a pass over alpha that ends so.
func (w *world) attempt(f *Failure) {
	w.t.Helper()
	run := w.begin(Scheduled, alpha)
	w.record(run, Result{Claim: w.claim(run), Failure: f})
	w.finish(run)
}

func TestRecordResults_freshness(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const failingSince = "SELECT concat_ws('|', failing_since) FROM partner_center.sync_freshness"
	w.attempt(&Failure{Code: "20002", Message: "no relationship", RequestID: "r1", CorrelationID: "c1"})
	w.want("t|f|1|t|20002|no relationship|r1|c1", freshness, alpha)
	since := w.lines(failingSince)
	w.attempt(&Failure{Code: "http_503", Message: "no answer"})
	w.want("t|f|2|t|http_503|no answer|-|-", freshness, alpha)
	w.want(since, failingSince)
	w.attempt(nil)
	w.want("t|t|0|f|-|-|-|-", freshness, alpha)
	w.want("t", "SELECT concat_ws('|', last_attempt_at >= last_success_at AND age = now() - last_success_at) FROM partner_center.sync_freshness")
	success := w.lines("SELECT concat_ws('|', last_success_at) FROM partner_center.sync_freshness")
	w.attempt(&Failure{Code: "incomplete_listing", Message: "cut short"})
	w.want("t|t|1|t|incomplete_listing|cut short|-|-", freshness, alpha)
	w.want(success, "SELECT concat_ws('|', last_success_at) FROM partner_center.sync_freshness")
	w.want("t", "SELECT concat_ws('|', failing_since > $1::timestamptz) FROM partner_center.sync_freshness", since)
}

func TestRecordResults_countsOfARun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pass(minute(1), complete("1"), batch("a", "queued"), batch("b", "queued"), batch("c", "queued"))
	run := w.begin(Scheduled, alpha, beta)
	first, second := w.claim(run), w.claim(run)
	_, err := w.MergeDeviceBatches(t.Context(), second, Listing{Complete: true, ObservedAt: minute(2)}, []DeviceBatch{batch("x", "queued")})
	w.ok(err)
	w.record(run,
		Result{Claim: first, Confirmed: []Confirmation{{Resource: DeviceBatches, ObservedAt: minute(2)}}, Requests: 1},
		Result{Claim: second, Requests: 5, Retries: 3, Failure: &Failure{Code: "http_500"}},
	)
	w.finish(run)
	w.want("partial|2|1|1|1|0|0|3|6|3", `SELECT concat_ws('|', state, customers_total, customers_ok, customers_failed,
		inserted, changed, removed, unchanged, requests, retries) FROM partner_center.sync_runs WHERE run_id = $1`, run.ID)
}

func TestRecordResults_confirmationMovesTheListOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pass(minute(1), complete("1"), batch("b", "queued"))
	confirm := func(at time.Time) {
		t.Helper()
		run := w.begin(Scheduled, alpha)
		w.record(run, Result{Claim: w.claim(run), Confirmed: []Confirmation{{Resource: DeviceBatches, ObservedAt: at}}})
		w.finish(run)
	}
	const state = "SELECT concat_ws('|', to_char(observed_at AT TIME ZONE 'UTC', 'MI:SS.US'), confirmed_at = observed_at, digest) FROM partnersync.list_state"
	confirm(minute(5))
	w.want(`05:00.000000|t|\x31`, state)
	confirm(minute(3)) // the database's clock went back
	w.want(`05:00.000001|t|\x31`, state)
	w.pass(minute(9), complete("2"), batch("b", "finished"))
	w.want("b|queued|00:01|00:09|-|-\nb|finished|00:09|-|00:05|-", history, alpha, "b")
}

func TestRecordResults_lostClaimsAreLeftOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pass(minute(1), complete("1"), batch("b", "queued"))
	run := w.begin(Scheduled, alpha, beta)
	lostClaim, kept := w.claim(run), w.claim(run)
	w.exec("UPDATE partnersync.customer_state SET lease_epoch = lease_epoch + 1 WHERE customer_id = $1", alpha)
	lost, err := w.RecordResults(t.Context(), run, []Result{
		{Claim: lostClaim, Confirmed: []Confirmation{{Resource: DeviceBatches, ObservedAt: minute(2)}}, Requests: 10, Retries: 10},
		{Claim: kept, Requests: 1},
	})
	if w.ok(err); lost != 1 {
		t.Errorf("%d claims lost, want 1", lost)
	}
	w.want("1|0|0|1|0", "SELECT concat_ws('|', customers_ok, customers_failed, unchanged, requests, retries) FROM partner_center.sync_runs WHERE run_id = $1", run.ID)
	w.want("2026-01-01 00:01:00", "SELECT concat_ws('|', confirmed_at AT TIME ZONE 'UTC') FROM partnersync.list_state")
	w.want(alpha, "SELECT concat_ws('|', customer_id) FROM partnersync.customer_state WHERE owner IS NOT NULL")
}

// After a crash of the server a client can see an error for a commit that happened, and try again.
func TestRecordResults_againCountsNothingTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Scheduled, alpha)
	result := Result{Claim: w.claim(run), Requests: 1, Failure: &Failure{Code: "http_500"}}
	w.record(run, result)
	if lost, err := w.RecordResults(t.Context(), run, []Result{result}); err != nil || lost != 1 {
		t.Errorf("recorded again: %d lost, %v, want 1 lost", lost, err)
	}
	w.want("1|1", "SELECT concat_ws('|', customers_failed, requests) FROM partner_center.sync_runs")
	w.want("1", "SELECT concat_ws('|', consecutive_failures) FROM partner_center.sync_freshness")
}

func TestRecordResults_none(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Scheduled, alpha)
	w.record(run)
	w.want("0", "SELECT concat_ws('|', count(*)) FROM partnersync.run_counts")
}

func TestRecordResults_manyMergesAtTheSameTimeAreAllCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := customerIDs(40)
	run := w.begin(Scheduled, ids...)
	w.inParallel(w.claims(run), func(c Claim) error {
		_, err := w.MergeDeviceBatches(t.Context(), c, Listing{Complete: true, ObservedAt: minute(1)},
			[]DeviceBatch{batch("a", "queued"), batch("b", "queued")})
		if err != nil {
			return err
		}
		_, err = w.RecordResults(t.Context(), run, []Result{{Claim: c, Requests: 1}})
		return err
	})
	w.finish(run)
	w.want("complete|40|40|80|40", "SELECT concat_ws('|', state, customers_total, customers_ok, inserted, requests) FROM partner_center.sync_runs")
	w.want("t", "SELECT concat_ws('|', count(*) > 1) FROM partnersync.run_counts")
}
