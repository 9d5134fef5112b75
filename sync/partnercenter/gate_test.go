package partnercenter

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
)

// passages lets so many requests through the gates, as many at a time as there are gates, and returns when each passed.
func passages(t *testing.T, requests int, gates ...*Gate) []time.Duration {
	t.Helper()
	started := time.Now()
	passed := make(chan time.Duration, requests)
	var g errgroup.Group
	g.SetLimit(len(gates))
	for i := range requests {
		g.Go(func() error {
			err := gates[i%len(gates)].Wait(t.Context())
			passed <- time.Since(started)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	close(passed)
	return slices.Sorted(func(yield func(time.Duration) bool) {
		for at := range passed {
			if !yield(at) {
				return
			}
		}
	})
}

// busiest returns how many of the passages there were in the busiest minute.
func busiest(passages []time.Duration) int {
	most, first := 0, 0
	for i, at := range passages {
		for at-passages[first] >= time.Minute {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// database gives places to several gates, as the store does, and counts what it is asked.
type database struct {
	asked, places int
	end, paused   time.Time
	err           error
}

func (d *database) reserve(_ context.Context, n int, interval time.Duration) (Reservation, error) {
	now := time.Now()
	d.asked++
	if now.Before(d.paused) || d.err != nil {
		return Reservation{Pause: d.paused.Sub(now)}, d.err
	}
	d.places += n
	if d.end.Before(now) {
		d.end = now
	}
	r := Reservation{Wait: d.end.Sub(now)}
	d.end = d.end.Add(time.Duration(n) * interval)
	return r, nil
}

func TestGate_limitsRequestsInAnyMinute(t *testing.T) {
	t.Parallel()
	tests := []struct {
		perMinute, requests int
		atOnce, inAMinute   int
		took                time.Duration // in whole seconds
	}{
		{0, 1000, 1000, 1000, 0},
		{-1, 1000, 1000, 1000, 0},
		{1, 3, 1, 1, 2 * time.Minute},
		{59, 60, 1, 59, time.Minute},
		{60, 62, 2, 60, 61 * time.Second},
		{500, 1000, 16, 500, 122 * time.Second},
		{12_000, 12_001, 400, 12_000, time.Minute},
	}
	for _, tt := range tests {
		for _, shared := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				g := NewGate(tt.perMinute)
				if shared {
					g.Reserve = new(database).reserve
				}
				got := passages(t, tt.requests, g)
				atOnce := len(slices.DeleteFunc(slices.Clone(got), func(at time.Duration) bool { return at > 0 }))
				if n := busiest(got); n != tt.inAMinute || atOnce != tt.atOnce {
					t.Errorf("%d a minute: %d at once and %d in a minute, want %d and %d", tt.perMinute, atOnce, n, tt.atOnce, tt.inAMinute)
				}
				if took := got[len(got)-1].Round(time.Second); took != tt.took {
					t.Errorf("%d requests at %d a minute took %v, want %v", tt.requests, tt.perMinute, took, tt.took)
				}
			})
		}
	}
}

func TestGate_doesNotSaveUpWhatARestLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(600)
		passages(t, 100, g)
		sleep(t.Context(), time.Hour)
		got := passages(t, 100, g)
		if got[19] != 0 || got[20] == 0 {
			t.Errorf("after a rest, the 20th request passed after %v and the 21st after %v", got[19], got[20])
		}
	})
}

func TestGate_replicasShareTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := &database{}
		gates := make([]*Gate, 3)
		for i := range gates {
			gates[i] = NewGate(500)
		}
		all := slices.Concat(gates, gates, gates, gates) // each with four requests at a time
		var turn sync.Mutex
		for _, g := range gates {
			g.Reserve = func(ctx context.Context, n int, interval time.Duration) (Reservation, error) {
				turn.Lock()
				defer turn.Unlock()
				return db.reserve(ctx, n, interval)
			}
		}
		got := passages(t, 1000, all...)
		if n := busiest(got); n > 500 {
			t.Errorf("%d requests in a minute", n)
		}
		if took := got[len(got)-1]; took > 125*time.Second {
			t.Errorf("1000 requests took %v: what the rate has room for is not used", took)
		}
		if db.asked > 500 || db.places > 1010 {
			t.Errorf("%d reservations of %d places for 1000 requests", db.asked, db.places)
		}
	})
}

