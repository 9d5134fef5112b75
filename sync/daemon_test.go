package sync

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"partnersync/store"
	"partnersync/store/cron"
	"partnersync/store/storetest"
	"partnersync/sync/partnercenter/partnercentertest"
)

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
			t.Errorf("run %d is scheduled for %s: all but the one at the start are for whole seconds", i+1,
				run.ScheduledFor)
		}
	}
	stop()
	w.want("0", "SELECT count(*) FROM partnersync.workers")
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
	w.want("abandoned|t", "SELECT state, finished_at IS NOT NULL FROM partner_center.sync_runs")
	w.want("0", "SELECT count(owner) FROM partnersync.customer_state")
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
	w.want("1|2", "SELECT (SELECT count(*) FROM partnersync.runs), (SELECT count(*) FROM partnersync.run_workers)")
}

func TestRun_passAtStartIsMadeThoughATickComesBeforeIt(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	synctest.Test(t, func(t *testing.T) {
		w := newBubbledWorld(t, db, time.Minute)
		w.customers(1)
		w.partner.Expiries = append(w.partner.Expiries, func(ctx context.Context) (Expiry, error) {
			return Expiry{}, wait(ctx, 90*time.Second)
		})
		began, log := time.Now(), w.logged()
		for _, run := range w.daemon("@every 1m", 1, func(r *Runner) { r.RunOnStart = true }) {
			if !run.ScheduledFor.Equal(began) || run.State != store.Complete {
				t.Errorf("run at %v: %+v", began, run)
			}
		}
		if strings.Contains(log.String(), "could not be used") {
			t.Errorf("logged that the database could not be used:\n%s", log)
		}
	})
}

// remember runs the daemon on 10 runs, one of each day, and returns its log.
func (w *world) remember(keep time.Duration) (log *testLog, runs <-chan store.Run, stop func()) {
	w.t.Helper()
	w.customers(1)
	w.exec(`INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, finished_at, state)
		SELECT 'contoso', 'once', at, at, at, 'complete'
			FROM generate_series(now() - interval '9 days', now(), '1 day') at`)
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
