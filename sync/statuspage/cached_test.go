package statuspage

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
)

// slow is an answer that takes so long to read, and counts how often it was.
type slow struct {
	takes time.Duration
	times int
	err   error
}

func (s *slow) read(context.Context) (int, error) {
	time.Sleep(s.takes) // of the bubble's time
	s.times++
	return s.times, s.err
}

func TestCached_isReadOnceHoweverManyAsk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slow{takes: time.Second}
		c := newCached(s.read)
		var g errgroup.Group
		for range 20 {
			g.Go(func() error {
				if n, err := c.get(t.Context()); n != 1 || err != nil {
					t.Errorf("%d, %v", n, err)
				}
				return nil
			})
		}
		g.Wait()
		if s.times != 1 {
			t.Errorf("read %d times", s.times)
		}
	})
}

func TestCached_howLongAnAnswerIsGood(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ takes, good time.Duration }{
		{0, minAge}, {time.Millisecond, minAge}, {time.Second, 20 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := slow{takes: c.takes}
			cache := newCached(s.read)
			cache.get(t.Context())
			time.Sleep(c.good - time.Millisecond)
			cache.get(t.Context())
			synctest.Wait()
			if s.times != 1 {
				t.Errorf("taking %s: read again before %s", c.takes, c.good)
			}
			time.Sleep(time.Millisecond)
			cache.get(t.Context())
			time.Sleep(c.takes)
			synctest.Wait()
			if s.times != 2 {
				t.Errorf("taking %s: not read again after %s", c.takes, c.good)
			}
		})
	}
}

func TestCached_oldAnswerRatherThanALongWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slow{takes: time.Second}
		c := newCached(s.read)
		c.get(t.Context())
		time.Sleep(time.Hour)
		asked := time.Now()
		if n, _ := c.get(t.Context()); n != 1 || time.Since(asked) != maxWait {
			t.Errorf("answer %d after %s", n, time.Since(asked))
		}
		time.Sleep(time.Second)
		if n, _ := c.get(t.Context()); n != 2 {
			t.Errorf("then answer %d", n)
		}
	})
}

func TestCached_errors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slow{takes: time.Second, err: errors.New("no database")}
		c := newCached(s.read)
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := c.get(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who does not wait gets %v", err)
		}
		if _, err := c.get(t.Context()); err != s.err {
			t.Errorf("who waits gets %v", err)
		}
		s.err = nil
		time.Sleep(time.Minute)
		if n, err := c.get(t.Context()); n != 2 || err != nil {
			t.Errorf("after a minute: %d, %v", n, err)
		}
	})
}
