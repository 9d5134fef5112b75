package sync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"partnersync/store"
	"partnersync/store/cron"
	"partnersync/sync/partnercenter"
	"partnersync/sync/partnercenter/partnercentertest"
)

func newTestKey(t *testing.T) *TokenKey {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := NewTokenKey(path); err != nil {
		t.Fatal(err)
	}
	key, err := ReadTokenKey(path)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestNewTokenKey_isOursAloneAndReplacesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if err := NewTokenKey(path); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	if err := NewTokenKey(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second time: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the key was replaced, error %v", err)
	}
}

func TestReadTokenKey_refusesWhatIsNone(t *testing.T) {
	t.Parallel()
	good := filepath.Join(t.TempDir(), "key")
	if err := NewTokenKey(good); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, content string }{
		{"empty", ""}, {"text", "a secret"}, {"damaged", string(text[:len(text)-4])}, {"two", string(text) + string(text)},
	}
	for _, tt := range tests {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadTokenKey(path)
		if err == nil || !strings.Contains(err.Error(), "login --new-key") || strings.Contains(err.Error(), "SECRET") || strings.Contains(err.Error(), "a secret") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, err := ReadTokenKey("/nowhere/key"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestTokenKey_opensWhatItSealedForThatPartner(t *testing.T) {
	t.Parallel()
	key, other := newTestKey(t), newTestKey(t)
	data, err := key.seal("contoso", "1.A-token")
	if err != nil || bytes.Contains(data, []byte("1.A-token")) {
		t.Fatalf("sealed %q, error %v", data, err)
	}
	if got, err := key.open("contoso", data); err != nil || got.Reveal() != "1.A-token" {
		t.Errorf("opened %q, error %v", got.Reveal(), err)
	}
	tests := []struct {
		name, partner, want string
		key                 *TokenKey
		data                []byte
	}{
		{"another key", "contoso", "another key", other, data},
		{"another partner", "fabrikam", "another partner's", key, data},
		{"damaged", "contoso", "damaged", key, data[:len(data)-1]},
		{"nothing", "contoso", "another key", key, nil},
	}
	for _, tt := range tests {
		if _, err := tt.key.open(tt.partner, tt.data); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestTokenKey_isNotPrinted(t *testing.T) {
	t.Parallel()
	key := newTestKey(t)
	u := UserTokens{Partner: "contoso", Key: key}
	if shown := fmt.Sprintf("%v %+v %#v %+v %#v", key, *key, key, u, u); strings.Contains(shown, "AGE") {
		t.Error(shown)
	}
}

func FuzzTokenKey_open(f *testing.F) {
	path := filepath.Join(f.TempDir(), "key")
	if err := NewTokenKey(path); err != nil {
		f.Fatal(err)
	}
	key, err := ReadTokenKey(path)
	if err != nil {
		f.Fatal(err)
	}
	good, err := key.seal("contoso", "token")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, err := key.open("contoso", data); err == nil && !bytes.Equal(data, good) {
			t.Errorf("opened %q", got.Reveal())
		}
	})
}

// user signs a user in for contoso, and returns what keeps his token.
func (w *world) user() *UserTokens {
	w.t.Helper()
	u := &UserTokens{Store: w.store, Partner: "contoso", Key: newTestKey(w.t)}
	refresh := partnercenter.Secret(w.api.RefreshToken("admin@contoso.example", true))
	w.ok(u.SignIn(w.t.Context(), partnercenter.SignedIn{User: "admin@contoso.example", Refresh: refresh}))
	return u
}

// tokensOf returns a replica's source of tokens for contoso's user.
func (w *world) tokensOf(u *UserTokens) *partnercenter.TokenSource {
	w.t.Helper()
	tokens, err := partnercenter.NewTokenSource(partnercenter.Credentials{
		AuthorityURL: w.url, TenantID: partnercentertest.DefaultTenantID, ClientID: partnercentertest.DefaultClientID,
		Scope: "https://api.partnercenter.microsoft.com/.default", Rotate: u.Rotate,
	}, partnercenter.TokenOptions{Logger: w.log})
	w.ok(err)
	return tokens
}

// asUser makes the partner read on behalf of a user.
func (w *world) asUser(u *UserTokens) {
	w.t.Helper()
	w.partner.Tokens = w.tokensOf(u)
	client, err := partnercenter.New(partnercenter.Options{BaseURL: w.url, Tokens: w.partner.Tokens, Limiter: w.partner.Limiter})
	w.ok(err)
	w.partner.Client = client
}

func TestRotate_passAsUserKeepsTheTokenSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	var log bytes.Buffer
	w.log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.customers(3)
	w.asUser(w.user())
	for range 2 {
		w.api.RevokeTokens()
		if run := w.once(); run.State != store.Complete || run.CustomersFailed != 0 {
			t.Fatalf("run: %+v", run)
		}
	}
	var row string
	w.ok(w.pool.QueryRow(t.Context(), "SELECT encode(sealed_token, 'escape') || encode(previous_token, 'escape') || u::text FROM partnersync.user_sign_ins u").Scan(&row))
	for _, secret := range []string{"1.A", "eyJ"} {
		if strings.Contains(row, secret) || strings.Contains(log.String(), secret) {
			t.Errorf("%s… is in the database or the log", secret)
		}
	}
	if !strings.Contains(row, "age-encryption.org/v1") {
		t.Errorf("not sealed: %q", row)
	}
}

func TestRotate_replicasTakeTurns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	u := w.user()
	var g errgroup.Group
	for range 4 {
		replica := *u
		replica.Store = store.New(w.pool, store.Options{})
		tokens := w.tokensOf(&replica)
		g.Go(func() error {
			_, err := tokens.Token(t.Context())
			return err
		})
	}
	w.ok(g.Wait())
	// Each exchanged what the one before had stored: had two used the same, the authority would have ended the sign-in.
	_, err := w.tokensOf(u).Token(t.Context())
	w.ok(err)
	w.want("t|5", "leased_until IS NULL, lease_epoch) FROM partnersync.user_sign_ins")
}

