package sync

import (
	"sync/atomic"
	"testing"
	"time"

	"partnersync/store"
	"partnersync/sync/partnercenter"
	"partnersync/sync/partnercenter/partnercentertest"
)

func TestRun_authorityThatThrottlesOneReplicaHoldsTheOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.customers(1)
	w.api.Fail(partnercentertest.Fault{Path: "/token$", Times: 1, Status: 429, RetryAfter: "300"})
	_, stopFirst := w.start(w.replica(6000))
	w.eventually(func() (string, bool) {
		pace, err := w.store.Pace(t.Context(), "contoso")
		w.ok(err)
		return "no pause in the database", pace.Pause > 0
	})
	second := w.replica(6000)
	_, stopSecond := w.start(second)
	w.eventually(func() (string, bool) {
		return "the second replica has not learned of the pause", second.Partners[0].Limiter.PausedUntil().After(time.Now())
	})
	stopFirst()
	stopSecond()
	if n := len(w.api.Requests()); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestRun_pauseOfOneReplicaHoldsTheOthers(t *testing.T) {
	t.Parallel()
	for _, perMinute := range []int{0, 6000} {
		w := newWorld(t, partnercentertest.Options{})
		w.customers(250)
		w.api.Fail(partnercentertest.Fault{Path: "deviceBatches", Times: 1, Status: 429, RetryAfter: "300"})
		first, second := w.replica(perMinute), w.replica(perMinute)
		first.Partners[0].Concurrency = 1
		_, stopFirst := w.start(first)
		w.eventually(func() (string, bool) {
			pace, err := w.store.Pace(t.Context(), "contoso")
			w.ok(err)
			return "no pause in the database", pace.Pause > 0
		})
		// The second replica claims customers that the first one has left, and learns that it has to wait.
		_, stopSecond := w.start(second)
		limiter := second.Partners[0].Limiter
		w.eventually(func() (string, bool) {
			return "no pause in the second replica", time.Until(limiter.PausedUntil()) > 4*time.Minute
		})
		stopSecond()
		stopFirst()
		if got := len(w.askedAt()); got != 2 {
			t.Errorf("at %d a minute: the API was asked %d times, want 2: for the customers, and to be told to wait",
				perMinute, got)
		}
		w.want("2", "SELECT requests FROM partner_center.sync_runs")
		w.want("0|0", "SELECT count(owner), sum(consecutive_failures) FROM partnersync.customer_state")
	}
}

func TestDryRun_passesOnNoPause(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.customers(2)
	w.api.Fail(partnercentertest.Fault{Path: "deviceBatches", Times: 1, Status: 429})
	w.ok(w.replica(6000).DryRun(t.Context(), Request{Kind: store.Once}, func(Plan) {}))
	w.want("0", "SELECT count(*) FROM partnersync.partner_pauses")
	if got := len(w.askedAt()); got != 4 {
		t.Errorf("the API was asked %d times, want 4", got)
	}
}

func TestRun_pauseOfAnotherReplicaIsReadDuringAPass(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.customers(5)
	goOn := make(chan struct{})
	w.api.Fail(partnercentertest.Fault{Path: "deviceBatches", Times: 1, Before: func() {
		if err := w.store.Pause(t.Context(), "contoso", 5*time.Minute); err != nil {
			t.Error(err)
		}
		<-goOn
	}})
	r := w.replica(0)
	r.Partners[0].Concurrency = 1
	_, stop := w.start(r)
	w.eventually(func() (string, bool) {
		return "no pause", time.Until(r.Partners[0].Limiter.PausedUntil()) > 4*time.Minute
	})
	close(goOn)
	w.until("1", "SELECT count(*) FROM partner_center.sync_freshness WHERE last_success_at IS NOT NULL")
	stop()
	if got := len(w.askedAt()); got != 2 {
		t.Errorf("the API was asked %d times, want twice: for the customers, and for the batches of the first", got)
	}
}

func TestRun_replicasShareTheRate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.customers(102)
	hit := make(chan struct{})
	w.api.Fail(partnercentertest.Fault{Path: "deviceBatches", Times: 1, Hang: true, Before: func() { close(hit) }})
	first, second := w.replica(60), w.replica(60) // alone, two requests at once; together, one each
	first.Partners[0].Concurrency, second.Partners[0].Concurrency = 1, 1
	w.start(first)
	<-hit // it holds a hundred customers and leaves two
	var waited atomic.Bool
	second.Partners[0].Limiter.OnWait = func(reason string, _ time.Duration) {
		waited.Store(waited.Load() || reason == partnercenter.WaitLimit)
	}
	w.start(second)
	w.until("2", "SELECT count(*) FROM partner_center.sync_freshness WHERE last_success_at IS NOT NULL")
	if !waited.Load() {
		t.Error("the second replica has made two requests at once")
	}
}
