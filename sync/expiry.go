package sync

import (
	"context"
	"fmt"
	"time"

	"partnersync/store/plural"
)

// Expiry is when a credential of a partner expires.
type Expiry struct {
	What string        // such as "client certificate"
	At   time.Time     // zero: not known
	From time.Time     // when it was received; zero: not known
	Warn time.Duration // how long before At it is time to do something about it
	Fix  string        // what that is
}

// How long a refresh token is valid, and how long before an expiry there is a warning.
const (
	refreshTokenLife = 90 * 24 * time.Hour // without use; by "Refresh tokens in the Microsoft identity platform"
	warnOfToken      = 14 * 24 * time.Hour
	warnOfCredential = 30 * 24 * time.Hour
)

// CredentialExpiry is the expiry of a secret or a certificate. It is time for a new one 30 days before.
func CredentialExpiry(what string, at time.Time) Expiry {
	fix := "make a new " + what + " in Entra and put it in the old one's place"
	return Expiry{What: what, At: at, Warn: warnOfCredential, Fix: fix}
}

// Expiry is when the refresh token expires unless it is used before. At is zero where nobody has signed in.
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

// Due reports whether it is time to do something about it.
func (e Expiry) Due(now time.Time) bool { return !e.At.IsZero() && !now.Before(e.At.Add(-e.Warn)) }

// String says what expires, and when.
func (e Expiry) String() string {
	if e.At.IsZero() {
		return "expiry of the " + e.What + " not known"
	}
	const day = 24 * time.Hour
	what := e.What
	if !e.From.IsZero() {
		what += fmt.Sprintf(", received %s ago,", plural.Of(int(time.Since(e.From)/day), "day", "days"))
	}
	on := e.At.UTC().Format(time.DateOnly)
	if left := time.Until(e.At); left > 0 {
		return fmt.Sprintf("%s expires on %s, in %s", what, on, plural.Of(int(left/day), "day", "days"))
	}
	return fmt.Sprintf("%s expired on %s", what, on)
}
