package partnercenter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"partnersync/sync/partnercenter/partnercentertest"
)

func TestLogin_waitsForTheUser(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newEmulated(t, partnercentertest.Options{})
		l, err := StartLogin(t.Context(), w.cred, w.opts)
		if err != nil {
			t.Fatal(err)
		}
		if l.URL != "http://piped.test/devicelogin" || len(l.Code) != 9 ||
			time.Until(l.Expires).Round(time.Second) != 15*time.Minute {
			t.Errorf("login at %s with %q until %v", l.URL, l.Code, l.Expires)
		}
		if shown := fmt.Sprintf("%+v %#v", l, *l); strings.Contains(shown, l.device().DeviceCode) {
			t.Error("printing a login shows its device code")
		}
		// Faults on the way end nothing.
		w.Fail(partnercentertest.Fault{Path: "/token$", Times: 1, Reset: true})
		w.Fail(partnercentertest.Fault{Path: "/token$", Times: 1, Status: http.StatusServiceUnavailable})
		time.AfterFunc(5*time.Minute, func() { w.EnterCode(l.Code, "admin@contoso.example", true) })
		started := time.Now()
		got, err := l.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got.User != "admin@contoso.example" || !got.Claims.MFA || got.Refresh == "" {
			t.Errorf("signed in: %+v", got)
		}
		if waited := time.Since(started); waited < 5*time.Minute || waited > 5*time.Minute+10*time.Second {
			t.Errorf("waited %v", waited)
		}
		k := &keeper{token: got.Refresh}
		w.cred.Rotate = k.rotate
		if err := w.client(t).Probe(t.Context(), testCustomer); err != nil {
			t.Errorf("with the token of the login: %v", err)
		}
	})
}

func TestLogin_fails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, code, hint string
		act              func(*emulated, *Login, context.CancelFunc)
	}{
		{"declined", "AADSTS70018", "begin again",
			func(w *emulated, l *Login, _ context.CancelFunc) { w.DeclineCode(l.Code) }},
		{"too late", "AADSTS70020", "begin again", func(*emulated, *Login, context.CancelFunc) {}},
		{"interrupted", "canceled", "", func(_ *emulated, _ *Login, cancel context.CancelFunc) { cancel() }},
		{"wrong code", "AADSTS70020", "begin again",
			func(w *emulated, _ *Login, _ context.CancelFunc) { w.EnterCode("XXXXXXXXX", "u", true) }},
		{"conditional access", "AADSTS53003", "conditional access", func(w *emulated, _ *Login, _ context.CancelFunc) {
			w.Fail(partnercentertest.Fault{Path: "/token$", Status: 400, Code: "access_denied",
				Description: "AADSTS53003: Blocked."})
		}},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			w := newEmulated(t, partnercentertest.Options{})
			l, err := StartLogin(t.Context(), w.cred, w.opts)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			time.AfterFunc(time.Minute, func() { tt.act(w, l, cancel) })
			_, err = l.Wait(ctx)
			if e := errorOf(t, err); e.ErrorCode() != tt.code || !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("%s: %v", tt.name, err)
			}
		})
	}
}

func TestStartLogin_tellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, code string
		spoil      func(*Credentials)
		fault      partnercentertest.Fault
		requests   int
	}{
		{"client", "AADSTS700016", func(c *Credentials) { c.ClientID = "someone" }, partnercentertest.Fault{Path: "never"},
			1},
		{"nonsense", "bad_response", func(*Credentials) {}, partnercentertest.Fault{Path: "/devicecode", Body: "{}"}, 1},
		{"HTML", "bad_response", func(*Credentials) {}, partnercentertest.Fault{Path: "/devicecode", Body: "<html>"}, 1},
		{"network", "connection", func(*Credentials) {}, partnercentertest.Fault{Path: "/devicecode", Reset: true}, 4},
		{"silence", "timeout", func(*Credentials) {}, partnercentertest.Fault{Path: "/devicecode", Hang: true}, 4},
		{"throttled", "AADSTS90033", func(*Credentials) {}, partnercentertest.Fault{Path: "/devicecode", Status: 429}, 4},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			w := newEmulated(t, partnercentertest.Options{})
			w.Fail(tt.fault)
			tt.spoil(&w.cred)
			_, err := StartLogin(t.Context(), w.cred, w.opts)
			if e := errorOf(t, err); e.ErrorCode() != tt.code || !strings.HasSuffix(e.URL, "/oauth2/v2.0/devicecode") ||
				w.asked("", 0) != tt.requests {
				t.Errorf("%s: %d requests: %v", tt.name, w.asked("", 0), err)
			}
		})
	}
	if _, err := StartLogin(t.Context(), Credentials{}, TokenOptions{}); err == nil {
		t.Error("no error without credentials")
	}
}

