package sync

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"filippo.io/age"

	"partnersync/store"
	"partnersync/sync/partnercenter"
)

// UserTokens keeps the refresh token of the user on whose behalf a partner is read. It is sealed and kept in the
// database, which all replicas share.
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

// redeemFunc exchanges a refresh token for an access token, and returns the next refresh token.
type redeemFunc = func(context.Context, partnercenter.Secret) (partnercenter.Secret, error)

// Rotate is the partnercenter.Rotate of the partner. One replica at a time exchanges the token. A replica that is
// killed after the exchange, before it has stored the new token, leaves the one that it used, which the authority
// accepts again as long as nobody has used the one that was lost. Its lease ends by itself.
func (u *UserTokens) Rotate(ctx context.Context, redeem redeemFunc) error {
	lease, err := u.lease(ctx)
	if err != nil {
		return err
	}
	used, next, err := u.redeem(ctx, lease, redeem)
	if err == nil {
		var data []byte
		if data, err = u.Key.seal(u.Partner, next); err == nil {
			// What the authority has issued is stored even if nobody is waiting for it any more.
			return u.write(ctx, func(ctx context.Context) error { return u.Store.StoreToken(ctx, lease, used, data) })
		}
	}
	left := u.write(ctx, func(ctx context.Context) error { return u.Store.ReleaseToken(ctx, lease) })
	if left != nil && !errors.Is(left, store.ErrClaimLost) {
		err = errors.Join(err, left)
	}
	return err
}

// write makes a write that must be tried even if ctx is done.
func (u *UserTokens) write(ctx context.Context, write func(context.Context) error) error {
	return writeUntil(ctx, time.Now().Add(lastWriteTime), write)
}

// lease waits until no other replica is exchanging the token.
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

// redeem exchanges the newest token or, if the authority does not accept that, the one before: in a database that was
// restored from a backup, the newest may not be the last one that was issued.
func (u *UserTokens) redeem(
	ctx context.Context, lease store.TokenLease, redeem redeemFunc,
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

// TokenKey seals the refresh tokens of users, so that a dump of the database gives none away.
type TokenKey struct{ identity *age.X25519Identity }

// NewTokenKey makes a key and writes it to a file that nobody else can read. A file that exists already is left alone,
// and is an error.
func NewTokenKey(path string) error {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return fmt.Errorf("making a token key: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("making a token key: %w", err)
	}
	const comment = "# seals partnersync's refresh tokens; keep it apart from the database's backups\n"
	_, err = file.WriteString(comment + identity.String() + "\n")
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(fmt.Errorf("writing the token key: %w", err), os.Remove(path))
	}
	return nil
}

// ReadTokenKey reads a file written by NewTokenKey or age-keygen. Its errors show nothing of what is in the file.
func ReadTokenKey(path string) (*TokenKey, error) {
	text, err := partnercenter.ReadSecretFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the token key: %s: %w; partnersync login --new-key makes one", path, err)
	}
	identities, err := age.ParseIdentities(strings.NewReader(text))
	if err != nil || len(identities) != 1 {
		return nil, fmt.Errorf("reading the token key %s: it does not hold one age identity; "+
			"partnersync login --new-key makes such a file", path)
	}
	identity, ok := identities[0].(*age.X25519Identity)
	if !ok {
		return nil, fmt.Errorf("reading the token key %s: it is no X25519 identity of age", path)
	}
	return &TokenKey{identity}, nil
}

// sealed is what is sealed. It names the partner, so that a token put in the place of another partner's is not used
// there.
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
