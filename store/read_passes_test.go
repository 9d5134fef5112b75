package store

import (
	"testing"
	"time"
)

func TestLastPasses_workCountsWhileItGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.partnerOfThree()
	last := func() LastPass {
		last, err := w.reader().LastPasses(t.Context())
		w.ok(err)
		if len(last) != 1 || last[0].Partner != "contoso" {
			t.Fatalf("%+v", last)
		}
		return last[0]
	}
	first := last()
	w.ok(w.Heartbeat(t.Context()))
	if beating := last(); !beating.WorkedAt.After(*first.WorkedAt) || beating.EndedAt != nil || beating.BeganAt == nil {
		t.Errorf("after a heartbeat: %+v, before it: %+v", beating, first)
	}
	w.exec(`UPDATE partnersync.runs SET state = 'partial', finished_at = $1, error = 'no token' WHERE run_id = $2`, minute(5), run.ID)
	w.exec(`INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, finished_at, state) VALUES ('contoso', 'once', $1, $1, $1, 'complete')`, minute(4))
	ended := last()
	if !ended.EndedAt.Equal(minute(5)) || ended.WorkedAt != nil || ended.State != Partial || ended.Customers != 3 || *ended.Error != "no token" {
		t.Errorf("of an ended run: %+v", ended)
	}
	for i, state := range []string{"abandoned", "abandoned", "running"} {
		w.exec(`INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, state) VALUES ('contoso', 'scheduled', $1, $1, $2)`, minute(6+i), state)
	}
	if left := last(); left.Abandoned != 2 || !left.BeganAt.Equal(minute(6)) || !left.EndedAt.Equal(minute(5)) {
		t.Errorf("of runs left by their workers: %+v", left)
	}
}

func TestStaleCustomers_thatDoNotFailAndLongerThanPassesTake(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.partnerOfThree() // of whom alpha is synced, beta fails, and gamma was never looked at
	w.exec(`UPDATE partnersync.customer_state SET last_success_at = now() - interval '7 hours' WHERE customer_id <> $1::uuid`, gamma)
	stale := func(before time.Duration) []StaleCustomers {
		all, err := w.reader().StaleCustomers(t.Context(), map[string]time.Time{"contoso": time.Now().Add(-before), "fabrikam": time.Now()})
		w.ok(err)
		return all
	}
	if got := stale(6 * time.Hour); len(got) > 0 {
		t.Errorf("where no scheduled pass has ended: %+v", got)
	}
	const ended = `UPDATE partnersync.runs SET state = 'complete', started_at = now() - $2::interval, finished_at = now() WHERE run_id = $1`
	w.exec(ended, run.ID, time.Minute)
	if got := stale(6 * time.Hour); len(got) != 1 || got[0].Partner != "contoso" || got[0].Customers != 1 || time.Since(got[0].OldestSync) < 7*time.Hour {
		t.Errorf("of more than six hours: %+v", got)
	}
	if got := stale(8 * time.Hour); len(got) > 0 {
		t.Errorf("of more than eight hours: %+v", got)
	}
	w.exec(ended, run.ID, 5*time.Hour)
	if got := stale(6 * time.Hour); len(got) > 0 {
		t.Errorf("where a pass takes five hours: %+v", got)
	}
}
