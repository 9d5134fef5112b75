package report

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/store"
)

func TestPassSlots(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, state := range []string{"complete", "partial", "failed", "abandoned", "complete", "running"} {
		w.exec(`INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, state) VALUES ('contoso',
			'scheduled', $1, $1, $2)`, minute(7*i), state)
	}
	got, err := w.PassSlots(t.Context(), minute(5), 15*time.Minute)
	w.ok(err)
	want := []PassSlot{
		{Partner: "contoso", Slot: 0, Passes: 2, Partial: 1, Failed: 1},
		{Partner: "contoso", Slot: 1, Passes: 2, Abandoned: 1},
		{Partner: "contoso", Slot: 2, Passes: 1, Running: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	runs, err := w.NewestRuns(t.Context(), 2)
	w.ok(err)
	if len(runs) != 2 || runs[0].State != store.Running || runs[1].State != store.Complete {
		t.Errorf("newest runs: %+v", runs)
	}
}
