package partnercenter

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/sync/partnercenter/partnercentertest"
)

func TestRefused_growsFromHalfAMinuteToAQuarterOfAnHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newEmulated(t, partnercentertest.Options{})
		w.cred.ClientSecret = "wrong"
		s := w.tokens(t)
		var got []time.Duration
		for range 7 {
			_, err := s.Token(t.Context())
			until, refused := s.Refused()
			if !errors.Is(refused, err) {
				t.Fatalf("refused: %v, want %v", refused, err)
			}
			got = append(got, time.Until(until))
			time.Sleep(time.Until(until) - time.Second)
			s.Token(t.Context()) // asks nobody
			time.Sleep(time.Second)
			if _, refused := s.Refused(); refused != nil {
				t.Errorf("still refused when the time is over: %v", refused)
			}
		}
		want := []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute,
			15 * time.Minute, 15 * time.Minute}
		if diff := cmp.Diff(want, got); diff != "" || w.asked("/token", 0) != len(want) {
			t.Errorf("%d token requests; waits (-want +got):\n%s", w.asked("/token", 0), diff)
		}
	})
}

func TestRefused_onlyByAnAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault partnercentertest.Fault
		waits []time.Duration
	}{
		{"refusal", partnercentertest.Fault{Status: 400}, []time.Duration{30 * time.Second, time.Minute}},
		{"outage", partnercentertest.Fault{Status: 503}, []time.Duration{0, 0}},
		{"throttled", partnercentertest.Fault{Status: 429}, []time.Duration{0, 0}},
		{"network", partnercentertest.Fault{Reset: true}, []time.Duration{0, 0}},
		{"nonsense", partnercentertest.Fault{Body: "<html>"}, []time.Duration{30 * time.Second, 30 * time.Second}},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			w := newEmulated(t, partnercentertest.Options{})
			w.cred.ClientSecret = testSecret
			w.Fail(tt.fault)
			s := w.tokens(t)
			for _, want := range tt.waits {
				if _, err := s.Token(t.Context()); err == nil {
					t.Fatal("no error")
				}
				until, _ := s.Refused()
				got := time.Duration(0)
				if !until.IsZero() {
					got = time.Until(until)
				}
				if got != want {
					t.Errorf("%s: refused for %v, want %v", tt.name, got, want)
				}
				time.Sleep(got)
			}
		})
	}
}

func TestRefused_isForgottenOnceTheAPITakesAToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newEmulated(t, partnercentertest.Options{})
		w.cred.ClientSecret = testSecret
		c := w.client(t)
		for range 3 { // each as the first time
			remove := w.Fail(partnercentertest.Fault{Path: "^/v1/", Status: 401})
			if err := c.Probe(t.Context(), ""); errorOf(t, err).Status != 401 {
				t.Errorf("error %v", err)
			}
			until, _ := c.tokens.Refused()
			if got := time.Until(until); got != refusalHold {
				t.Errorf("refused for %v", got)
			}
			remove()
			time.Sleep(refusalHold)
			if err := c.Probe(t.Context(), ""); err != nil {
				t.Error(err)
			}
			time.Sleep(refusalHold)
		}
	})
}

func TestPassEnded_oneCustomersRefusalIsNotTheSignIns(t *testing.T) {
	t.Parallel()
	const other = "b44bb1fb-c595-45b0-9e09-d657365580bf"
	tests := []struct {
		name    string
		fault   partnercentertest.Fault
		refused bool
	}{
		{"one customer", partnercentertest.Fault{Path: other, Status: 401}, false},
		{"every customer", partnercentertest.Fault{Path: "^/v1/", Status: 401}, true},
		{"the authority", partnercentertest.Fault{Path: "/token$", Status: 400}, true},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			w := newEmulated(t, partnercentertest.Options{})
			w.AddCustomer(partnercentertest.Customer{ID: other})
			w.cred.ClientSecret = testSecret
			c := w.client(t)
			if err := c.Probe(t.Context(), testCustomer); err != nil { // in an earlier pass
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			w.Fail(tt.fault)
			if strings.Contains(tt.fault.Path, "token") {
				w.RevokeTokens()
			}
			began := time.Now()
			for _, id := range []string{testCustomer, other} {
				c.Probe(t.Context(), id)
			}
			if _, err := c.tokens.Refused(); err == nil {
				t.Fatalf("%s: not refused in the pass", tt.name)
			}
			c.tokens.PassEnded(began)
			if _, err := c.tokens.Refused(); (err != nil) != tt.refused {
				t.Errorf("%s: refused after the pass: %v", tt.name, err)
			}
		})
	}
}

func TestRefused_endsWithAnotherSecret(t *testing.T) {
	t.Parallel()
	w := newEmulated(t, partnercentertest.Options{})
	w.cred.ClientSecretFile = writeFile(t, "secret", "expired")
	s := w.tokens(t)
	for range 2 {
		if _, err := s.Token(t.Context()); errorOf(t, err).ErrorCode() != "AADSTS7000215" {
			t.Errorf("error %v", err)
		}
	}
	if n := w.asked("/token", 0); n != 1 {
		t.Errorf("%d token requests with a secret that was refused", n)
	}
	if err := os.WriteFile(w.cred.ClientSecretFile, []byte(testSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	next := time.Now().Add(time.Second)
	if err := os.Chtimes(w.cred.ClientSecretFile, next, next); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Token(t.Context()); err != nil {
		t.Errorf("with another secret: %v", err)
	}
}

func TestRefused_endsWithAnotherFileOrSignIn(t *testing.T) {
	t.Parallel()
	w := newEmulated(t, partnercentertest.Options{})
	w.withFederatedToken(t)
	remove := w.Fail(partnercentertest.Fault{Path: "/token$", Status: 400})
	s := w.tokens(t)
	refused := func() bool {
		_, err := s.Token(t.Context())
		_, standing := s.Refused()
		return err != nil && standing != nil
	}
	if !refused() {
		t.Fatal("not refused")
	}
	remove()
	s.SignedIn(time.Now().Add(-time.Hour))
	if !refused() {
		t.Error("a sign-in of before the refusal ended it")
	}
	s.SignedIn(time.Now())
	if refused() {
		t.Error("refused after a sign-in")
	}
	w.RevokeTokens()
	s.current.reject()
	remove = w.Fail(partnercentertest.Fault{Path: "/token$", Status: 400})
	if !refused() {
		t.Fatal("not refused again")
	}
	remove()
	other := w.cred.FederatedTokenFile + ".new"
	data, err := os.ReadFile(w.cred.FederatedTokenFile)
	if err := errors.Join(err, os.WriteFile(other, data, 0o600)); err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-time.Hour) // which a file that is moved into place keeps
	if err := errors.Join(os.Chtimes(other, past, past), os.Rename(other, w.cred.FederatedTokenFile)); err != nil {
		t.Fatal(err)
	}
	if refused() {
		t.Error("refused after its file was replaced")
	}
}
