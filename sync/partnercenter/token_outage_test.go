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
					sleep(t.Context(), time.Second)
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
				sleep(t.Context(), refusalHold)
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
		sleep(t.Context(), failureHold)
		if _, err := s.Token(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestToken_sharesThePartnersPausesAndNotItsRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newPipedAPI(t, hang)
		db := new(database)
		gate := NewGate(1)
		gate.Reserve = db.reserve
		var told []time.Duration
		gate.OnPause = func(until time.Time) { told = append(told, time.Until(until)) }
		s, err := NewTokenSource(a.credentials(), TokenOptions{Transport: a.transport, Gate: gate})
		if err != nil {
			t.Fatal(err)
		}
		// Another process was told to wait.
		db.paused = time.Now().Add(time.Minute)
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
		if fmt.Sprint(told) != "[2m0s]" || db.places != 0 {
			t.Errorf("told of pauses %v, %d places taken", told, db.places)
		}
		// What cannot be asked for the pause is no refusal, and the next request asks again.
		s.current.rejected.Store(true)
		db.err = fmt.Errorf("no database: %w", context.DeadlineExceeded)
		sleep(t.Context(), pauseKnown)
		_, err = s.Token(t.Context())
		if _, refused := s.Refused(); !errors.Is(err, db.err) || refused != nil {
			t.Errorf("error %v, refused: %v", err, refused)
		}
		db.err = nil
		sleep(t.Context(), time.Millisecond)
		if _, err := s.Token(t.Context()); err != nil {
			t.Error(err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		s.current.rejected.Store(true)
		if _, err := s.Token(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}