func TestGate_pauseOfAnotherReplicaHolds(t *testing.T) {
	t.Parallel()
	for _, perMinute := range []int{0, 600} {
		synctest.Test(t, func(t *testing.T) {
			db := &database{paused: time.Now().Add(time.Minute)}
			g := NewGate(perMinute)
			g.Reserve = db.reserve
			g.OnPause = func(time.Time) { t.Error("OnPause for a pause of another replica") }
			if got := passages(t, 1, g); got[0] != time.Minute || db.asked != 2 {
				t.Errorf("at %d a minute: passed after %v and asked %d times", perMinute, got, db.asked)
			}
			db.paused = time.Now().Add(time.Hour) // noticed within two seconds
			for started := time.Now(); time.Since(started) < 2*time.Second; {
				sleep(t.Context(), 100*time.Millisecond)
				if err := g.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if time.Now().Before(db.paused) {
				t.Errorf("at %d a minute: requests passed in the pause", perMinute)
			}
		})
	}
}

func TestGate_doesNotAskForWhatItHasJustLearned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := &database{}
		g := NewGate(0)
		g.Reserve = db.reserve
		for range 10 {
			g.Learn(0)
			passages(t, 3, g)
			sleep(t.Context(), pauseKnown-1)
			passages(t, 3, g)
		}
		if db.asked != 0 {
			t.Errorf("asked %d times for the pause, want never", db.asked)
		}
		sleep(t.Context(), pauseKnown)
		passages(t, 3, g)
		if db.asked != 1 {
			t.Errorf("a second later: asked %d times for the pause, want once", db.asked)
		}
		g.Learn(time.Hour)
		if got := passages(t, 1, g); got[0] != time.Hour {
			t.Errorf("passed after %v, want the pause of an hour", got[0])
		}
	})
}

// What waits for a place when the pause comes must not go with all others at its end.
func TestGate_afterAPauseTheRateHolds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(60)
		started := time.Now()
		time.AfterFunc(10*time.Second, func() { g.Pause(started.Add(time.Hour)) })
		time.AfterFunc(30*time.Minute, func() { g.Pause(started.Add(2 * time.Hour)) })
		got := passages(t, 100, slices.Repeat([]*Gate{g}, 20)...)
		during := func(at time.Duration) bool { return at >= 10*time.Second && at < 2*time.Hour }
		if slices.ContainsFunc(got, during) || busiest(got) > 60 {
			t.Errorf("%d requests in a minute: %v", busiest(got), got)
		}
		after := slices.DeleteFunc(got, func(at time.Duration) bool { return at < 2*time.Hour })
		if len(after) != 89 || after[2] == 2*time.Hour {
			t.Errorf("%d requests after the pause, from %v on", len(after), after[:3])
		}
	})
}

// A process that was frozen, or too busy, does not use its places all at once when it wakes.
func TestGate_placesNotUsedInTimeLapse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := &database{}
		g := NewGate(600)
		g.Reserve = db.reserve
		g.pace.next, g.pace.left = time.Now().Add(-time.Minute), 20
		if got := passages(t, 1, g); got[0] != 0 || db.asked != 1 || g.pace.left != 0 {
			t.Errorf("passed after %v with %d reservations, %d places are left", got, db.asked, g.pace.left)
		}
		past := g.pace.place(time.Now().Add(-time.Second))
		if past.holds(time.Now()) || !past.holds(past.from) {
			t.Error("a place of a second ago still holds, or never did")
		}
	})
}

