package sync

import (
	"strings"
	"testing"
	"time"

	"partnersync/store"
	"partnersync/sync/partnercenter/partnercentertest"
)

func TestRun_heartbeatsGoOnWhileMergesHoldEveryConnection(t *testing.T) {
	t.Parallel()
	const lease = 2 * time.Second
	w := newWorld(t, partnercentertest.Options{})
	for _, id := range w.customers(4) {
		w.put(id, "b", "queued")
	}
	pool, err := store.OpenPool(t.Context(), w.pool.Config().ConnString())
	w.ok(err)
	t.Cleanup(pool.Close)
	log := w.logged()
	r := w.runner()
	r.Store, r.RunOnStart = store.New(pool, store.Options{Lease: lease}), true
	tx, err := w.pool.Begin(t.Context())
	w.ok(err)
	defer tx.Rollback(t.Context())
	_, err = tx.Exec(t.Context(), "LOCK TABLE partner_center.device_batches")
	w.ok(err)
	runs, stop := w.start(r)
	w.until("4",
		"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
	blocked := w.value("SELECT clock_timestamp()")
	w.until("t", "SELECT max(heartbeat_at) > $1 FROM partnersync.workers", blocked.Add(2*lease))
	w.ok(tx.Rollback(t.Context()))
	if run := <-runs; run.State != store.Complete || run.Requests != 6 {
		t.Errorf("run: %+v", run)
	}
	stop()
	if strings.Contains(log.String(), "waiting for the database") {
		t.Errorf("the pass was given up: %s", log)
	}
	// The heartbeat's own connection is closed, too, when the worker has left.
	pool.Close()
	w.until("0",
		"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'partnersync'")
}

func TestRun_heartbeatThatHangsIsGivenUpForAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	r := w.replica(0)
	r.Store = store.New(w.pool, store.Options{Lease: 2 * time.Second})
	logger, log := newLog()
	r.Logger = logger
	w.start(r)
	beat := func() (at time.Time) {
		return w.value("SELECT coalesce(max(heartbeat_at), 'epoch') FROM partnersync.workers")
	}
	w.eventually(func() (string, bool) { return "no heartbeat", beat().Unix() > 0 })
	tx, err := w.pool.Begin(t.Context())
	w.ok(err)
	defer tx.Rollback(t.Context())
	_, err = tx.Exec(t.Context(), "SELECT 1 FROM partnersync.workers FOR UPDATE")
	w.ok(err)
	before := beat()
	w.untilLogged(log, "waiting for the database")
	w.ok(tx.Rollback(t.Context()))
	w.eventually(func() (string, bool) { return "no new heartbeat", beat().After(before) })
}
