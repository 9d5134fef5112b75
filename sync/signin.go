package sync

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"filippo.io/age"

	"partnersync/store"
	"partnersync/sync/partnercenter"
)

// TokenKey seals the refresh tokens of users, so that neither a dump of the database nor whoever reads it has one.
type TokenKey struct{ identity *age.X25519Identity }

// NewTokenKey makes a key and writes it to a file that nobody else can read. A file that is there is left alone, and is an
// error.
func NewTokenKey(path string) error {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return fmt.Errorf("making a token key: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("making a token key: %w", err)
	}
	text := "# seals partnersync's refresh tokens; keep it apart from the database's backups\n" + identity.String() + "\n"
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(fmt.Errorf("writing the token key: %w", err), os.Remove(path))
	}
	return nil
}

// ReadTokenKey reads the file that NewTokenKey wrote, or age-keygen. Its errors show nothing of what is in the file.
func ReadTokenKey(path string) (*TokenKey, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the token key: %w; partnersync login --new-key makes one", err)
	}
	defer file.Close()
	identities, err := age.ParseIdentities(io.LimitReader(file, 64<<10))
	if err != nil || len(identities) != 1 {
		return nil, fmt.Errorf("reading the token key %s: it does not hold one age identity; partnersync login --new-key makes such a file", path)
	}
	identity, ok := identities[0].(*age.X25519Identity)
	if !ok {
		return nil, fmt.Errorf("reading the token key %s: it is no X25519 identity of age", path)
	}
	return &TokenKey{identity}, nil
}

// sealed is what is sealed: with the partner, so that a token that was put in another's place is not used there.
type sealed struct {
	Partner string `json:"partner"`
	Token   string `json:"token"`
}

func (k *TokenKey) seal(partner string, token partnercenter.Secret) ([]byte, error) {
	text, err := json.Marshal(sealed{partner, token.Reveal()})
	if err != nil {
		return nil, fmt.Errorf("sealing the refresh token: %w", err)
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, k.identity.Recipient())
	if err == nil {
		_, err = w.Write(text)
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("sealing the refresh token: %w", err)
	}
	return out.Bytes(), nil
}

func (k *TokenKey) open(partner string, data []byte) (partnercenter.Secret, error) {
	r, err := age.Decrypt(bytes.NewReader(data), k.identity)
	if err != nil {
		return "", errors.New("the stored refresh token was sealed with another key than that in token_key_file")
	}
	text, err := io.ReadAll(r)
	var s sealed
	switch {
	case err != nil || json.Unmarshal(text, &s) != nil:
		return "", errors.New("the stored refresh token is damaged")
	case s.Partner != partner:
		return "", errors.New("the stored refresh token is another partner's")
	}
	return partnercenter.Secret(s.Token), nil
}

// UserTokens keeps the refresh token of the user on whose behalf a partner is read: sealed, in the database, which all
// replicas share.
type UserTokens struct {
	Store   *store.Store
	Partner string
	Key     *TokenKey
}

const (
	// tokenLease is how long one replica may take to exchange the token, storing it included.
	tokenLease     = partnercenter.RedeemTimeout + 15*time.Second
	tokenLeasePoll = 250 * time.Millisecond
)

// SignIn keeps the refresh token of a user who has signed in.
func (u *UserTokens) SignIn(ctx context.Context, in partnercenter.SignedIn) error {
	data, err := u.Key.seal(u.Partner, in.Refresh)
	if err != nil {
		return err
	}
	return u.Store.SignIn(ctx, u.Partner, in.User, data)
}

// Rotate is the partnercenter.Rotate of the partner. One replica at a time exchanges the token. One that is killed between
// the exchange and the storing leaves the token that it used, which the authority takes again as long as nobody has used
// the one that was lost; its lease ends by itself.
func (u *UserTokens) Rotate(ctx context.Context, redeem func(context.Context, partnercenter.Secret) (partnercenter.Secret, error)) error {
	lease, err := u.lease(ctx)
	if err != nil {
		return err
	}
	used, next, err := u.redeem(ctx, lease, redeem)
	if err == nil {
		var data []byte
		if data, err = u.Key.seal(u.Partner, next); err == nil {
			// What the authority has given is stored even if nobody waits for it any more.
			return detached(ctx, func(ctx context.Context) error { return u.Store.StoreToken(ctx, lease, used, data) })
		}
	}
	left := detached(ctx, func(ctx context.Context) error { return u.Store.ReleaseToken(ctx, lease) })
	if left != nil && !errors.Is(left, store.ErrClaimLost) {
		err = errors.Join(err, left)
	}
	return err
}

