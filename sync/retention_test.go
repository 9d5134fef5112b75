package sync

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"partnersync/store"
	"partnersync/sync/partnercenter/partnercentertest"
)

// remember runs the daemon on 10 runs, one of each day, and returns its log.
func (w *world) remember(keep time.Duration) (log *testLog, runs <-chan store.Run, stop func()) {
	w.t.Helper()
	w.customers(1)
	w.exec(`INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, finished_at, state)
		SELECT 'contoso', 'once', at, at, at, 'complete' FROM generate_series(now() - interval '9 days', now(), '1 day') at`)
	log = w.logged()
	r := w.runner()
	r.RunOnStart, r.KeepRuns = true, keep
	runs, stop = w.start(r)
	return log, runs, stop
}

const rememberedRuns = "SELECT count(*) FROM partnersync.runs WHERE kind = 'once'"

func TestRun_removesOldRunsAndSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	log, _, stop := w.remember(60 * time.Hour)
	w.untilLogged(log, `"msg":"old runs removed","runs":7,"older_than":`+fmt.Sprint(int64(60*time.Hour)))
	stop()
	w.want("3", rememberedRuns)
}

func TestRun_withoutOldRunsSaysNothing(t *testing.T) {
	t.Parallel()
	for _, keep := range []time.Duration{0, 30 * 24 * time.Hour} {
		w := newWorld(t, partnercentertest.Options{})
		log, runs, stop := w.remember(keep)
		<-runs
		stop()
		if strings.Contains(log.String(), "old runs") {
			t.Errorf("runs kept for %v: logged %s", keep, log)
		}
		w.want("10", rememberedRuns)
	}
}

func TestRun_outlivesOldRunsThatCannotBeRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	// Something of somebody else's holds on to the runs.
	w.exec("CREATE RULE clings AS ON DELETE TO partnersync.runs DO INSTEAD SELECT 1 / 0")
	log, runs, _ := w.remember(24 * time.Hour)
	w.untilLogged(log, "old runs stay for another day")
	if run := <-runs; run.State != store.Complete {
		t.Errorf("the pass is %s, want complete", run.State)
	}
}
