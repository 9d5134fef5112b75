package sync

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"partnersync/store"
	"partnersync/sync/partnercenter/partnercentertest"
)

// lines hands on what is logged, a line at a time.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

// remember runs the daemon on 10 runs, one of each day, and returns its log.
func (w *world) remember(keep time.Duration) (log lines, runs <-chan store.Run, stop func()) {
	w.t.Helper()
	w.customers(1)
	_, err := w.pool.Exec(w.t.Context(), `INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, finished_at, state)
		SELECT 'contoso', 'once', at, at, at, 'complete' FROM generate_series(now() - interval '9 days', now(), '1 day') at`)
	w.ok(err)
	log = make(lines, 100)
	w.log = slog.New(slog.NewTextHandler(log, nil))
	r := w.runner()
	r.RunOnStart, r.KeepRuns = true, keep
	runs, stop = w.start(r)
	return log, runs, stop
}

const rememberedRuns = "count(*)) FROM partnersync.runs WHERE kind = 'once'"

func TestRun_removesOldRunsAndSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	log, _, stop := w.remember(60 * time.Hour)
	for line := range log {
		if strings.Contains(line, `msg="old runs removed" runs=7 older_than=60h0m0s`) {
			break
		}
	}
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
		close(log)
		for line := range log {
			if strings.Contains(line, "old runs") {
				t.Errorf("runs kept for %v: logged %s", keep, line)
			}
		}
		w.want("10", rememberedRuns)
	}
}

func TestRun_outlivesOldRunsThatCannotBeRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	// Something of somebody else's holds on to the runs.
	_, err := w.pool.Exec(t.Context(), `CREATE RULE clings AS ON DELETE TO partnersync.runs DO INSTEAD SELECT 1 / 0`)
	w.ok(err)
	log, runs, _ := w.remember(24 * time.Hour)
	warned := false
	for !warned {
		warned = strings.Contains(<-log, `msg="old runs stay for another day"`)
	}
	if run := <-runs; run.State != store.Complete {
		t.Errorf("the pass is %s, want complete", run.State)
	}
}
