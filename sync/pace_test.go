package sync

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"partnersync/store"
	"partnersync/sync/partnercenter/partnercentertest"
)

// replica returns a Runner that shares nothing with others but the database and the API.
func (w *world) replica(requestsPerMinute int) *Runner {
	w.t.Helper()
	p := w.pacedPartner("contoso", w.url, requestsPerMinute)
	return &Runner{
		Store: store.New(w.pool, store.Options{Version: "test"}), Partners: []Partner{p}, Logger: w.log, RunOnStart: true,
	}
}

// value returns what a query says.
func (w *world) value(query string) (v time.Time) {
	w.t.Helper()
	w.ok(w.pool.QueryRow(w.t.Context(), query).Scan(&v))
	return v
}

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

// askedAt returns when the API, and not the sign-in, was asked.
func (w *world) askedAt() []time.Time {
	var at []time.Time
	for _, r := range w.api.Requests() {
		if strings.HasPrefix(r.Path, "/v1/") {
			at = append(at, r.At)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	return at
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
			t.Errorf("at %d a minute: the API was asked %d times, want 2: for the customers, and to be told to wait", perMinute, got)
		}
		w.want("2", "requests) FROM partner_center.sync_runs")
		w.want("0|0", "count(owner), sum(consecutive_failures)) FROM partnersync.customer_state")
	}
}

func TestDryRun_passesOnNoPause(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.customers(2)
	w.api.Fail(partnercentertest.Fault{Path: "deviceBatches", Times: 1, Status: 429})
	w.ok(w.replica(6000).DryRun(t.Context(), Request{Kind: store.Once}, func(Plan) {}))
	w.want("0", "count(*)) FROM partnersync.partner_pauses")
	if got := len(w.askedAt()); got != 4 {
		t.Errorf("the API was asked %d times, want 4", got)
	}
}

// signalling is a log that tells of each line with a certain text.
type signalling struct {
	text string
	seen chan struct{}
}

func (s signalling) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(s.text)) {
		s.seen <- struct{}{}
	}
	return len(line), nil
}