func TestRotate_killedAtAnyPoint(t *testing.T) {
	t.Parallel()
	killed := errors.New("killed")
	tests := []struct {
		name string
		die  func(w *world, u *UserTokens, lease store.TokenLease)
	}{
		{"before the exchange", func(*world, *UserTokens, store.TokenLease) {}},
		{"after the exchange", func(w *world, u *UserTokens, lease store.TokenLease) {
			token, err := u.Key.open("contoso", lease.Tokens[0])
			w.ok(err)
			once := func(ctx context.Context, redeem func(context.Context, partnercenter.Secret) (partnercenter.Secret, error)) error {
				if _, err := redeem(ctx, token); err != nil {
					return err
				}
				return errors.Join(killed, partnercenter.ErrNotSignedIn) // once, without retries
			}
			tokens, err := partnercenter.NewTokenSource(partnercenter.Credentials{
				AuthorityURL: w.url, TenantID: partnercentertest.DefaultTenantID, ClientID: partnercentertest.DefaultClientID, Scope: "s/.default", Rotate: once,
			}, partnercenter.TokenOptions{})
			w.ok(err)
			if _, err := tokens.Token(w.t.Context()); !errors.Is(err, killed) {
				w.t.Errorf("error %v", err)
			}
		}},
		{"after the storing", func(w *world, u *UserTokens, lease store.TokenLease) {
			w.ok(w.store.ReleaseToken(w.t.Context(), lease))
			_, err := w.tokensOf(u).Token(w.t.Context())
			w.ok(err)
			_, err = w.store.LeaseToken(w.t.Context(), "contoso", time.Minute)
			w.ok(err)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, partnercentertest.Options{})
			u := w.user()
			lease, err := w.store.LeaseToken(t.Context(), "contoso", 500*time.Millisecond)
			w.ok(err)
			tt.die(w, u, lease)
			// The dead one's lease ends by itself; until then others wait.
			_, err = w.pool.Exec(t.Context(), "UPDATE partnersync.user_sign_ins SET leased_until = clock_timestamp() + interval '300 ms'")
			w.ok(err)
			for range 2 {
				_, err = w.tokensOf(u).Token(t.Context())
				w.ok(err)
			}
		})
	}
}

