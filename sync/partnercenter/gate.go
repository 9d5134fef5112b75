package partnercenter

import (
	"context"
	"sync"
	"time"
)

// Gate paces the requests of one partner: so many a minute, and none while the API or the authority has asked for a pause.
// All clients of the partner in this process share it; by Reserve and OnPause, the partner's other processes share rate
// and pause too. [NewGate] makes one. A nil Gate lets everything through.
type Gate struct {
	// OnPause, if set before the gate is used, is called after a 429 has lengthened the pause, so that the caller can
	// tell other replicas. It runs in the goroutine of the throttled request. Pause does not call it.
	OnPause func(until time.Time)
	// OnWait, if set before the gate is used, is told of each wait of a request, at its end. Calls overlap.
	OnWait func(reason string, waited time.Duration)

	// Reserve, if set before the gate is used, gives this process n places at the partner's rate, an interval apart from
	// each other, and tells of the pause. With n = 0 it only tells of the pause, and is asked at most once a second: where
	// the gate has no limit, and before a token request, which takes no place. Calls do not overlap. Its error becomes that
	// of all who wait. nil: the gate has the rate to itself.
	Reserve func(ctx context.Context, n int, interval time.Duration) (Reservation, error)

	pace pace

	mu     sync.Mutex
	paused time.Time // until then nothing goes
	known  time.Time // until then there is no need to ask for the pause alone
}

// Reasons of waits.
const (
	WaitLimit     = "limit"     // requests_per_minute
	WaitThrottled = "throttled" // the API answered 429, to this request or to another one of the partner
	WaitRetry     = "retry"     // before another attempt after any other failure
)

// NewGate returns a gate that lets at most requestsPerMinute through in any minute, in bursts of at most two seconds'
// worth. 0 is no limit.
func NewGate(requestsPerMinute int) *Gate {
	g := &Gate{pace: pace{turn: make(chan struct{}, 1)}}
	if requestsPerMinute > 0 {
		g.pace.limit(requestsPerMinute)
	}
	return g
}

// Wait returns when the rate has a place for one more request and no pause holds. Its error is ctx's or Reserve's.
func (g *Gate) Wait(ctx context.Context) error {
	if g == nil {
		return ctx.Err()
	}
	for {
		// First the pause, then the place: otherwise all that waited for the pause would go at its end at once.
		if err := g.waitForPause(ctx); err != nil {
			return err
		}
		p, err := g.place(ctx)
		if err != nil {
			return err
		}
		if p.holds(time.Now()) && !g.pausing() {
			return nil
		}
	}
}

// waitForPauses returns when no pause holds, this process's or another's, and takes no place of the rate. Its error is
// ctx's or Reserve's.
func (g *Gate) waitForPauses(ctx context.Context) error {
	if g == nil {
		return ctx.Err()
	}
	if err := g.learnPause(ctx); err != nil {
		return err
	}
	return g.waitForPause(ctx)
}

// place returns the next place of the rate once it has come.
func (g *Gate) place(ctx context.Context) (place, error) {
	began := time.Now()
	defer func() { g.waited(WaitLimit, time.Since(began)) }()
	p, err := g.take(ctx)
	if err != nil {
		return p, err
	}
	return p, sleep(ctx, time.Until(p.from))
}

// waitForPause returns at the end of the pause, which may be lengthened while it is waited for.
func (g *Gate) waitForPause(ctx context.Context) error {
	for g.pausing() {
		if err := g.sleep(ctx, time.Until(g.PausedUntil()), WaitThrottled); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (g *Gate) pausing() bool { return time.Now().Before(g.PausedUntil()) }

// Pause holds every request until then. It never shortens a pause.
func (g *Gate) Pause(until time.Time) { g.lengthen(until) }

// Learn tells the gate of the pause that all of the partner's processes keep, as of now. For the next second there is no need to
// ask Reserve for that alone.
func (g *Gate) Learn(pause time.Duration) {
	now := time.Now()
	g.lengthen(now.Add(pause))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.known = now.Add(pauseKnown)
}

func (g *Gate) knowsPause() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Now().Before(g.known)
}

// PausedUntil returns the end of the latest pause, which may be past; zero if there never was one.
func (g *Gate) PausedUntil() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.paused
}

// throttled pauses the gate because the API said 429.
func (g *Gate) throttled(until time.Time) {
	if g == nil {
		return
	}
	if g.lengthen(until) && g.OnPause != nil {
		g.OnPause(until)
	}
}

func (g *Gate) lengthen(until time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !until.After(g.paused) {
		return false
	}
	g.paused = until
	return true
}

// sleep waits for d, or for the end of ctx whose error it returns, and tells OnWait.
func (g *Gate) sleep(ctx context.Context, d time.Duration, reason string) error {
	began := time.Now()
	err := sleep(ctx, d)
	g.waited(reason, time.Since(began))
	return err
}

// waited tells OnWait of a wait, if it was one.
func (g *Gate) waited(reason string, d time.Duration) {
	if d > 0 && g != nil && g.OnWait != nil {
		g.OnWait(reason, d)
	}
}

// sleep waits for d or for the end of ctx, whose error it returns.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
