package partnercenter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
)

func TestToken_signsInWithTheSecretInTheBody(t *testing.T) {
	t.Parallel()
	a := newAPI(t, hang)
	var form, agent string
	a.signIn = func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		form, agent = r.PostForm.Encode(), r.UserAgent()
		if r.Header.Get("Authorization") != "" {
			t.Error("the secret is also in a header")
		}
		fmt.Fprint(w, "\ufeff"+`{"access_token":"x","token_type":"Bearer","expires_in":"3599"}`)
	}
	s := a.tokens(t)
	for range 2 {
		if got, err := s.Token(t.Context()); err != nil || got.Reveal() != "x" {
			t.Fatalf("token %q, error %v", got.Reveal(), err)
		}
	}
	want := "client_id=client&client_secret=" + testSecret + "&grant_type=client_credentials&scope=scope"
	if form != want || agent != "partnersync/1.2" || a.tokenRequests() != 1 {
		t.Errorf("form %s, user agent %s, %d requests", form, agent, a.tokenRequests())
	}
}

func TestToken_isRenewedALittleBeforeItExpires(t *testing.T) {
	t.Parallel()
	tests := []struct {
		reply string
		life  time.Duration
	}{
		{`"expires_in":3600`, 58 * time.Minute},
		{`"expires_in":"3600"`, 58 * time.Minute},
		{`"expires_in":100.9`, 90 * time.Second},
		{`"expires_in":1e2`, 90 * time.Second},
		{`"expires_in":" 100.5 "`, 90 * time.Second},
		{`"Expires_In":""`, 58 * time.Minute},
		{`"expires_in":"soon"`, 58 * time.Minute},
		{`"expires_in":[100]`, 58 * time.Minute},
		{`"expires_in":"inf"`, 58 * time.Minute},
		{`"expires_in":-1e300`, 58 * time.Minute},
		{`"expires_in":100`, 90 * time.Second},
		{`"expires_in":0`, 58 * time.Minute},
		{`"expires_in":-5`, 58 * time.Minute},
		{`"scope":"x"`, 58 * time.Minute},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			a := newPipedAPI(t, hang)
			a.signIn = reply(200, `{"access_token":"x",`+tt.reply+`}`)
			s := a.tokens(t)
			started := time.Now()
			for a.tokenRequests() < 2 && time.Since(started) < 2*time.Hour {
				if _, err := s.Token(t.Context()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
			}
			if got := time.Since(started) - time.Second; got.Round(time.Second) != tt.life {
				t.Errorf("%s: renewed after %v, want %v", tt.reply, got, tt.life)
			}
		})
	}
}

func TestToken_manyWaitersMakeOneRequest(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		signIn http.HandlerFunc
		want   int
	}{
		{"token", reply(200, `{"access_token":"x"}`), 1},
		{"refusal", reply(401, `{"error":"invalid_client"}`), 1},
		{"outage", reply(503, ""), 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := newPipedAPI(t, hang)
				a.signIn = func(w http.ResponseWriter, r *http.Request) {
					time.Sleep(time.Second)
					tt.signIn(w, r)
				}
				s := a.tokens(t)
				var failed atomic.Int32
				var g errgroup.Group
				for range 20 {
					g.Go(func() error {
						if _, err := s.Token(t.Context()); err != nil {
							failed.Add(1)
						}
						return nil
					})
				}
				g.Wait()
				if n := failed.Load(); a.tokenRequests() != tt.want || n != 0 && n != 20 {
					t.Errorf("%d requests, %d of 20 failed", a.tokenRequests(), n)
				}
			})
		})
	}
}

func TestToken_aWaiterHonoursItsOwnContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newPipedAPI(t, hang)
		a.signIn = func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Minute)
			fmt.Fprint(w, `{"access_token":"x"}`)
		}
		s := a.tokens(t)
		first := make(chan error)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := s.Token(ctx)
			first <- err
		}()
		synctest.Wait()
		short, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if _, err := s.Token(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		// Who gives up takes nobody along.
		second := make(chan error)
		go func() {
			_, err := s.Token(t.Context())
			second <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if err := <-second; err != nil {
			t.Errorf("error %v", err)
		}
	})
}

func TestToken_aRefusalStandsForHalfAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newPipedAPI(t, reply(200, onePage))
		a.signIn = reply(401, `{"error":"invalid_client"}`)
		limiter := NewLimiter(1)
		c := a.client(t, func(o *Options) { o.Limiter = limiter })
		started := time.Now()
		for range 1000 {
			_, err := batchIDs(c.DeviceBatches(t.Context(), testCustomer, nil))
			if errorOf(t, err).Method != "POST" {
				t.Fatal(err)
			}
		}
		if a.tokenRequests() != 1 || time.Since(started) != 0 {
			t.Errorf("%d token requests; customers waited %v for the limiter", a.tokenRequests(), time.Since(started))
		}
		time.Sleep(refusalHold)
		a.signIn = nil
		if _, err := batchIDs(c.DeviceBatches(t.Context(), testCustomer, nil)); err != nil {
			t.Error(err)
		}
	})
}

func TestToken_errorsTellTheCodeAndNothingElse(t *testing.T) {
	t.Parallel()
	const leak = testSecret + " and more"
	refusal := func(code, description string) http.HandlerFunc {
		return reply(400, fmt.Sprintf(`{"error":%q,"error_description":%q}`, code, description), "x-ms-request-id: theirs")
	}
	redirect := reply(307, "", "Location: http://elsewhere.test/token")
	tests := []struct {
		name     string
		answer   http.HandlerFunc
		code     string
		status   int
		hint     string
		requests int
	}{
		{"wrong secret", refusal("invalid_client", "AADSTS7000215: Invalid client secret "+leak), "AADSTS7000215", 400,
			"wrong client secret", 1},
		{"expired secret", refusal("invalid_client", "AADSTS7000222: "+leak), "AADSTS7000222", 400, "expired", 1},
		{"unknown client", refusal("unauthorized_client", "AADSTS700016: "+leak), "AADSTS700016", 400, "client_id", 1},
		{"revoked", refusal("invalid_grant", "AADSTS50173: "+leak), "AADSTS50173", 400, "check client_id", 1},
		{"MFA", refusal("invalid_grant", "AADSTS50076: "+leak), "AADSTS50076", 400, "check client_id", 1},
		{"no number", refusal("invalid_client", leak), "invalid_client", 400, "client secret", 1},
		{"no code", refusal(leak, "AADSTS: "+leak), "http_400", 400, "no answer of the authority", 1},
		{"no code of ours", refusal("invalid_grant", "AADSTS99: "+leak), "AADSTS99", 400, "check client_id", 1},
		{"a number beside", reply(400, `{"error":"invalid_client","error_description":"`+leak+`","error_codes":[7000222,1]}`), "AADSTS7000222", 400, "expired", 1},
		{"no number beside", reply(400, `{"error":"invalid_scope","error_description":7,"error_codes":["`+leak+`"]}`),
			"invalid_scope", 400, "cloud", 1},
		{"a portal", reply(403, "<html>"+leak), "http_403", 403, "check authority_url, tenant_id and any proxy", 1},
		{"for the moment", reply(400, `{"error":"temporarily_unavailable","error_description":"AADSTS90033: `+leak+`"}`),
			"AADSTS90033", 400, "", 4},
		{"error with 200", reply(200, `{"error":"invalid_scope","error_description":"`+leak+`"}`), "invalid_scope", 200, "",
			1},
		{"interaction", refusal("interaction_required", leak), "interaction_required", 400, "conditional access", 1},
		{"HTML", reply(200, "<html>"+leak, "Content-Type: text/html"), "bad_response", 0, "", 1},
		{"form", reply(200, "%zz"+leak, "Content-Type: text/plain"), "bad_response", 0, "", 1},
		{"no token in it", reply(200, `{}`), "bad_response", 0, "", 1},
		{"redirect", redirect, "redirect", 0, "", 1},
		{"throttled", reply(429, leak, "Retry-After: 1"), "http_429", 429, "", 4},
		{"outage", reply(503, leak), "http_503", 503, "", 4},
		{"broken off", breakOff, "connection", 0, "", 4},
		{"silence", hang, "timeout", 0, "", 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := newPipedAPI(t, hang)
				a.signIn = tt.answer
				_, err := a.tokens(t).Token(t.Context())
				e := errorOf(t, err)
				if e.ErrorCode() != tt.code || e.Status != tt.status || a.tokenRequests() != tt.requests {
					t.Errorf("%d requests: %v", a.tokenRequests(), e)
				}
				if e.Method != "POST" || e.URL != a.url+"/login/contoso/oauth2/v2.0/token" || !strings.Contains(e.Hint, tt.hint) {
					t.Errorf("%s %s: hint %q", e.Method, e.URL, e.Hint)
				}
				if s := fmt.Sprintf("%v %+v %s", err, *e, &a.log); strings.Contains(s, testSecret) ||
					strings.Contains(s, "and more") {
					t.Errorf("the secret is in %s", s)
				}
			})
		})
	}
}