func TestRotate_olderTokenIsTriedWhereTheNewestIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	u := w.user()
	lease, err := w.store.LeaseToken(t.Context(), "contoso", time.Minute)
	w.ok(err)
	garbled, err := u.Key.seal("contoso", "1.A-garbled")
	w.ok(err)
	w.ok(w.store.StoreToken(t.Context(), lease, 0, garbled))
	_, err = w.tokensOf(u).Token(t.Context())
	w.ok(err)
	// Where both are, the error is the newest's.
	w.api.RevokeSignIns()
	_, err = w.tokensOf(u).Token(t.Context())
	if e, ok := errors.AsType[*partnercenter.Error](err); !ok || e.Code != "AADSTS50173" {
		t.Errorf("error %v", err)
	}
	w.want("t", "leased_until IS NULL) FROM partnersync.user_sign_ins")
}

func TestRotate_nothingToGive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	u := w.user()
	stranger := &UserTokens{Store: w.store, Partner: "contoso", Key: newTestKey(t)}
	fabrikam := &UserTokens{Store: w.store, Partner: "fabrikam", Key: u.Key}
	tests := []struct {
		name, want string
		keeper     *UserTokens
	}{
		{"another key", "sealed with another key", stranger},
		{"nobody", "no user has signed in", fabrikam},
	}
	for _, tt := range tests {
		_, err := w.tokensOf(tt.keeper).Token(t.Context())
		if e, ok := errors.AsType[*partnercenter.Error](err); !ok || e.Code != "not_signed_in" || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	w.pool.Close()
	_, err := w.tokensOf(u).Token(t.Context())
	if e, ok := errors.AsType[*partnercenter.Error](err); !ok || e.Code != "token_store" {
		t.Errorf("without a database: %v", err)
	}
}

func TestRotate_aGivenTokenIsStoredThoughNobodyWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	u := w.user()
	ctx, cancel := context.WithCancel(t.Context())
	err := u.Rotate(ctx, func(context.Context, partnercenter.Secret) (partnercenter.Secret, error) {
		cancel()
		return "1.A-next", nil
	})
	w.ok(err)
	lease, err := w.store.LeaseToken(t.Context(), "contoso", time.Minute)
	w.ok(err)
	if got, err := u.Key.open("contoso", lease.Tokens[0]); err != nil || got.Reveal() != "1.A-next" {
		t.Errorf("stored %q, error %v", got.Reveal(), err)
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	now := time.Now()
	tests := []struct {
		name string
		e    Expiry
		due  bool
		want string
	}{
		{"far", CredentialExpiry("client secret", now.Add(31*day)), false, "in 30 days"},
		{"near", CredentialExpiry("client secret", now.Add(30*day)), true, "in 29 days"},
		{"over", CredentialExpiry("client secret", now.Add(-day)), true, "expired on"},
		{"unknown", CredentialExpiry("client secret", time.Time{}), false, "not known"},
	}
	for _, tt := range tests {
		if got := tt.e.Due(now); got != tt.due || !strings.Contains(tt.e.String(), tt.want) {
			t.Errorf("%s: due %v: %s", tt.name, got, tt.e)
		}
	}
}

func TestUserTokens_expiryIsNinetyIdleDays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	u := w.user()
	for _, tt := range []struct {
		idle time.Duration
		due  bool
	}{{75 * 24 * time.Hour, false}, {77 * 24 * time.Hour, true}} {
		_, err := w.pool.Exec(t.Context(), "UPDATE partnersync.user_sign_ins SET rotated_at = clock_timestamp() - $1::interval", tt.idle)
		w.ok(err)
		e, err := u.Expiry(t.Context())
		w.ok(err)
		left := time.Until(e.At) - (90*24*time.Hour - tt.idle)
		if left.Abs() > time.Minute || e.Due(time.Now()) != tt.due {
			t.Errorf("after %v: %+v", tt.idle, e)
		}
	}
	_, err := u.Store.SignOut(t.Context(), "contoso")
	w.ok(err)
	if e, err := u.Expiry(t.Context()); err != nil || !e.At.IsZero() {
		t.Errorf("after signing out: %+v, %v", e, err)
	}
}

