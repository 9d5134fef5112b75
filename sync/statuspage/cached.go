package statuspage

import (
	"context"
	"sync"
	"time"
)

const (
	// leastAge is how long an answer of the database is good enough at least, so that it is not asked more often.
	leastAge = 5 * time.Second
	// agePerCost is how many times the time that it took to read an answer is good for, so that asking costs the database
	// no more than a twentieth of one connection's time.
	agePerCost = 20
	// patience is how long to wait for a new answer where there is an old one.
	patience = 100 * time.Millisecond
)

// cached is an answer of the database that many may ask for, and one reads. It is safe for concurrent use.
type cached[T any] struct {
	read  func(context.Context) (T, error)
	least time.Duration // for which an answer is good enough

	mu      sync.Mutex
	value   T
	err     error
	at      time.Time     // when value and err were read; zero: never
	took    time.Duration // to read them
	reading chan struct{} // closed when the reading that goes on is over; nil: none does
}

func newCached[T any](read func(context.Context) (T, error)) *cached[T] {
	return &cached[T]{read: read, least: leastAge}
}

// get returns the answer, of just now or not much older. The error is that of reading, or of ctx.
func (c *cached[T]) get(ctx context.Context) (T, error) {
	reading := c.renew(ctx)
	if reading == nil {
		return c.last()
	}
	var enough <-chan time.Time
	if c.has() {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		enough = timer.C
	}
	select {
	case <-reading:
	case <-enough:
	case <-ctx.Done():
		if !c.has() {
			var none T
			return none, ctx.Err()
		}
	}
	return c.last()
}

// last returns the newest answer.
func (c *cached[T]) last() (T, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value, c.err
}

// has reports whether there is an answer that is not an error.
func (c *cached[T]) has() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.at.IsZero() && c.err == nil
}

// renew sees to it that a new answer is read, and returns what tells of the end of that; nil: the last one is new enough.
func (c *cached[T]) renew(ctx context.Context) (reading <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() && time.Since(c.at) < max(c.least, agePerCost*c.took) {
		return nil
	}
	if c.reading == nil {
		c.reading = make(chan struct{})
		// For all who wait, and so not ended by the one who asked first. The reader has its own limits of time, and its end.
		go c.refresh(context.WithoutCancel(ctx), c.reading)
	}
	return c.reading
}

func (c *cached[T]) refresh(ctx context.Context, reading chan struct{}) {
	began := time.Now()
	value, err := c.read(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.value, c.err, c.at, c.took = value, err, time.Now(), time.Since(began)
	c.reading = nil
	close(reading)
}
