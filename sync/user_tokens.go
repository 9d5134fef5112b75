package sync

import (
	"context"
	"errors"
	"fmt"
	"time"

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
