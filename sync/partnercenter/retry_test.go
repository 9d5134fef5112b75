package partnercenter

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// around says whether a wait was as long as that back-off with its jitter.
func around(got, want time.Duration) bool { return got >= want*8/10 && got <= want*12/10 }

func TestClient_retriesWhatMayPass(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer http.HandlerFunc
		code   string // after four attempts; "" where there is only one
		sameID bool   // the request id is kept
	}{
		{"503", reply(503, ""), "http_503", false},
		{"501", reply(501, ""), "http_501", false},
		{"500 with a code", reply(500, `{"code":"800003"}`), "800003", false},
		{"408", reply(408, ""), "http_408", false},
		{"broken off", breakOff, "connection", true},
		{"reset", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "connection", true},
		{"silence", hang, "timeout", true},
		{"403", reply(403, ""), "", false},
		{"204", reply(204, ""), "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { testRetries(t, tt.answer, tt.code, tt.sameID) })
		})
	}
}

func testRetries(t *testing.T, answer http.HandlerFunc, code string, sameID bool) {
	a := newPipedAPI(t, answer)
	var l Listing
	_, err := batchIDs(a.client(t).DeviceBatches(t.Context(), testCustomer, &l))
	e, ids := errorOf(t, err), a.seen(header("MS-RequestId"))
	if code == "" {
		if len(ids) != 1 || l.Retries != 0 || strings.Contains(a.log.String(), "retrying") {
			t.Errorf("%d attempts: %v", len(ids), err)
		}
		return
	}
	if len(ids) != 4 || l.Requests != 5 || l.Retries != 3 || e.ErrorCode() != code {
		t.Errorf("%d attempts, %d requests, %d retries: %v", len(ids), l.Requests, l.Retries, err)
	}
	if same := len(slices.Compact(ids)) == 1; same != sameID {
		t.Errorf("request ids %q", ids)
	}
	if n := strings.Count(a.log.String(),
		`level=WARN msg="retrying request" method=GET url=http://piped.test/pre/fix/v1/customers/`); n != 3 {
		t.Errorf("%d warnings in %s", n, &a.log)
	}
}

func TestClient_backsOffBetweenAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		fails := reply(503, "", "Retry-After: 0")
		a := newPipedAPI(t, func(w http.ResponseWriter, r *http.Request) {
			at = append(at, time.Now())
			fails(w, r)
		})
		batchIDs(a.client(t).DeviceBatches(t.Context(), testCustomer, nil))
		for i, want := range backoff {
			if got := at[i+1].Sub(at[i]); !around(got, want) {
				t.Errorf("wait %d: %v, want about %v", i+1, got, want)
			}
		}
	})
}

func TestClient_succeedsAfterARetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newPipedAPI(t, breakOff, reply(503, ""), reply(200, onePage))
		var l Listing
		started := time.Now()
		ids, err := batchIDs(a.client(t).DeviceBatches(t.Context(), testCustomer, &l))
		if err != nil || len(ids) != 1 || l.Retries != 2 || l.Pages != 1 {
			t.Errorf("ids %q, error %v, listing %+v", ids, err, l)
		}
		if got := l.SentAt.Sub(started); !around(got, 2*time.Second) {
			t.Errorf("sent %v after the start: not the answered attempt", got)
		}
		requests := a.seen(header("MS-RequestId"))
		if requests[0] != requests[1] || requests[1] == requests[2] || requests[2] != l.RequestID {
			t.Errorf("request ids %q, the last %q", requests, l.RequestID)
		}
	})
}

func TestClient_attemptTimeoutCoversTheBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stalls := func(w http.ResponseWriter, r *http.Request) {
			w.Write([]byte(`{"items":`))
			w.(http.Flusher).Flush()
			hang(w, r)
		}
		a := newPipedAPI(t, stalls, reply(200, onePage))
		started := time.Now()
		c := a.client(t, func(o *Options) { o.AttemptTimeout = 10 * time.Second })
		_, err := batchIDs(c.DeviceBatches(t.Context(), testCustomer, nil))
		if got := time.Since(started); err != nil || !around(got-10*time.Second, 500*time.Millisecond) {
			t.Errorf("after %v: %v", got, err)
		}
	})
}

func TestClient_429PausesEveryRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const throttled = `{ "statusCode": 429, "message": "Rate limit is exceeded. Try again in 57 seconds." }`
		a := newPipedAPI(t, reply(429, throttled, "Retry-After: 57"), reply(200, onePage))
		limiter := NewLimiter(0)
		var told []time.Duration
		started := time.Now()
		limiter.OnPause = func(d time.Duration) { told = append(told, d) }
		c := a.client(t, func(o *Options) { o.Limiter, o.AttemptTimeout = limiter, time.Second })
		done := make(chan error)
		go func() {
			_, err := batchIDs(c.DeviceBatches(t.Context(), testCustomer, nil))
			done <- err
		}()
		synctest.Wait()
		var other Listing
		_, err := batchIDs(c.DeviceBatches(t.Context(), "other", &other))
		if err = errors.Join(err, <-done); err != nil {
			t.Fatal(err)
		}
		if got := other.SentAt.Sub(started); got != 57*time.Second || other.Retries != 0 {
			t.Errorf("the other request was sent after %v with %d retries", got, other.Retries)
		}
		if d := cmp.Diff([]time.Duration{57 * time.Second}, told); d != "" {
			t.Error(d)
		}
	})
}

