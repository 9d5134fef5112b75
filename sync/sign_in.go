package sync

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"partnersync/store/outbox"
	"partnersync/store/plural"
	"partnersync/sync/partnercenter"
)

// signIn watches how a partner signs in, from pass to pass.
type signIn struct {
	outbox       *outbox.Outbox
	partner      Partner
	log          *slog.Logger
	refusedUntil time.Time // when the refusal ends that was logged last
	warnedAt     time.Time // when expiries were last looked at
	works        bool      // the last pass was signed in, and that has been recorded
}

func newSignIn(r *Runner, p Partner) *signIn {
	return &signIn{outbox: r.Store.Outbox(), partner: p, log: r.logger().With("partner", p.Name)}
}

// warnOfExpiryEvery is how often the daemon warns of credentials that expire soon.
const warnOfExpiryEvery = 24 * time.Hour

// refused reports whether the partner is to be left alone for now, since the authority has just refused its sign-in:
// each attempt takes customers through a pass that can only fail, while a replica with other files may do better. After
// a restart, the first attempt is made at once.
func (s *signIn) refused(ctx context.Context) bool {
	if s.partner.Tokens == nil {
		return false
	}
	until, err := s.partner.Tokens.Refused()
	if err != nil && s.partner.Users != nil && s.userSignedIn(ctx) {
		until, err = s.partner.Tokens.Refused()
	}
	if err != nil && !until.Equal(s.refusedUntil) {
		s.log.Warn("the partner waits since its sign-in was refused", "until", until, "err", err)
	}
	s.refusedUntil = until
	return err != nil
}

// userSignedIn looks whether a user has signed in since the refusal, and reports whether that could be found out.
func (s *signIn) userSignedIn(ctx context.Context) bool {
	in, ok, err := s.partner.Users.Store.UserSignIn(ctx, s.partner.Name)
	if ok {
		s.partner.Tokens.SignedIn(in.SignedInAt.Add(time.Since(in.Now))) // by our clock
	}
	return ok && err == nil
}

// passEnded records how the sign-in went in a pass that began at that time, for notifications.
func (s *signIn) passEnded(ctx context.Context, began time.Time) {
	if s.partner.Tokens == nil {
		return
	}
	s.partner.Tokens.PassEnded(began)
	_, refusal := s.partner.Tokens.Refused()
	var err error
	switch {
	case refusal != nil:
		s.works = false
		err = s.outbox.EnqueueSignInFailed(ctx, s.partner.Name, *asFailure(refusal, &partnercenter.Listing{}))
	case !s.works && s.partner.Tokens.Expires().After(time.Now()):
		err = s.outbox.ClearSignInFailed(ctx, s.partner.Name)
		s.works = err == nil
	}
	if err != nil && ctx.Err() == nil {
		s.log.Warn("how the sign-in went could not be noted for notifications", "err", err)
	}
}

// warnOfExpiry logs which of the partner's credentials expire soon, at most once a day.
func (s *signIn) warnOfExpiry(ctx context.Context) {
	now := time.Now()
	if now.Sub(s.warnedAt) < warnOfExpiryEvery {
		return
	}
	s.warnedAt = now
	for _, read := range s.partner.Expiries {
		e, err := read(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			s.log.Warn("expiry of the sign-in not known", "err", err)
		case e.Due(time.Now()):
			s.log.Warn("the sign-in ends soon", "what", e.What, "expires", e.At, "fix", e.Fix)
		}
	}
}

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