func TestToken_errorsTellTheAuthoritysIDs(t *testing.T) {
	t.Parallel()
	const ids = `"error":"invalid_grant","trace_id":" t-1\n` + testSecret + `","correlation_id":"c-1\u0000"}`
	tests := []struct {
		name                 string
		answer               http.HandlerFunc
		request, correlation string
	}{
		{"header", reply(400, `{`+ids, "x-ms-request-id: theirs"), "theirs", "c-1\ufffd"},
		{"body", reply(400, `{`+ids), "t-1 [redacted]", "c-1\ufffd"},
		{"wrong types", reply(400, `{"error":"invalid_grant","trace_id":7,"correlation_id":["c"]}`), "", ""},
	}
	for _, tt := range tests {
		a := newAPI(t, hang)
		a.signIn = tt.answer
		_, err := a.tokens(t).Token(t.Context())
		if e := errorOf(t, err); e.RequestID != tt.request || e.CorrelationID != tt.correlation {
			t.Errorf("%s: request %q, correlation %q", tt.name, e.RequestID, e.CorrelationID)
		}
	}
}

func TestToken_401IsAnsweredWithOneNewToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// All requests are in flight with the first token before any is answered.
		a := newPipedAPI(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			if r.Header.Get("Authorization") == "Bearer token-1" {
				reply(401, `{"code":"400","description":"Access denied"}`)(w, r)
				return
			}
			reply(200, onePage)(w, r)
		})
		c := a.client(t)
		var requests atomic.Int64
		var g errgroup.Group
		for range 8 {
			g.Go(func() error {
				var l Listing
				_, err := batchIDs(c.DeviceBatches(t.Context(), testCustomer, &l))
				requests.Add(int64(l.Requests))
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		if a.tokenRequests() != 2 || requests.Load() != 18 {
			t.Errorf("%d token requests, %d in all", a.tokenRequests(), requests.Load())
		}
	})
}

func TestToken_a401ThatStaysFailsWithoutEndlessTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newPipedAPI(t, reply(401, `{"code":"900421","description":"MFA required"}`))
		c := a.client(t)
		for i := range 10 {
			var l Listing
			_, err := batchIDs(c.DeviceBatches(t.Context(), testCustomer, &l))
			if e := errorOf(t, err); e.ErrorCode() != "900421" || e.Hint != hintNotOfUsers {
				t.Errorf("error %v", err)
			}
			if retried := l.Retries > 0; retried != (i == 0) {
				t.Errorf("customer %d: %d retries", i, l.Retries)
			}
		}
		if n := a.tokenRequests(); n != 2 {
			t.Errorf("%d token requests", n)
		}
		time.Sleep(refusalHold)
		batchIDs(c.DeviceBatches(t.Context(), testCustomer, nil))
		if n := a.tokenRequests(); n != 3 {
			t.Errorf("%d token requests half a minute later", n)
		}
	})
}

func TestNewTokenSource_namesWhatIsMissing(t *testing.T) {
	t.Parallel()
	whole := Credentials{AuthorityURL: "https://login.test", TenantID: "t", ClientID: "c", ClientSecret: testSecret,
		Scope: "s"}
	tests := []struct {
		name  string
		spoil func(*Credentials)
		want  string
	}{
		{"authority", func(c *Credentials) { c.AuthorityURL = "" }, "authority URL"},
		{"tenant", func(c *Credentials) { c.TenantID = "" }, "tenant id"},
		{"client", func(c *Credentials) { c.ClientID = "" }, "client id"},
		{"secret", func(c *Credentials) { c.ClientSecret = "" }, "client secret"},
		{"scope", func(c *Credentials) { c.Scope = "" }, "scope"},
	}
	for _, tt := range tests {
		cred := whole
		tt.spoil(&cred)
		if _, err := NewTokenSource(cred, TokenOptions{}); err == nil || !strings.Contains(err.Error(), tt.want) ||
			strings.Contains(err.Error(), testSecret) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, err := NewTokenSource(whole, TokenOptions{}); err != nil {
		t.Error(err)
	}
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
