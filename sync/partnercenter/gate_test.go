package partnercenter

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestGate_limitsRequestsWithASmallBurst(t *testing.T) {
	t.Parallel()
	tests := []struct {
		perMinute, requests int
		want                time.Duration
	}{
		{0, 1000, 0},
		{-1, 1000, 0},
		{60, 2, 0}, // the burst: two seconds' worth
		{60, 12, 10 * time.Second},
		{1, 3, 2 * time.Minute},
		{600, 620, time.Minute},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			g := NewGate(tt.perMinute)
			started := time.Now()
			for range tt.requests {
				if err := g.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if got := time.Since(started).Round(time.Millisecond); got != tt.want {
				t.Errorf("%d requests at %d a minute took %v, want %v", tt.requests, tt.perMinute, got, tt.want)
			}
		})
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

func TestGate_tellsWhyAndHowLongRequestsWaited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		waited := map[string]time.Duration{}
		g := NewGate(60)
		g.OnWait = func(reason string, d time.Duration) { waited[reason] += d }
		for range 5 {
			if err := g.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		g.Pause(time.Now().Add(time.Minute))
		if err := g.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if waited[WaitLimit] != 4*time.Second || waited[WaitThrottled] != 59*time.Second || len(waited) != 2 {
			t.Errorf("waited %v", waited)
		}
	})
}
