package partnercenter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func TestToken_lastsWhileTheNextOneCannotBeHad(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		signIn   http.HandlerFunc
		lasts    time.Duration
		requests int // for renewal, within that time
	}{
		{"outage", reply(503, ""), time.Hour, 8},
		{"throttled", reply(429, "", "Retry-After: 40"), time.Hour, 3},
		{"broken off", breakOff, time.Hour, 8},
		{"silence", hang, time.Hour, 5}, // 10 seconds each
		{"refusal", reply(401, `{"error":"invalid_client"}`), 58 * time.Minute, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := newPipedAPI(t, hang)
				a.signIn = reply(200, `{"access_token":"x","expires_in":3600}`)
				s := a.tokens(t)
				started := time.Now()
				if _, err := s.Token(t.Context()); err != nil {
					t.Fatal(err)
				}
				a.signsIn(tt.signIn)
				requests := 0
				for {
					requests = a.tokenRequests() - 1
					if time.Since(started) >= tt.lasts {
						break
					}
					if _, err := s.Token(t.Context()); err != nil {
						t.Fatalf("after %v: %v", time.Since(started), err)
					}
					time.Sleep(time.Second)
				}
				if _, err := s.Token(t.Context()); err == nil {
					t.Error("a token that has expired, or was to be renewed after a refusal, is used")
				}
				if tt.name == "refusal" {
					requests++
				}
				if requests != tt.requests {
					t.Errorf("%d requests to renew it, want %d", requests, tt.requests)
				}
				a.signsIn(nil)
				time.Sleep(refusalHold)
				if got, err := s.Token(t.Context()); err != nil || got == "x" {
					t.Errorf("token %q, error %v", got.Reveal(), err)
				}
			})
		})
	}
}

func TestToken_thatIsRejectedDoesNotLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newPipedAPI(t, hang)
		s := a.tokens(t)
		if _, err := s.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.current.reject()
		a.signsIn(reply(503, ""))
		if _, err := s.Token(t.Context()); errorOf(t, err).Status != 503 || a.tokenRequests() != 5 {
			t.Errorf("%d requests, error %v", a.tokenRequests(), err)
		}
	})
}

func TestToken_aFailureStandsForAFewSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newPipedAPI(t, hang)
		a.signsIn(reply(503, ""))
		s := a.tokens(t)
		for range 40 {
			if _, err := s.Token(t.Context()); errorOf(t, err).Status != 503 {
				t.Errorf("error %v", err)
			}
		}
		if n := a.tokenRequests(); n != 4 {
			t.Errorf("%d token requests", n)
		}
		if _, err := s.Refused(); err != nil {
			t.Errorf("an outage is taken for a refusal: %v", err)
		}
		a.signsIn(nil)
		time.Sleep(failureHold)
		if _, err := s.Token(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestToken_sharesThePartnersPausesAndNotItsRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newPipedAPI(t, hang)
		limiter := NewLimiter(1)
		var told []time.Duration
		limiter.OnPause = func(d time.Duration) { told = append(told, d) }
		s, err := NewTokenSource(a.credentials(), TokenOptions{Transport: a.transport, Limiter: limiter})
		if err != nil {
			t.Fatal(err)
		}
		// Another process was told to wait.
		limiter.Pause(time.Minute)
		started := time.Now()
		if _, err := s.Token(t.Context()); err != nil || time.Since(started) != time.Minute {
			t.Errorf("token after %v, error %v", time.Since(started), err)
		}
		// This one is told to.
		s.current.rejected.Store(true)
		a.signsIn(func(w http.ResponseWriter, r *http.Request) {
			a.signsIn(nil)
			reply(429, "", "Retry-After: 120")(w, r)
		})
		started = time.Now()
		if _, err := s.Token(t.Context()); err != nil || time.Since(started) != 2*time.Minute {
			t.Errorf("token after %v, error %v", time.Since(started), err)
		}
		if fmt.Sprint(told) != "[2m0s]" || limiter.bucket.Tokens() != 1 {
			t.Errorf("told of pauses %v, %v tokens are left in the bucket", told, limiter.bucket.Tokens())
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		s.current.rejected.Store(true)
		if _, err := s.Token(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}
