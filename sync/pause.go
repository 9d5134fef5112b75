package sync

import (
	"context"
	"time"

	"partnersync/sync/partnercenter"
)

// signIns watches a partner's sign-in on behalf of the daemon.
type signIns struct {
	*Runner
	partner Partner
	refused time.Time // until when the refusal stands that was told of
	warned  time.Time // when expiry was last looked at
	in      bool      // the sign-in is known to work, by the last pass, and so does the database
}

// expiryEvery is how often the daemon warns of what ends soon.
const expiryEvery = 24 * time.Hour

// paused says whether the partner is to be left alone now, since the authority has refused its sign-in a moment ago: each
// try takes customers through a pass that cannot but fail, and a replica with other files may do better. A restart tries
// at once.
func (s *signIns) paused(ctx context.Context) bool {
	if now := time.Now(); now.Sub(s.warned) >= expiryEvery {
		s.warned = now
		s.warnOfExpiry(ctx, s.partner)
	}
	if s.partner.Tokens == nil {
		return false
	}
	until, err := s.partner.Tokens.Refused()
	if err != nil && s.partner.Users != nil && s.signedIn(ctx) {
		until, err = s.partner.Tokens.Refused()
	}
	if err != nil && !until.Equal(s.refused) {
		s.logger().Warn("the partner waits since its sign-in was refused", "partner", s.partner.Name, "until", until, "err", err)
	}
	s.refused = until
	return err != nil
}

// note looks how the sign-in went in a pass that is over and began at that time, and tells those who are told of events.
func (s *signIns) note(ctx context.Context, began time.Time) {
	if s.partner.Tokens == nil {
		return
	}
	s.partner.Tokens.PassEnded(began)
	_, refused := s.partner.Tokens.Refused()
	var err error
	switch {
	case refused != nil:
		s.in = false
		err = s.Store.EnqueueSignInFailed(ctx, s.partner.Name, *failure(refused, partnercenter.Listing{}))
	case !s.in && s.partner.Tokens.Expires().After(time.Now()):
		err = s.Store.ClearSignInFailed(ctx, s.partner.Name)
		s.in = err == nil
	}
	if err != nil && ctx.Err() == nil {
		s.logger().Warn("how the sign-in went could not be noted for notifications", "partner", s.partner.Name, "err", err)
	}
}

// signedIn looks whether a user has signed in since, and says whether it could.
func (s *signIns) signedIn(ctx context.Context) bool {
	in, ok, err := s.partner.Users.Store.UserSignIn(ctx, s.partner.Name)
	if ok {
		s.partner.Tokens.SignedIn(in.SignedInAt.Add(time.Since(in.Now))) // by our clock
	}
	return ok && err == nil
}

// warnOfExpiry logs what the partner signs in with if that ends soon.
func (r *Runner) warnOfExpiry(ctx context.Context, p Partner) {
	for _, read := range p.Expiries {
		e, err := read(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			r.logger().Warn("expiry of the sign-in not known", "partner", p.Name, "err", err)
		case e.Due(time.Now()):
			r.logger().Warn("the sign-in ends soon", "partner", p.Name, "what", e.What, "expires", e.At, "fix", e.Fix)
		}
	}
}