func TestGate_errorOfAReservationEndsTheWait(t *testing.T) {
	t.Parallel()
	for _, perMinute := range []int{0, 60} {
		db := &database{err: errors.New("no database")}
		g := NewGate(perMinute)
		g.Reserve = db.reserve
		if err := g.Wait(t.Context()); !errors.Is(err, db.err) {
			t.Errorf("at %d a minute: error %v", perMinute, err)
		}
		db.err = nil
		if err := g.Wait(t.Context()); err != nil {
			t.Errorf("at %d a minute, when it is back: %v", perMinute, err)
		}
	}
}

func TestGate_pausesAreNeverShortened(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g Gate
		g.OnPause = func(time.Time) { t.Error("OnPause for a pause that the caller made") }
		if !g.PausedUntil().IsZero() {
			t.Errorf("paused until %v", g.PausedUntil())
		}
		started := time.Now()
		g.Pause(started.Add(time.Minute))
		g.Pause(started.Add(time.Second))
		time.AfterFunc(30*time.Second, func() { g.Pause(started.Add(time.Hour)) })
		if err := g.Wait(t.Context()); err != nil || time.Since(started) != time.Hour {
			t.Errorf("waited %v: %v", time.Since(started), err)
		}
	})
}

func TestGate_tellsOfLengthenedPausesOnly(t *testing.T) {
	t.Parallel()
	var told []time.Time
	g := &Gate{OnPause: func(until time.Time) { told = append(told, until) }}
	at := time.Now()
	g.throttled(at.Add(time.Minute))
	g.throttled(at.Add(time.Second))
	g.throttled(at.Add(time.Hour))
	if len(told) != 2 || !told[1].Equal(at.Add(time.Hour)) {
		t.Errorf("told of %v", told)
	}
}

func TestGate_waitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limited, paused := NewGate(1), NewGate(0)
		limited.Wait(t.Context())
		paused.Pause(time.Now().Add(time.Hour))
		for _, g := range []*Gate{limited, paused} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			started := time.Now()
			if err := g.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(started) != time.Second {
				t.Errorf("after %v: %v", time.Since(started), err)
			}
			cancel()
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for _, g := range []*Gate{nil, NewGate(0)} {
			if err := g.Wait(ended); !errors.Is(err, context.Canceled) {
				t.Errorf("an ended context passes the gate: %v", err)
			}
		}
	})
}

func TestClient_requestWithoutAPlaceIsNotSent(t *testing.T) {
	t.Parallel()
	a := newAPI(t, reply(200, onePage))
	gate := NewGate(60)
	db := &database{err: errors.New("no database")}
	gate.Reserve = db.reserve
	var l Listing
	_, err := batchIDs(a.client(t, func(o *Options) { o.Gate = gate }).DeviceBatches(t.Context(), testCustomer, &l))
	if e := errorOf(t, err); e.ErrorCode() != "not_sent" || !errors.Is(err, db.err) || db.asked != 1 {
		t.Errorf("after %d reservations: %v", db.asked, err)
	}
	if len(a.seen(uri)) != 0 || l.Requests != 1 { // to sign in
		t.Errorf("%d requests, %d of them for batches", l.Requests, len(a.seen(uri)))
	}
}

func TestGate_tellsWhyAndHowLongRequestsWaited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		waited := map[string]time.Duration{}
		g := NewGate(60)
		g.OnWait = func(reason string, d time.Duration) { waited[reason] += d }
		began := time.Now()
		for range 5 {
			if err := g.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		limit := time.Since(began)
		g.Pause(time.Now().Add(time.Minute))
		if err := g.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if limit == 0 || waited[WaitLimit] != limit || waited[WaitThrottled] != time.Minute || len(waited) != 2 {
			t.Errorf("waited %v, of this %s for the limit", waited, limit)
		}
	})
}
