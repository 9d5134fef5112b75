package partnercenter

import (
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limiter limits the requests of one partner: a token bucket for the rate, and pauses that the API or the authority has
// asked for. All of the partner's clients in this process share one; Share and Pause make it one with the limiters of
// the partner's other processes.
type Limiter struct {
	// OnPause, if set before the limiter is used, is called when a 429 makes this process pause, so that the caller can
	// pass the pause on to other processes. It runs in the goroutine of the throttled request. Pause does not call it.
	OnPause func(d time.Duration)
	// OnWait, if set before the limiter is used, is called after each wait of a request. Calls overlap.
	OnWait func(reason string, waited time.Duration)

	perMinute int // of all the partner's processes together; 0: no limit
	bucket    *rate.Limiter

	mu     sync.Mutex
	paused time.Time // until then no request is made
}

// Reasons of waits.
const (
	WaitLimit     = "limit"     // requests_per_minute
	WaitThrottled = "throttled" // the API answered 429, to this request or to another one of the partner
	WaitRetry     = "retry"     // before another attempt after any other failure
)

// NewLimiter returns a limiter that allows at most requestsPerMinute requests in any minute, in bursts of at most two
// seconds' worth. 0 is no limit.
func NewLimiter(requestsPerMinute int) *Limiter {
	if requestsPerMinute <= 0 {
		return &Limiter{bucket: rate.NewLimiter(rate.Inf, 1)}
	}
	return &Limiter{perMinute: requestsPerMinute, bucket: rate.NewLimiter(bucketOf(float64(requestsPerMinute)))}
}

// Share leaves this process an equal part of the rate, which so many workers use. Less than one worker counts as one.
// Requests that wait for the rate already keep their place in time.
func (l *Limiter) Share(workers int) {
	if l.perMinute == 0 {
		return
	}
	limit, burst := bucketOf(float64(l.perMinute) / float64(max(1, workers)))
	l.bucket.SetLimit(limit)
	l.bucket.SetBurst(burst)
}

// bucketOf returns how fast a bucket refills and how much it holds, so that a full bucket and what flows into it within
// a minute are together no more than so many requests.
func bucketOf(perMinute float64) (limit rate.Limit, burst int) {
	if perMinute > 1 {
		perMinute = math.Floor(perMinute)
	}
	burst = max(1, int(perMinute/30))
	interval := time.Duration(math.Ceil(60e6/(perMinute-float64(burst)+1))) * time.Microsecond
	return rate.Every(interval), burst
}

// Pause holds every request back for so long from now, and reports whether that is longer than before. It never
// shortens a pause.
func (l *Limiter) Pause(d time.Duration) bool {
	until := time.Now().Add(d)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !until.After(l.paused) {
		return false
	}
	l.paused = until
	return true
}

// PausedUntil returns the end of the latest pause, which may be past; zero if there never was one.
func (l *Limiter) PausedUntil() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.paused
}

// throttled pauses because the server answered 429.
func (l *Limiter) throttled(d time.Duration) {
	if l.Pause(d) && l.OnPause != nil {
		l.OnPause(d)
	}
}

// wait returns when no pause holds and the rate allows another request. Its error is ctx's.
func (l *Limiter) wait(ctx context.Context) error {
	for {
		// The pause comes first. What waited for the rate when a pause began takes another token after it: otherwise
		// all those requests would be sent at the end of the pause at once.
		if err := l.waitForPause(ctx); err != nil {
			return err
		}
		token := l.bucket.Reserve()
		if err := l.sleep(ctx, token.Delay(), WaitLimit); err != nil {
			token.Cancel()
			return err
		}
		if !time.Now().Before(l.PausedUntil()) {
			return nil
		}
	}
}

// waitForPause returns at the end of the pause, which may be lengthened meanwhile. Its error is ctx's.
func (l *Limiter) waitForPause(ctx context.Context) error {
	for time.Now().Before(l.PausedUntil()) {
		if err := l.sleep(ctx, time.Until(l.PausedUntil()), WaitThrottled); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// sleep waits for d, or for the end of ctx whose error it returns, and reports the wait to OnWait.
func (l *Limiter) sleep(ctx context.Context, d time.Duration, reason string) error {
	if d <= 0 {
		return ctx.Err()
	}
	began := time.Now()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	if l.OnWait != nil {
		l.OnWait(reason, time.Since(began))
	}
	return ctx.Err()
}
