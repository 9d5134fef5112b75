package store

import "testing"

// The second try of a merge whose commit was not answered finds everything done.
func TestCounts_ofAListThatIsReadAgainInTheSameRun(t *testing.T) {
	t.Parallel()
	for _, again := range []struct {
		name string
		do   func(w *world, run Run, rows []DeviceBatch)
	}{
		{"merged", func(w *world, run Run, rows []DeviceBatch) {
			c := w.claim(run)
			_, err := w.MergeDeviceBatches(w.t.Context(), c, Listing{Complete: true, ObservedAt: minute(3)}, rows)
			w.ok(err)
			w.record(run, Result{Claim: c})
		}},
		{"confirmed", func(w *world, run Run, _ []DeviceBatch) {
			w.record(run, Result{Claim: w.claim(run), Confirmed: []Confirmation{{Resource: DeviceBatches, ObservedAt: minute(3)}}})
		}},
	} {
		t.Run(again.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			rows := []DeviceBatch{batch("a", "queued"), batch("b", "queued"), batch("c", "queued")}
			w.pass(minute(1), complete("1"), rows[:2]...)
			run := w.begin(Scheduled, alpha)
			_, err := w.MergeDeviceBatches(t.Context(), w.claim(run), Listing{Complete: true, ObservedAt: minute(2), Digest: []byte("2")}, rows)
			w.ok(err)
			w.open(RunRequest{Partner: "contoso", Kind: Scheduled, ScheduledFor: run.ScheduledFor}) // begins anew
			again.do(w, run, rows)
			w.finish(run)
			w.want("complete|1|1|0|0|2", "SELECT concat_ws('|', state, customers_ok, inserted, changed, removed, unchanged) FROM partner_center.sync_runs WHERE run_id = $1", run.ID)
			// The next run counts them all.
			run = w.begin(Scheduled, alpha)
			w.record(run, Result{Claim: w.claim(run), Confirmed: []Confirmation{{Resource: DeviceBatches, ObservedAt: minute(4)}}})
			w.want("3", "SELECT concat_ws('|', unchanged) FROM partner_center.sync_runs WHERE run_id = $1", run.ID)
		})
	}
}
