package sync

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"partnersync/store"
	"partnersync/sync/partnercenter/partnercentertest"
)

// Ticks go by the database's clock, by which all replicas agree.
func TestNow_isTheDatabases(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	r := w.runner()
	w.ok(r.heartbeat(t.Context()))
	database := w.value("SELECT clock_timestamp()")
	if now := r.now(); now.Before(database.Add(-time.Minute)) || now.After(database.Add(time.Minute)) {
		t.Errorf("it is %s, want about the database's %s", now, database)
	}
}

// A clock that is set, or a machine that is suspended, does not carry a wait of a day along.
func TestWaitUntil_looksAtTheClockEachMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var ahead atomic.Int64 // nanoseconds
		r := &Runner{clock: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }}
		time.AfterFunc(time.Hour, func() { ahead.Store(int64(23 * time.Hour)) })
		if err := r.waitUntil(t.Context(), began.Add(24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < time.Hour || took > time.Hour+lookAtClockEvery {
			t.Errorf("waited for %s, want until the clock was set after an hour", took)
		}
		ctx, stop := context.WithTimeout(t.Context(), 90*time.Second)
		defer stop()
		if err := r.waitUntil(ctx, r.now().Add(24*time.Hour)); err == nil {
			t.Error("waited on after the end of the context")
		}
	})
}

// A claim whose answer was lost is this worker's own, and nobody works on it.
func TestOnce_claimsThatNobodyWorksOnAreReleased(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	ids := w.customers(3)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	r := w.runner()
	late := false
	r.Progress = func(p Progress) {
		if !late { // the run is enumerated: a claim arrives late, after this worker has left its customer out
			late = true
			_, err := w.pool.Exec(t.Context(), `UPDATE partnersync.customer_state SET owner = $1::uuid, lease_epoch = lease_epoch + 1
				WHERE customer_id = $2`, w.store.Worker(), ids[0])
			w.ok(err)
		}
	}
	runs, err := r.Once(ctx, Request{Kind: store.Once})
	w.ok(err)
	if runs[0].State != store.Complete || runs[0].CustomersOK != 3 {
		t.Errorf("run %+v, want it complete with three customers", runs[0])
	}
}
