package sync

import (
	"context"
	"log/slog"
	"time"

	"partnersync/store/outbox"
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
