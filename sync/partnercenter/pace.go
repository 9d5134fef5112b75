package partnercenter

import (
	"context"
	"sync/atomic"
	"time"
)

// Reservation is what a Gate's Reserve answers.
type Reservation struct {
	// Wait is how long it is until the first of the reserved places; each further one comes an interval later.
	Wait time.Duration
	// Pause is how long the API has still to be left alone. Where there is a pause, no place is reserved.
	Pause time.Duration
}

const (
	pauseKnown = time.Second            // how long a gate relies on what it was told of the pause alone
	grace      = 250 * time.Millisecond // by which a place may be used late, if that is more than its interval
)

// pace hands out the places of a rate. Places are reserved in blocks, one for each request that waits: what is reserved
// and not used is lost to everybody.
type pace struct {
	interval  time.Duration // between two places; 0: no limit
	burst     int           // places at most in a block
	tolerance time.Duration // by which a place may be used early: after a rest, a whole burst at once

	waiting atomic.Int64  // requests that wait for their turn, or have it
	turn    chan struct{} // holds one value while somebody uses the fields below
	next    time.Time     // the first place that is left of the block
	left    int
	last    time.Time // from when the last place handed out could be used
	end     time.Time // of all places reserved by a gate with the rate to itself
}

// limit spaces places so that a burst, and all that follows it within a minute, are no more than the limit. The interval
// is whole microseconds, as databases keep time.
func (p *pace) limit(requestsPerMinute int) {
	p.burst = max(1, requestsPerMinute/30)
	rest := time.Duration(requestsPerMinute - p.burst + 1)
	p.interval = ((time.Minute-1)/(rest*time.Microsecond) + 1) * time.Microsecond
	p.tolerance = time.Duration(p.burst-1) * p.interval
}

// place is the right to make one request, at a time.
type place struct{ from, until time.Time }

// holds reports whether the place is not over. A process that was frozen has lost its places: together, they would be
// a burst.
func (p place) holds(now time.Time) bool { return now.Before(p.until) }

// place returns the place at that time of the rate.
func (p *pace) place(at time.Time) place {
	return place{from: at.Add(-p.tolerance), until: at.Add(max(p.interval, grace))}
}

// take takes the next place, reserving places where none is left. It returns one that is over if the API has to be left
// alone.
func (g *Gate) take(ctx context.Context) (place, error) {
	p := &g.pace
	if p.interval == 0 && g.Reserve == nil {
		return p.place(time.Now()), nil
	}
	p.waiting.Add(1)
	defer p.waiting.Add(-1)
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return place{}, ctx.Err()
	}
	if p.interval == 0 {
		return g.unlimited(ctx)
	}
	for p.left > 0 && !p.place(p.next).holds(time.Now()) {
		p.pop()
	}
	if p.left == 0 {
		if err := g.reserve(ctx); err != nil || p.left == 0 {
			return place{}, err
		}
	}
	return p.pop(), nil
}

// pop takes the first place of the block.
func (p *pace) pop() place {
	first := p.place(p.next)
	p.next = p.next.Add(p.interval)
	p.left--
	p.last = first.from
	return first
}

// unlimited returns a place at once, if there is no pause.
func (g *Gate) unlimited(ctx context.Context) (place, error) {
	err := g.askForPause(ctx)
	return g.pace.place(time.Now()), err
}

// learnPause learns of the pause that other processes know of.
func (g *Gate) learnPause(ctx context.Context) error {
	if g.Reserve == nil {
		return nil
	}
	select {
	case g.pace.turn <- struct{}{}:
		defer func() { <-g.pace.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return g.askForPause(ctx)
}

// askForPause asks for the pause, unless that was done a moment ago. Its caller has the turn.
func (g *Gate) askForPause(ctx context.Context) error {
	if g.knowsPause() {
		return nil
	}
	r, err := g.Reserve(ctx, 0, 0)
	if err != nil {
		return err
	}
	g.Learn(r.Pause)
	return nil
}

// reserve reserves a block of as many places as requests wait. It waits until the block before has been used up, so that
// one reservation serves many requests.
func (g *Gate) reserve(ctx context.Context) error {
	p := &g.pace
	if err := sleep(ctx, time.Until(p.last)); err != nil {
		return err
	}
	if g.pausing() {
		return nil
	}
	n := min(int(p.waiting.Load()), p.burst)
	if g.Reserve == nil {
		p.next, p.left = p.alone(n), n
		return nil
	}
	r, err := g.Reserve(ctx, n, p.interval)
	if err != nil {
		return err
	}
	now := time.Now()
	if r.Pause > 0 {
		g.Pause(now.Add(r.Pause))
		return nil
	}
	p.next, p.left = now.Add(r.Wait), n
	return nil
}

// alone reserves places of a rate that nobody else uses.
func (p *pace) alone(n int) time.Time {
	first := p.end
	if now := time.Now(); first.Before(now) {
		first = now
	}
	p.end = first.Add(time.Duration(n) * p.interval)
	return first
}
