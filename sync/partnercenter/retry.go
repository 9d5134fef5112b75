package partnercenter

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	maxAttempts    = 4
	maxRetryAfter  = 5 * time.Minute
	defaultAttempt = 3 * time.Minute // the timeout of Microsoft's own SDK
)

// backoff is what to wait after each attempt but the last, (2^n-1)/2 seconds as in Microsoft's own SDK.
var backoff = [maxAttempts - 1]time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 3500 * time.Millisecond}

// courier makes the attempts of operations.
type courier struct {
	timeout  time.Duration // of one attempt, the body included
	attempts int           // at most
	limiter  *Limiter      // paused by a 429; may be nil
	log      *slog.Logger
}

func newCourier(timeout time.Duration, limiter *Limiter, log *slog.Logger) courier {
	if timeout <= 0 {
		timeout = defaultAttempt
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return courier{timeout: timeout, attempts: maxAttempts, limiter: limiter, log: log}
}

// deliver calls ready and then try until try succeeds, its error is final or there are no attempts left, and counts
// the calls of try in l. What ready waits for is outside the attempt's timeout, and its error is final.
func (c *courier) deliver(
	ctx context.Context, l *Listing, o *operation, ready func() *Error, try func(context.Context) *Error,
) *Error {
	for attempt := 1; ; attempt++ {
		if e := ready(); e != nil {
			return e
		}
		l.attempted(attempt)
		e := c.within(ctx, o, try)
		if e == nil {
			return nil
		}
		wait := e.wait(attempt)
		if e.Status == http.StatusTooManyRequests {
			c.limiter.throttled(wait)
		}
		if !e.retry || attempt == c.attempts {
			return e
		}
		c.log.WarnContext(ctx, "retrying request", "method", e.Method, "url", e.URL, "status", e.Status,
			"code", e.ErrorCode(), "request_id", e.RequestID, "attempt", attempt, "wait", wait)
		reason := WaitRetry
		if e.Status == http.StatusTooManyRequests {
			reason = WaitThrottled
		}
		if err := c.limiter.sleep(ctx, wait, reason); err != nil {
			return o.ended(err)
		}
	}
}

// within makes one attempt and tells its own timeout from the end of the caller's context.
func (c *courier) within(ctx context.Context, o *operation, try func(context.Context) *Error) *Error {
	attempt, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	e := try(attempt)
	switch {
	case e == nil || e.Status != 0:
		return e
	case ctx.Err() != nil:
		return o.ended(ctx.Err())
	case attempt.Err() != nil:
		e = o.fail(codeTimeout, "no complete answer within "+c.timeout.String())
		e.retry = true
	}
	return e
}

// wait returns how long to wait after that attempt: what the server asked for, else the back-off.
func (e *Error) wait(attempt int) time.Duration {
	switch {
	case e.atOnce:
		return 0
	case e.after > 0:
		return e.after
	}
	d := backoff[min(attempt, len(backoff))-1]
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// retryable says whether a status may be another the next time.
func retryable(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500
}

// retryAfter reads a Retry-After header, seconds or an HTTP date, as the time from now: at most five minutes. What is
// absent, past, zero or neither is 0.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) { // out of range it is the greatest or least number there is
		seconds = min(max(seconds, 0), int64(maxRetryAfter/time.Second))
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
