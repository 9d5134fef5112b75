package sync

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"partnersync/store"
	"partnersync/store/cron"
	"partnersync/store/storetest"
	"partnersync/sync/partnercenter/partnercentertest"
)

// slowDevices gives three customers more device lists than can be read between two ticks: each takes 9 s, one after the
// other. It returns how often the log has skipped ticks.
func (w *world) slowDevices() (skipped func() int) {
	for _, id := range w.customers(3) {
		for i := range 30 {
			w.fill(id, fmt.Sprintf("b%02d", i), 1)
		}
	}
	w.partner.Concurrency = 1
	w.api.Fail(partnercentertest.Fault{Path: "/devices$", Before: func() { _ = wait(w.t.Context(), 9*time.Second) }})
	log := w.logged()
	return func() int { return strings.Count(log.String(), "ticks skipped") }
}

func TestRun_tickThatEndsTheReadingOfDevicesIsMade(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	synctest.Test(t, func(t *testing.T) {
		w := newBubbledWorld(t, db, time.Minute).reading()
		skipped := w.slowDevices()
		began := time.Now()
		for i, run := range w.daemon("@every 2m", 4) {
			if tick := began.Add(time.Duration(i+1) * 2 * time.Minute); !run.ScheduledFor.Equal(tick) ||
				run.State != store.Complete {
				t.Errorf("run %d, of %v: %+v", i+1, tick, run)
			}
		}
		// 13 in each pass, and one more where it had begun less than 10 s before the tick.
		w.want("54|0", `SELECT (SELECT count(*) FROM partner_center.devices),
			(SELECT count(*) FROM partnersync.list_state WHERE resource = 'devices' AND stale_at IS NOT NULL)`)
		if n := skipped(); n != 0 {
			t.Errorf("%d times ticks were skipped", n)
		}
	})
}

func TestRun_listThatTakesLongerThanATickIsRead(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	synctest.Test(t, func(t *testing.T) {
		w := newBubbledWorld(t, db, time.Minute).reading()
		w.fill(w.customers(1)[0], "large", 1500) // 15 pages, 9 s each
		w.api.Fail(partnercentertest.Fault{Path: "/devices$",
			Before: func() { _ = wait(w.t.Context(), 9*time.Second) }})
		// The first pass cuts it off, and the second waits for it, over a tick.
		for i, run := range w.daemon("@every 2m", 2) {
			if want := int64([]int{1, 1500}[i]); run.State != store.Complete || run.Inserted != want {
				t.Errorf("run %+v, want %d rows inserted", run, want)
			}
		}
	})
}

func TestRun_tickThatEndsTheReadingOfDevicesIsMadeByWhoJoinedThen(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	synctest.Test(t, func(t *testing.T) {
		w := newBubbledWorld(t, db, time.Minute).reading()
		skipped := w.slowDevices()
		began := time.Now()
		first, second := w.runner(), w.runner()
		second.Store = store.New(w.pool, store.Options{Version: "test"})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		runs := make(chan store.Run, 100)
		first.OnRun = func(run store.Run) { runs <- run }
		var err error
		first.Partners[0].Schedule, err = cron.Parse("@every 2m", time.UTC)
		w.ok(err)
		second.Partners = []Partner{first.Partners[0]}
		second.Partners[0].Limiter = nil // the first one shares it already
		var g errgroup.Group
		g.Go(func() error { return first.Run(ctx) })
		w.ok(wait(ctx, 3*time.Minute))
		g.Go(func() error { return second.Run(ctx) }) // its first tick is the one that ends the first one's reading
		for i := range 4 {
			if run := <-runs; !run.ScheduledFor.Equal(began.Add(time.Duration(i+1) * 2 * time.Minute)) {
				t.Errorf("run %d: %+v", i+1, run)
			}
		}
		stop()
		w.ok(g.Wait())
		w.want("4", "SELECT count(*) FROM partnersync.runs WHERE state = 'complete'")
		if n := skipped(); n != 0 {
			t.Errorf("%d times ticks were skipped", n)
		}
	})
}

// What the tick keeps from being read goes on failing.
func TestRun_customerDoesNotRecoverByTheTick(t *testing.T) {
	t.Parallel()
	const devices, policies, batches = "/devices$", "/policies$", "/deviceBatches$"
	for name, c := range map[string]struct {
		fails, slow string
		skip        int // requests of the first pass
		takes       time.Duration
	}{
		"device list cut off":   {devices, devices, 0, 40 * time.Second},
		"device list not begun": {devices, batches, 1, 31 * time.Second},
		"policies cut off":      {policies, policies, 0, 40 * time.Second},
		"policies not begun":    {policies, batches, 1, 31 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.New(t)
			synctest.Test(t, func(t *testing.T) {
				w := newBubbledWorld(t, db, time.Minute).reading()
				w.fill(w.customers(1)[0], "a", 1)
				w.api.Fail(partnercentertest.Fault{Path: c.fails, Status: 400, Times: 1})
				w.api.Fail(partnercentertest.Fault{Path: c.slow, Skip: c.skip, Before: func() { _ = wait(w.t.Context(), c.takes) }})
				w.daemon("@every 30s", 2)
				w.want("1|t|t", `
					SELECT f.consecutive_failures, f.failing_since = s.failing_since, s.failing_until IS NULL
					FROM partner_center.sync_freshness f JOIN partner_center.sync_failures s USING (customer_id)`)
			})
		})
	}
}
