package partnercenter

import (
	"testing"
	"testing/synctest"
	"time"
)

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

func TestTokenSource_tellsWhenItsTokenExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newPipedAPI(t, hang)
		a.signIn = reply(200, `{"access_token":"x","expires_in":600}`)
		s := a.tokens(t)
		if at := s.Expires(); !at.IsZero() {
			t.Errorf("before there is a token: %s", at)
		}
		if _, err := s.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, want := s.Expires(), time.Now().Add(10*time.Minute); !got.Equal(want) {
			t.Errorf("%s, want %s", got, want)
		}
	})
}