func TestClient_429FailsAfterFourAttemptsAndStillPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newPipedAPI(t, reply(429, "", "Retry-After: 9999"))
		limiter := NewLimiter(0)
		started := time.Now()
		c := a.client(t, func(o *Options) { o.Limiter = limiter })
		_, err := batchIDs(c.DeviceBatches(t.Context(), testCustomer, nil))
		if e := errorOf(t, err); e.ErrorCode() != "http_429" || !strings.Contains(e.Error(), "429 Too Many Requests") {
			t.Error(err)
		}
		if got := time.Since(started); got != 3*maxRetryAfter {
			t.Errorf("failed after %v", got)
		}
		if got := time.Until(limiter.PausedUntil()); got != maxRetryAfter {
			t.Errorf("paused for %v more", got)
		}
	})
}

func TestClient_aTokenThatDiesInAPauseIsRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newPipedAPI(t, reply(200, onePage))
		limiter := NewLimiter(0)
		limiter.Pause(2 * time.Hour)
		c := a.client(t, func(o *Options) { o.Limiter = limiter })
		if _, err := batchIDs(c.DeviceBatches(t.Context(), testCustomer, nil)); err != nil {
			t.Fatal(err)
		}
		if got := a.seen(header("Authorization"))[0]; got != "Bearer token-2" {
			t.Errorf("sent with %q", got)
		}
	})
}

func TestClient_cancellingEndsEveryWait(t *testing.T) {
	t.Parallel()
	paused := NewLimiter(0)
	tests := []struct {
		name    string
		answer  http.HandlerFunc
		limiter *Limiter
	}{
		{"in an attempt", hang, nil},
		{"between attempts", reply(503, "", "Retry-After: 300"), nil},
		{"in a pause", reply(200, onePage), paused},
		{"at the limit", reply(200, `{"items":[],"continuationToken":"t"}`), NewLimiter(1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				paused.Pause(time.Hour)
				a := newPipedAPI(t, tt.answer)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(2*time.Second, cancel)
				started := time.Now()
				_, err := batchIDs(a.client(t, func(o *Options) { o.Limiter = tt.limiter }).DeviceBatches(ctx, testCustomer, nil))
				if e := errorOf(t, err); !errors.Is(err, context.Canceled) || e.ErrorCode() != "canceled" {
					t.Error(err)
				}
				if got := time.Since(started); got != 2*time.Second {
					t.Errorf("after %v", got)
				}
			})
		})
	}
}

func TestClient_theCallersDeadlineIsATimeoutWithoutRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newPipedAPI(t, hang)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var l Listing
		_, err := batchIDs(a.client(t).DeviceBatches(ctx, testCustomer, &l))
		if e := errorOf(t, err); !errors.Is(err, context.DeadlineExceeded) || e.ErrorCode() != "timeout" || l.Retries != 0 {
			t.Errorf("%v after %d retries", err, l.Retries)
		}
	})
}

func TestRetryAfter_isObeyedWithinReason(t *testing.T) {
	t.Parallel()
	now := time.Date(2020, 7, 21, 4, 10, 58, 0, time.UTC)
	tests := []struct {
		value string
		want  time.Duration
	}{
		{"57", 57 * time.Second},
		{" 57 ", 57 * time.Second},
		{"300", 5 * time.Minute},
		{"301", 5 * time.Minute},
		{"9223372036854775807", 5 * time.Minute},
		{"Tue, 21 Jul 2020 04:11:28 GMT", 30 * time.Second},
		{"Tue, 21 Jul 2099 04:11:28 GMT", 5 * time.Minute},
		{"Tue, 21 Jul 2020 04:10:00 GMT", 0},
		{"", 0},
		{"0", 0},
		{"-5", 0},
		{"12.5", 13 * time.Second},
		{"0.01", time.Second},
		{"12.0", 12 * time.Second},
		{"-0.5", 0},
		{"1.2.3", 0},
		{"1e3", 0},
		{"inf", 0},
		{"NaN", 0},
		{"soon", 0},
		{"99999999999999999999999", 5 * time.Minute},
		{"-99999999999999999999999", 0},
	}
	for _, tt := range tests {
		if got := RetryAfter(tt.value, now, maxRetryAfter); got != tt.want {
			t.Errorf("%q: %v, want %v", tt.value, got, tt.want)
		}
	}
}

func TestRetryAfter_isCappedByItsCaller(t *testing.T) {
	t.Parallel()
	now := time.Date(2020, 7, 21, 4, 10, 58, 0, time.UTC)
	for _, header := range []string{"7200", "Tue, 21 Jul 2020 06:10:58 GMT"} {
		if got := RetryAfter(header, now, time.Hour); got != time.Hour {
			t.Errorf("%q: %v", header, got)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"57", "0", "Tue, 21 Jul 2020 04:11:28 GMT", "Tuesday, 21-Jul-20 04:11:28 GMT", "-1", "9223372036854775807"} {
		f.Add(s, int64(1595304658))
	}
	f.Fuzz(func(t *testing.T, value string, now int64) {
		if got := RetryAfter(value, time.Unix(now, 0), maxRetryAfter); got < 0 || got > maxRetryAfter {
			t.Errorf("%q at %d: %v", value, now, got)
		}
	})
}

func TestClient_tellsOfItsWaitsBeforeRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newPipedAPI(t, reply(503, "", "Retry-After: 3"), reply(429, "", "Retry-After: 20"), reply(200, onePage))
		limiter, waited := NewLimiter(0), map[string]time.Duration{}
		limiter.OnWait = func(reason string, d time.Duration) { waited[reason] += d }
		c := a.client(t, func(o *Options) { o.Limiter = limiter })
		if _, err := batchIDs(c.DeviceBatches(t.Context(), testCustomer, nil)); err != nil {
			t.Fatal(err)
		}
		if waited[WaitRetry] != 3*time.Second || waited[WaitThrottled] != 20*time.Second || len(waited) != 2 {
			t.Errorf("waited %v", waited)
		}
	})
}
