package partnercenter

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
)

// passages lets so many requests through the limiters, as many at a time as there are limiters, and returns when each
// passed.
func passages(t *testing.T, requests int, limiters ...*Limiter) []time.Duration {
	t.Helper()
	started := time.Now()
	passed := make(chan time.Duration, requests)
	var g errgroup.Group
	g.SetLimit(len(limiters))
	for i := range requests {
		g.Go(func() error {
			err := limiters[i%len(limiters)].wait(t.Context())
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

func TestLimiter_limitsRequestsInAnyMinute(t *testing.T) {
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
		synctest.Test(t, func(t *testing.T) {
			got := passages(t, tt.requests, NewLimiter(tt.perMinute))
			atOnce := len(slices.DeleteFunc(slices.Clone(got), func(at time.Duration) bool { return at > 0 }))
			if n := busiest(got); n != tt.inAMinute || atOnce != tt.atOnce {
				t.Errorf("%d a minute: %d at once and %d in a minute, want %d and %d", tt.perMinute, atOnce, n, tt.atOnce,
					tt.inAMinute)
			}
			if took := got[len(got)-1].Round(time.Second); took != tt.took {
				t.Errorf("%d requests at %d a minute took %v, want %v", tt.requests, tt.perMinute, took, tt.took)
			}
		})
	}
}

func TestLimiter_doesNotSaveUpWhatARestLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(600)
		passages(t, 100, l)
		time.Sleep(time.Hour)
		got := passages(t, 100, l)
		if got[19] != 0 || got[20] == 0 {
			t.Errorf("after a rest, the 20th request passed after %v and the 21st after %v", got[19], got[20])
		}
	})
}

func TestLimiter_processesShareTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limiters := make([]*Limiter, 3)
		for i := range limiters {
			limiters[i] = NewLimiter(500)
			limiters[i].Share(3)
		}
		all := slices.Concat(limiters, limiters, limiters, limiters) // each with four requests at a time
		got := passages(t, 1000, all...)
		if n := busiest(got); n > 500 {
			t.Errorf("%d requests in a minute", n)
		}
		if took := got[len(got)-1]; took > 127*time.Second {
			t.Errorf("1000 requests took %v: the rate is not used to the full", took)
		}
	})
}

func TestLimiter_sharesChangeWhileRequestsWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(600)
		time.AfterFunc(time.Minute, func() { l.Share(10) })
		time.AfterFunc(2*time.Minute, func() { l.Share(0) })
		got := passages(t, 1300, slices.Repeat([]*Limiter{l}, 8)...)
		within := func(from, to time.Duration) (n int) {
			for _, at := range got {
				if at >= from && at < to {
					n++
				}
			}
			return n
		}
		// The eight requests that wait when the share changes keep their place in time.
		first, second, third := within(0, time.Minute), within(time.Minute, 2*time.Minute),
			within(2*time.Minute, 3*time.Minute)
		if first != 600 || second < 58 || second > 60+8 || third < 575 || third > 600 {
			t.Errorf("%d requests in the first minute, %d in the second and %d in the third", first, second, third)
		}
	})
}

func TestLimiter_noLimitIsSharedByAnyNumber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(0)
		l.Share(7)
		if got := passages(t, 1000, l); got[999] != 0 {
			t.Errorf("the last request passed after %v", got[999])
		}
	})
}

// What waits for the rate when a pause begins must not be sent with all else at its end.
func TestLimiter_afterAPauseTheRateHolds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(60)
		time.AfterFunc(10*time.Second, func() { l.Pause(time.Hour) })
		time.AfterFunc(30*time.Minute, func() { l.Pause(90 * time.Minute) })
		got := passages(t, 100, slices.Repeat([]*Limiter{l}, 20)...)
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

func TestLimiter_pausesAreNeverShortened(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(0)
		l.OnPause = func(time.Duration) { t.Error("OnPause for a pause that the caller made") }
		if !l.PausedUntil().IsZero() {
			t.Errorf("paused until %v", l.PausedUntil())
		}
		started := time.Now()
		l.Pause(time.Minute)
		l.Pause(time.Second)
		time.AfterFunc(30*time.Second, func() { l.Pause(time.Hour - 30*time.Second) })
		if err := l.wait(t.Context()); err != nil || time.Since(started) != time.Hour {
			t.Errorf("waited %v: %v", time.Since(started), err)
		}
	})
}

func TestLimiter_reportsLengthenedPausesOnly(t *testing.T) {
	t.Parallel()
	var got []time.Duration
	l := NewLimiter(0)
	l.OnPause = func(d time.Duration) { got = append(got, d) }
	l.throttled(time.Minute)
	l.throttled(time.Second)
	l.throttled(time.Hour)
	if want := []time.Duration{time.Minute, time.Hour}; !slices.Equal(got, want) {
		t.Errorf("pauses %v, want %v", got, want)
	}
}

func TestLimiter_waitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limited, paused := NewLimiter(1), NewLimiter(0)
		limited.wait(t.Context())
		paused.Pause(time.Hour)
		for _, l := range []*Limiter{limited, paused} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			started := time.Now()
			if err := l.wait(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(started) != time.Second {
				t.Errorf("after %v: %v", time.Since(started), err)
			}
			cancel()
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := NewLimiter(0).wait(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("an ended context passes the limiter: %v", err)
		}
	})
}

func TestLimiter_tellsWhyAndHowLongRequestsWaited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		waited := map[string]time.Duration{}
		l := NewLimiter(60)
		l.OnWait = func(reason string, d time.Duration) { waited[reason] += d }
		began := time.Now()
		for range 5 {
			if err := l.wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		limit := time.Since(began)
		l.Pause(time.Minute)
		if err := l.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if limit == 0 || waited[WaitLimit] != limit || waited[WaitThrottled] != time.Minute || len(waited) != 2 {
			t.Errorf("waited %v, of this %s for the limit", waited, limit)
		}
	})
}
