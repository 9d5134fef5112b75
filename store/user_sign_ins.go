package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// UserSignIn is the user on whose behalf a partner is read.
type UserSignIn struct {
	UserName   string    // "" if the authority does not say
	SignedInAt time.Time // by the database's clock
	RotatedAt  time.Time // when the newest refresh token was received; it ends after 90 days without use
	Now        time.Time // the database's
}

// TokenLease is the right to exchange a partner's refresh token, until it ends or somebody takes it over: what is
// stored under it is fenced by owner and epoch.
type TokenLease struct {
	Partner  string
	Epoch    int64
	Tokens   [][]byte // sealed: the newest, and the one before if there is one
	UserName string
}

// Errors of LeaseToken.
var (
	ErrTokenLeased   = errors.New("another worker is exchanging the refresh token")
	ErrNobodySigned  = errors.New("nobody has signed in")
	errTokenLeftOver = fmt.Errorf("the refresh token was replaced meanwhile: %w", ErrClaimLost)
)

// LeaseToken leases the refresh token of the partner's user for so long: one worker at a time may exchange it. A lease
// rather than a row lock, since the exchange is an HTTP request, over which nobody holds a transaction open. It writes,
// so that a database that cannot be written to shows before the token is used. The error wraps ErrTokenLeased or
// ErrNobodySigned where that applies.
func (s *Store) LeaseToken(ctx context.Context, partner string, d time.Duration) (TokenLease, error) {
	const lease = `
		UPDATE partnersync.user_sign_ins
		SET leased_by = @worker::uuid, lease_epoch = lease_epoch + 1, leased_until = clock_timestamp() + @lease::interval
		WHERE partner = @partner
		  AND sealed_token IS NOT NULL
		  AND (leased_until IS NULL OR leased_until < clock_timestamp())
		RETURNING lease_epoch, sealed_token, previous_token, coalesce(user_name, '')`
	// The limit is written in place of a time that a clock which was set back has left, so that it runs out.
	const shorten = `
		UPDATE partnersync.user_sign_ins SET leased_until = clock_timestamp() + @lease::interval
		WHERE partner = @partner AND leased_until > clock_timestamp() + @lease::interval`
	l := TokenLease{Partner: partner}
	var newest, previous []byte
	args := pgx.NamedArgs{"partner": partner, "worker": s.worker, "lease": d}
	err := s.write(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, lease, args).Scan(&l.Epoch, &newest, &previous, &l.UserName)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrTokenLeased
		if _, shortenErr := s.exec(ctx, shorten, args); shortenErr != nil {
			return l, fmt.Errorf("shortening the lease on the refresh token of partner %s: %w", partner, shortenErr)
		}
		if _, signedIn, readErr := s.UserSignIn(ctx, partner); readErr != nil {
			err = readErr
		} else if !signedIn {
			err = ErrNobodySigned
		}
	}
	if err != nil {
		return l, fmt.Errorf("leasing the refresh token of partner %s: %w", partner, err)
	}
	l.Tokens = [][]byte{newest}
	if previous != nil {
		l.Tokens = append(l.Tokens, previous)
	}
	return l, nil
}

// StoreToken stores the token that was received for the one at that index of the lease's, keeps that one as the
// previous, and ends the lease. The error wraps ErrClaimLost if the lease was taken over, or somebody has signed in or
// out meanwhile: then nothing is stored.
func (s *Store) StoreToken(ctx context.Context, l TokenLease, used int, sealed []byte) error {
	const store = `
		UPDATE partnersync.user_sign_ins
		SET sealed_token = @token, previous_token = @used, rotated_at = clock_timestamp(),
		    leased_by = NULL, leased_until = NULL
		WHERE partner = @partner AND leased_by = @worker::uuid AND lease_epoch = @epoch AND sealed_token IS NOT NULL`
	return s.endLease(ctx, l, store, pgx.NamedArgs{"token": sealed, "used": l.Tokens[used]})
}

// ReleaseToken ends the lease without a new token.
func (s *Store) ReleaseToken(ctx context.Context, l TokenLease) error {
	const release = `
		UPDATE partnersync.user_sign_ins
		SET leased_by = NULL, leased_until = NULL
		WHERE partner = @partner AND leased_by = @worker::uuid AND lease_epoch = @epoch`
	return s.endLease(ctx, l, release, pgx.NamedArgs{})
}

func (s *Store) endLease(ctx context.Context, l TokenLease, sql string, args pgx.NamedArgs) error {
	args["partner"], args["worker"], args["epoch"] = l.Partner, s.worker, l.Epoch
	tag, err := s.exec(ctx, sql, args)
	if err == nil && tag.RowsAffected() == 0 {
		err = errTokenLeftOver
	}
	if err != nil {
		return fmt.Errorf("ending the lease on the refresh token of partner %s: %w", l.Partner, err)
	}
	return nil
}

// SignIn keeps the refresh token of a user who has just signed in for the partner, in place of any other. An exchange
// of an older token that is under way is not stored.
func (s *Store) SignIn(ctx context.Context, partner, userName string, sealed []byte) error {
	const signIn = `
		INSERT INTO partnersync.user_sign_ins AS u (partner, user_name, signed_in_at, sealed_token, rotated_at)
		VALUES (@partner, nullif(@user, ''), clock_timestamp(), @token, clock_timestamp())
		ON CONFLICT (partner) DO UPDATE
		SET user_name = excluded.user_name, signed_in_at = excluded.signed_in_at,
		    sealed_token = excluded.sealed_token, previous_token = NULL, rotated_at = excluded.rotated_at,
		    leased_by = NULL, lease_epoch = u.lease_epoch + 1, leased_until = NULL`
	_, err := s.exec(ctx, signIn, pgx.NamedArgs{"partner": partner, "user": userName, "token": sealed})
	if err != nil {
		return fmt.Errorf("storing the sign-in for partner %s: %w", partner, err)
	}
	return nil
}

// SignOut forgets the refresh tokens of the partner's user. It says whether there was one.
func (s *Store) SignOut(ctx context.Context, partner string) (bool, error) {
	const signOut = `
		UPDATE partnersync.user_sign_ins
		SET user_name = NULL, signed_in_at = NULL, sealed_token = NULL, previous_token = NULL, rotated_at = NULL,
		    leased_by = NULL, lease_epoch = lease_epoch + 1, leased_until = NULL
		WHERE partner = @partner AND sealed_token IS NOT NULL`
	tag, err := s.exec(ctx, signOut, pgx.NamedArgs{"partner": partner})
	if err != nil {
		return false, fmt.Errorf("signing the user of partner %s out: %w", partner, err)
	}
	return tag.RowsAffected() > 0, nil
}

// UserSignIn returns who has signed in for the partner; it is not ok if nobody has.
func (s *Store) UserSignIn(ctx context.Context, partner string) (u UserSignIn, ok bool, err error) {
	const read = `
		SELECT coalesce(user_name, ''), signed_in_at, rotated_at, clock_timestamp()
		FROM partnersync.user_sign_ins
		WHERE partner = @partner AND sealed_token IS NOT NULL`
	err = s.readOnly(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, read, pgx.NamedArgs{"partner": partner}).Scan(&u.UserName, &u.SignedInAt, &u.RotatedAt, &u.Now)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return UserSignIn{}, false, nil
	}
	if err != nil {
		return UserSignIn{}, false, fmt.Errorf("reading the sign-in for partner %s: %w", partner, err)
	}
	return u, true, nil
}