// lease waits until nobody else exchanges the token.
func (u *UserTokens) lease(ctx context.Context) (store.TokenLease, error) {
	for {
		lease, err := u.Store.LeaseToken(ctx, u.Partner, tokenLease)
		switch {
		case errors.Is(err, store.ErrNobodySigned):
			return lease, fmt.Errorf("partner %s: %w", u.Partner, partnercenter.ErrNotSignedIn)
		case !errors.Is(err, store.ErrTokenLeased):
			return lease, err
		}
		if waited := wait(ctx, tokenLeasePoll); waited != nil {
			return lease, errors.Join(err, waited)
		}
	}
}

// redeem exchanges the newest token or, if the authority does not take that, the one before: the newest may be what a
// restored database remembers wrongly.
func (u *UserTokens) redeem(
	ctx context.Context, lease store.TokenLease, redeem func(context.Context, partnercenter.Secret) (partnercenter.Secret, error),
) (used int, next partnercenter.Secret, err error) {
	var first error
	for i, data := range lease.Tokens {
		token, err := u.Key.open(u.Partner, data)
		if err != nil {
			err = fmt.Errorf("partner %s: %w: %w", u.Partner, err, partnercenter.ErrNotSignedIn)
		} else if next, err = redeem(ctx, token); err == nil {
			return i, next, nil
		}
		if first == nil {
			first = err
		}
		if !partnercenter.InvalidGrant(err) {
			break
		}
	}
	return 0, "", first
}

// Expiry is when something that a partner signs in with ends.
type Expiry struct {
	What string        // such as "client certificate"
	At   time.Time     // zero: not known
	From time.Time     // when it was received; zero: not known
	Warn time.Duration // so long before, it is time to do something about it
	Fix  string        // what that is
}

// What ends when, and how long before there is a warning.
const (
	refreshTokenLife = 90 * 24 * time.Hour // without use; by "Refresh tokens in the Microsoft identity platform"
	warnOfToken      = 14 * 24 * time.Hour
	warnOfCredential = 30 * 24 * time.Hour
)

// CredentialExpiry is the expiry of a secret or a certificate: 30 days before, it is time for a new one.
func CredentialExpiry(what string, at time.Time) Expiry {
	return Expiry{What: what, At: at, Warn: warnOfCredential, Fix: "make a new " + what + " in Entra and put it in the old one's place"}
}

// Expiry is when the refresh token ends unless it is used before; At is zero where nobody has signed in.
func (u *UserTokens) Expiry(ctx context.Context) (Expiry, error) {
	e := Expiry{
		What: "refresh token", Warn: warnOfToken,
		Fix: "let the daemon run, or sign in again with partnersync login --partner " + u.Partner,
	}
	in, ok, err := u.Store.UserSignIn(ctx, u.Partner)
	if ok {
		e.From = in.RotatedAt.Add(time.Since(in.Now)) // by our clock
		e.At = e.From.Add(refreshTokenLife)
	}
	return e, err
}

// Due says whether it is time to do something about it.
func (e Expiry) Due(now time.Time) bool { return !e.At.IsZero() && !now.Before(e.At.Add(-e.Warn)) }

// String tells what ends when.
func (e Expiry) String() string {
	if e.At.IsZero() {
		return "expiry of the " + e.What + " not known"
	}
	const day = 24 * time.Hour
	what := e.What
	if !e.From.IsZero() {
		what += fmt.Sprintf(", received %d days ago,", int(time.Since(e.From)/day))
	}
	on := e.At.UTC().Format(time.DateOnly)
	if left := time.Until(e.At); left > 0 {
		return fmt.Sprintf("%s expires on %s, in %d days", what, on, int(left/day))
	}
	return fmt.Sprintf("%s expired on %s", what, on)
}