func TestLogin_outlastsFaultsOfTheAuthority(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newEmulated(t, partnercentertest.Options{})
		for _, path := range []string{"/devicecode$", "/token$"} {
			w.Fail(partnercentertest.Fault{Path: path, Times: 1, Status: http.StatusServiceUnavailable})
			w.Fail(partnercentertest.Fault{Path: path, Times: 1, Status: http.StatusTooManyRequests})
			w.Fail(partnercentertest.Fault{Path: path, Times: 1, Reset: true})
		}
		if _, err := StartLogin(t.Context(), w.cred, w.opts); err != nil {
			t.Error(err)
		}
		if _, err := Redeem(t.Context(), w.cred, w.opts, Secret(w.RefreshToken("admin@contoso.example", true))); err != nil {
			t.Error(err)
		}
	})
}

func TestStartLogin_endsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newEmulated(t, partnercentertest.Options{})
		w.Fail(partnercentertest.Fault{Path: "/devicecode", Hang: true})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		time.AfterFunc(time.Second, cancel)
		started := time.Now()
		_, err := StartLogin(ctx, w.cred, w.opts)
		if !errors.Is(err, context.Canceled) || time.Since(started) != time.Second {
			t.Errorf("after %v: %v", time.Since(started), err)
		}
	})
}

func TestStartLogin_takesTimesAsTheyCome(t *testing.T) {
	t.Parallel()
	tests := []struct {
		said     string
		interval int64
		life     time.Duration
	}{
		{`"expires_in":"900","interval":"1"`, 1, 15 * time.Minute},
		{`"expires_in":900.5,"interval":300`, 300, 15 * time.Minute},
		{`"expires_in":900,"interval":-1`, 5, 15 * time.Minute},
		{`"expires_in":900,"interval":301`, 5, 15 * time.Minute},
		{`"interval":0.5`, 5, 0},
		{`"expires_in":"soon","interval":"now"`, 5, 0},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			w := newEmulated(t, partnercentertest.Options{})
			w.Fail(partnercentertest.Fault{
				Path: "/devicecode", Body: `{"device_code":"d","user_code":"u","verification_uri":"https://login.test",` +
					tt.said + `}`,
			})
			l, err := StartLogin(t.Context(), w.cred, w.opts)
			if err != nil {
				t.Errorf("%s: %v", tt.said, err)
				return
			}
			if l.device().Interval != tt.interval || tt.life == 0 != l.Expires.IsZero() || tt.life > 0 &&
				time.Until(l.Expires) != tt.life {
				t.Errorf("%s: every %d s until %v", tt.said, l.device().Interval, l.Expires)
			}
		})
	}
}

func TestRedeem_takesATokenGotElsewhere(t *testing.T) {
	t.Parallel()
	w := newEmulated(t, partnercentertest.Options{})
	theirs := Secret(w.RefreshToken("admin@contoso.example", false))
	got, err := Redeem(t.Context(), w.cred, w.opts, theirs)
	if err != nil || got.User != "admin@contoso.example" || got.Refresh == theirs || got.Claims.MFA {
		t.Errorf("signed in: %+v, error %v", got, err)
	}
	_, err = Redeem(t.Context(), w.cred, w.opts, "no token")
	if errorOf(t, err).ErrorCode() != "AADSTS70000" {
		t.Errorf("error %v", err)
	}
	w.Fail(partnercentertest.Fault{Path: "/token$", Body: `{"access_token":"x"}`})
	// The library hands the old one back where there is no new one: an authority that does not rotate is taken as it is.
	if got, err := Redeem(t.Context(), w.cred, w.opts, theirs); err != nil || got.Refresh != theirs || got.User != "" {
		t.Errorf("signed in: %+v, error %v", got, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Redeem(ended, w.cred, w.opts, theirs); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
