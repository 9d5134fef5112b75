package statuspage

import (
	"context"
	"strings"
	"time"

	"partnersync/sync"
)

const (
	expiryAge     = time.Minute     // for which what was read is good enough: an expiry is days away
	expiryTimeout = 5 * time.Second // of reading one
)

// expiry is when something that a partner signs in with ends.
type expiry struct {
	sync.Expiry
	Partner string
}

// Watch tells the site what the daemon waits for, and when what its partners sign in with ends; the latter once it has its
// database: the refresh tokens of users are there. Call it before the site is served.
func (s *Site) Watch(r *sync.Runner) {
	s.waiting = r.Waiting
	s.expiries = newCached(func(ctx context.Context) ([]expiry, error) {
		if _, err := s.database(); err != nil {
			return nil, err
		}
		return s.readExpiries(ctx, r.Partners), nil
	})
	s.expiries.least = expiryAge
}

// readExpiries asks each partner. What one cannot tell is left out: its sign-in says why, in the log.
func (s *Site) readExpiries(ctx context.Context, partners []sync.Partner) (all []expiry) {
	for _, p := range partners {
		for _, read := range p.Expiries {
			asking, cancel := context.WithTimeout(ctx, expiryTimeout)
			e, err := read(asking)
			cancel()
			switch {
			case err != nil:
				s.warn("when the sign-in ends cannot be told", err, "partner", p.Name)
			case !e.At.IsZero():
				all = append(all, expiry{Expiry: e, Partner: p.Name})
			}
		}
	}
	return all
}

// endingSoon are the sign-ins that it is time to do something about. It does not wait for long: where that cannot be read,
// there are none.
func (s *Site) endingSoon(ctx context.Context, now time.Time) (due []expiry) {
	if s.expiries == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	all, err := s.expiries.get(ctx)
	if err != nil {
		s.warn("overview without when sign-ins end", err)
	}
	for _, e := range all {
		if e.Due(now) {
			due = append(due, e)
		}
	}
	return due
}

var credentialExpiry = describe("credential_expiry_timestamp_seconds",
	"When what the partner signs in with ends, as far as is known: client_certificate, client_secret or refresh_token.", "partner", "what")

// collectExpiries shows when sign-ins end; what is not known in time is left out.
func (c *collector) collectExpiries(ctx context.Context, sink sink) {
	if c.site.expiries == nil {
		return
	}
	all, err := c.site.expiries.get(ctx)
	if err != nil {
		return // the freshness is not known either, which is said
	}
	for _, e := range all {
		sink.gauge(credentialExpiry, float64(e.At.Unix()), e.Partner, strings.ReplaceAll(e.What, " ", "_"))
	}
}
