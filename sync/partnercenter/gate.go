package partnercenter

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Gate paces the requests of one partner: so many a minute, and none while the API has asked for a pause. All clients
// of the partner share it. A nil Gate lets everything through.
type Gate struct {
	// OnPause, if set before the gate is used, is called after a 429 has lengthened the pause, so that the caller can
	// tell other replicas. It runs in the goroutine of the throttled request. Pause does not call it.
	OnPause func(until time.Time)
	// OnWait, if set before the gate is used, is told of each wait of a request, at its end. Calls overlap.
	OnWait func(reason string, waited time.Duration)

	limiter *rate.Limiter // nil: no limit

	mu     sync.Mutex
	paused time.Time // until then nothing goes
}

// Reasons of waits.
const (
	WaitLimit     = "limit"     // requests_per_minute
	WaitThrottled = "throttled" // the API answered 429, to this request or to another one of the partner
	WaitRetry     = "retry"     // before another attempt after any other failure
)

// NewGate returns a gate that lets requestsPerMinute through, in bursts of at most two seconds' worth. 0 is no limit.
func NewGate(requestsPerMinute int) *Gate {
	if requestsPerMinute <= 0 {
		return &Gate{}
	}
	perSecond := rate.Limit(requestsPerMinute) / 60
	return &Gate{limiter: rate.NewLimiter(perSecond, max(1, requestsPerMinute/30))}
}

// Wait returns when the limit has a place for one more request and no pause holds. Its error is ctx's.
func (g *Gate) Wait(ctx context.Context) error {
	if g == nil {
		return ctx.Err()
	}
	if err := g.waitForLimit(ctx); err != nil {
		return err
	}
	for {
		// The pause may be lengthened while it is waited for.
		d := time.Until(g.PausedUntil())
		if d <= 0 {
			return ctx.Err()
		}
		if err := g.sleep(ctx, d, WaitThrottled); err != nil {
			return err
		}
	}
}

func (g *Gate) waitForLimit(ctx context.Context) error {
	if g.limiter == nil {
		return nil
	}
	// Not the limiter's own Wait: it refuses at once, with an error of its own, what ctx's deadline leaves no time for.
	place := g.limiter.Reserve()
	if err := g.sleep(ctx, place.Delay(), WaitLimit); err != nil {
		place.Cancel()
		return err
	}
	return nil
}

// Pause holds every request until then. It never shortens a pause.
func (g *Gate) Pause(until time.Time) { g.lengthen(until) }

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
	if d > 0 && g != nil && g.OnWait != nil {
		g.OnWait(reason, time.Since(began))
	}
	return err
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
