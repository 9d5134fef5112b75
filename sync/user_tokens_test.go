package sync

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"partnersync/store"
	"partnersync/sync/partnercenter"
	"partnersync/sync/partnercenter/partnercentertest"
)

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
	client, err := partnercenter.New(partnercenter.Options{BaseURL: w.url, Tokens: w.partner.Tokens,
		Limiter: w.partner.Limiter})
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
	w.ok(w.pool.QueryRow(t.Context(),
		`SELECT encode(sealed_token, 'escape') || encode(previous_token, 'escape') || u::text
			FROM partnersync.user_sign_ins u`).Scan(&row))
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
	w.want("t|5", "SELECT leased_until IS NULL, lease_epoch FROM partnersync.user_sign_ins")
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
			once := func(ctx context.Context,
				redeem func(context.Context, partnercenter.Secret) (partnercenter.Secret, error)) error {
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
			_, err = w.pool.Exec(t.Context(),
				"UPDATE partnersync.user_sign_ins SET leased_until = clock_timestamp() + interval '300 ms'")
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
	w.want("t", "SELECT leased_until IS NULL FROM partnersync.user_sign_ins")
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
		if e, ok := errors.AsType[*partnercenter.Error](err); !ok || e.Code != "not_signed_in" ||
			!strings.Contains(err.Error(), tt.want) {
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
		_, err := w.pool.Exec(t.Context(),
			"UPDATE partnersync.user_sign_ins SET rotated_at = clock_timestamp() - $1::interval", tt.idle)
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
