package partnercenter

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	maxAttempts    = 4
	maxRetryAfter  = 5 * time.Minute
	defaultTimeout = 3 * time.Minute // that of Microsoft's own SDK
)

// backoff is the wait after each attempt but the last, (2^n-1)/2 seconds as in Microsoft's own SDK.
var backoff = [maxAttempts - 1]time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 3500 * time.Millisecond}

// retrier makes the attempts of operations.
type retrier struct {
	timeout  time.Duration // of one attempt, the body included
	attempts int           // at most
	limiter  *Limiter      // paused by a 429
	log      *slog.Logger
}

func newRetrier(timeout time.Duration, limiter *Limiter, log *slog.Logger) retrier {
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	if limiter == nil {
		limiter = NewLimiter(0)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return retrier{timeout: timeout, attempts: maxAttempts, limiter: limiter, log: log}
}

// do calls prepare and then try until try succeeds, its error is final or there are no attempts left, and counts the
// calls of try in l. What prepare waits for is outside the attempt's timeout, and its error is final.
func (r *retrier) do(
	ctx context.Context, l *Listing, op *operation, prepare, try func(context.Context) *Error,
) *Error {
	for attempt := 1; ; attempt++ {
		if e := prepare(ctx); e != nil {
			return e
		}
		l.attempted(attempt)
		e := r.tryInTime(ctx, op, try)
		if e == nil {
			return nil
		}
		wait, reason := e.wait(attempt), WaitRetry
		if e.Status == http.StatusTooManyRequests {
			reason = WaitThrottled
			r.limiter.throttled(wait)
		}
		if !e.retry || attempt == r.attempts {
			return e
		}
		r.log.WarnContext(ctx, "retrying request", "method", e.Method, "url", e.URL, "status", e.Status,
			"code", e.ErrorCode(), "request_id", e.RequestID, "attempt", attempt, "wait", wait)
		if err := r.limiter.sleep(ctx, wait, reason); err != nil {
			return op.contextError(err)
		}
	}
}

// tryInTime makes one attempt, and distinguishes its own timeout from the end of the caller's context.
func (r *retrier) tryInTime(ctx context.Context, op *operation, try func(context.Context) *Error) *Error {
	attempt, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	e := try(attempt)
	switch {
	case e == nil || e.Status != 0:
		return e
	case ctx.Err() != nil:
		return op.contextError(ctx.Err())
	case attempt.Err() != nil:
		e = op.newError(codeTimeout, "no complete answer within "+r.timeout.String())
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

// retryable reports whether the next attempt after this status may succeed.
func retryable(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500
}

// RetryAfter reads a Retry-After header, seconds or an HTTP date, as the time from now, and at most that long. Seconds
// with a fraction, which the standard does not know, are rounded up. It is 0 for what is absent, past, zero or neither.
func RetryAfter(header string, now time.Time, most time.Duration) time.Duration {
	header = strings.TrimSpace(header)
	seconds, err := strconv.ParseFloat(header, 64)
	isNumber := strings.Trim(header, "+-.0123456789") == "" // and not such as inf
	if isNumber && (err == nil || errors.Is(err, strconv.ErrRange)) {
		return time.Duration(min(max(math.Ceil(seconds), 0), most.Seconds()) * float64(time.Second))
	}
	at, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), most)
}
