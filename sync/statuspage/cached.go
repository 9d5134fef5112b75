package statuspage

import (
	"context"
	"sync"
	"time"

	"partnersync/store/report"
)

const (
	// minAge is for how long a value is served without reading it again.
	minAge = 5 * time.Second
	// agePerCost is how many times the time that reading a value took it is served for, so that reading takes no more
	// than a twentieth of one connection's time.
	agePerCost = 20
	// maxWait is how long to wait for a new value while there is an old one.
	maxWait = 100 * time.Millisecond
)

// cached is a stale-while-revalidate cache of one value from the database: many may ask for it, and one reads it. It is
// safe for concurrent use.
type cached[T any] struct {
	read   func(context.Context) (T, error)
	minAge time.Duration
	fresh  bool // only what is still being read serves whoever else asks

	mu      sync.Mutex
	value   T
	err     error
	at      time.Time     // when value and err were read; zero: never
	took    time.Duration // reading them
	reading chan struct{} // closed when the reading in progress ends; nil: there is none
}

func newCached[T any](read func(context.Context) (T, error)) *cached[T] {
	return &cached[T]{read: read, minAge: minAge}
}

// cachedFrom returns a cache of what is read from the site's database, once it has one.
func cachedFrom[T any](s *Site, read func(context.Context, *report.Reader) (T, error)) *cached[T] {
	return newCached(func(ctx context.Context) (value T, err error) {
		r, err := s.database()
		if err != nil {
			return value, err
		}
		return read(ctx, r)
	})
}

// get returns the value, which is not much older than minAge. The error is that of reading, or of ctx.
func (c *cached[T]) get(ctx context.Context) (T, error) {
	reading := c.renew(ctx)
	value, read, err := c.last()
	if reading == nil {
		return value, err
	}
	var enough <-chan time.Time
	if read && err == nil && !c.fresh {
		timer := time.NewTimer(maxWait)
		defer timer.Stop()
		enough = timer.C
	}
	select {
	case <-reading:
	case <-enough:
	case <-ctx.Done():
		if enough == nil {
			return value, ctx.Err()
		}
	}
	value, _, err = c.last()
	return value, err
}

// last returns what was read last, and whether anything was.
func (c *cached[T]) last() (value T, read bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value, !c.at.IsZero(), c.err
}

// renew has the value read again if it is too old, and returns what is closed at the end of that; nil: it is new
// enough.
func (c *cached[T]) renew(ctx context.Context) (reading <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.fresh && !c.at.IsZero() && time.Since(c.at) < max(c.minAge, agePerCost*c.took) {
		return nil
	}
	if c.reading == nil {
		c.reading = make(chan struct{})
		// It is for everyone who waits, so it must not end when the first one who asked goes away.
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