// serve serves an emulator until the test ends.
func serve(t *testing.T, e *partnercentertest.Emulator) (url string) {
	t.Helper()
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	return server.URL
}

func TestRun_refusedPartnerWaitsAndStopsNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.customers(2)
	wrong := partnercentertest.New(partnercentertest.Options{ClientSecret: "another"})
	refused := w.newPartner("fabrikam", serve(t, wrong))
	var log bytes.Buffer
	w.log = slog.New(slog.NewTextHandler(&log, nil))
	r := w.runner()
	r.Partners = []Partner{w.partner, refused}
	r.RunOnStart = true
	runs := map[string]int{}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan store.Run, 100)
	r.OnRun = func(run store.Run) { done <- run }
	every, err := cron.Parse("@every 1s", time.UTC)
	w.ok(err)
	for i := range r.Partners {
		r.Partners[i].Schedule = every
		r.Partners[i].Expiries = []func(context.Context) (Expiry, error){func(context.Context) (Expiry, error) {
			return CredentialExpiry("client secret", time.Now().Add(24*time.Hour)), nil
		}}
	}
	var g errgroup.Group
	g.Go(func() error { return r.Run(ctx) })
	for runs["contoso"] < 4 || runs["fabrikam"] < 1 {
		select {
		case run := <-done:
			runs[run.Partner]++
		case <-time.After(time.Minute):
			t.Fatalf("runs: %v", runs)
		}
	}
	stop()
	w.ok(g.Wait())
	if n := len(wrong.Requests()); n != 1 || runs["fabrikam"] != 1 {
		t.Errorf("%d requests for the partner that is refused, runs: %v", n, runs)
	}
	text := log.String()
	if n := strings.Count(text, "its sign-in was refused"); n != 1 || strings.Count(text, "the sign-in ends soon") != 2 {
		t.Errorf("%d times told of the refusal:\n%s", n, text)
	}
}

func TestRun_customerWhoIsRefusedStopsNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.store = store.New(w.pool, store.Options{Endpoints: []store.Endpoint{{Name: "a", StuckAfter: time.Hour, FailingAfter: 100}}})
	refused := w.customers(2)[1]
	w.partner.Concurrency = 1 // so that nobody uses the token that is asked for after its 401
	w.api.Fail(partnercentertest.Fault{Path: refused, Status: http.StatusUnauthorized})
	every, err := cron.Parse("@every 1s", time.UTC)
	w.ok(err)
	w.partner.Schedule = every
	r := w.runner()
	r.RunOnStart = true
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan store.Run, 100)
	r.OnRun = func(run store.Run) { done <- run }
	var g errgroup.Group
	g.Go(func() error { return r.Run(ctx) })
	for range 3 {
		select {
		case run := <-done:
			if run.State != store.Partial || run.CustomersOK != 1 {
				t.Errorf("run: %+v", run)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the partner waits")
		}
	}
	stop()
	w.ok(g.Wait())
	w.want("0", "count(*)) FROM partnersync.outbox WHERE type = 'partner.sign_in_failed'")
}

func TestRun_userWhoSignsInAgainEndsTheWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.customers(1)
	u := w.user()
	w.asUser(u)
	w.partner.Users = u
	w.api.RevokeSignIns()
	if run := w.once(); run.State != store.Failed {
		t.Fatalf("run: %+v", run)
	}
	watch := &signIns{Runner: w.runner(), partner: w.partner}
	if !watch.paused(t.Context()) {
		t.Fatal("not paused")
	}
	refresh := partnercenter.Secret(w.api.RefreshToken("admin@contoso.example", true))
	w.ok(u.SignIn(t.Context(), partnercenter.SignedIn{User: "admin@contoso.example", Refresh: refresh}))
	if watch.paused(t.Context()) {
		t.Error("paused after another sign-in")
	}
	if run := w.once(); run.State != store.Complete {
		t.Errorf("run: %+v", run)
	}
}
