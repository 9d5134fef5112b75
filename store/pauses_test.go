package store

import (
	"testing"
	"time"
)

func TestPause_isKeptForAllReplicasAndNeverShortened(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.open(scheduled(1, 1))
	left := func(partner string) time.Duration {
		t.Helper()
		pace, err := w.another().Pace(t.Context(), partner)
		w.ok(err)
		return pace.Pause
	}
	for _, partner := range []string{"contoso", "unknown"} {
		if d := left(partner); d != 0 {
			t.Errorf("partner %s is paused for %s, want 0", partner, d)
		}
	}
	w.ok(w.Pause(t.Context(), "contoso", 4*time.Minute))
	until := w.lines("SELECT concat_ws('|', paused_until) FROM partnersync.partner_pauses")
	if d := left("contoso"); d <= 0 || d > 4*time.Minute {
		t.Errorf("paused for %s, want up to four minutes", d)
	}
	w.ok(w.Pause(t.Context(), "contoso", time.Minute))
	w.want(until, "SELECT concat_ws('|', paused_until) FROM partnersync.partner_pauses")
	w.exec("UPDATE partnersync.partner_pauses SET paused_until = clock_timestamp() - interval '1 second'")
	if d := left("contoso"); d != 0 {
		t.Errorf("paused for %s after the pause, want 0", d)
	}
}

// Only workers that are in an open run of the partner, and live, share its rate.
func TestPace_countsTheWorkersOfOpenRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := func(workers int, when string) {
		t.Helper()
		pace, err := w.Pace(t.Context(), "contoso")
		w.ok(err)
		if pace.Workers != workers {
			t.Errorf("%s: %d workers, want %d", when, pace.Workers, workers)
		}
	}
	want(0, "before any run")
	run := w.begin(Scheduled, alpha)
	w.begin(Once, alpha)
	want(1, "one worker in two runs")
	other, idle := w.another(), w.another()
	other.open(scheduled(1, 1))
	_, err := idle.OpenRun(t.Context(), RunRequest{Partner: "fabrikam", Kind: Once, ScheduledFor: w.tick})
	w.ok(err)
	want(2, "another worker has joined, and a third reads another partner")
	other.die()
	want(1, "the other one is dead")
	w.exec("UPDATE partnersync.runs SET state = 'complete' WHERE partner = 'contoso' AND run_id <> $1", run.ID)
	w.leave(run)
	want(0, "after the runs")
}
