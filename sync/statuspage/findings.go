package statuspage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"partnersync/store/report"
	"partnersync/sync"
	"partnersync/sync/partnercenter"
)

const (
	readyTimeout  = 5 * time.Second
	expiryAge     = time.Minute     // a credential's expiry is days away, so it need not be read more often
	expiryTimeout = 5 * time.Second // for reading one
)

// healthz says that the process is alive, whatever else is wrong.
func (s *Site) healthz(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, "alive")
}

// readyz says whether the sync goes on, and names everything that is wrong. It leaves out what the database and the API
// said about it: anybody may ask.
func (s *Site) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	_, findings, err := s.findings(ctx, s.lookAlong)
	if err != nil {
		s.log.Debug("not ready", "err", err)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if stopped(findings) {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, "not ")
	}
	fmt.Fprintln(w, "ready")
	for _, f := range findings {
		fmt.Fprintf(w, "%s: %s: %s\n", f.Severity, f.Name, f.Text)
	}
}

// lookEvery is how often the daemon looks by itself whether its passes stand still.
const lookEvery = time.Minute

// LogOverdue logs, when that begins, that a partner's passes stand still, until ctx is done.
func (s *Site) LogOverdue(ctx context.Context) {
	for ticker := time.NewTicker(lookEvery); ; {
		select {
		case <-ticker.C:
			s.logOverdue(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (s *Site) logOverdue(ctx context.Context) {
	_, findings, _ := s.findings(ctx, s.lookAlong) // what keeps it from looking is logged by the sync, which waits too
	for _, f := range findings {
		if f.Name == report.PassOverdue {
			s.logBeginning(slog.LevelError, "passes stand still", errors.New(f.Text), "partner", f.Partner)
		}
	}
}

// stopped reports whether any of the findings means that the sync does not go on.
func stopped(findings []report.Finding) bool {
	return slices.ContainsFunc(findings, func(f report.Finding) bool { return f.Severity == report.Stopped })
}

// look is what the database says of how the sync goes.
type look struct {
	state  report.State
	schema string // what is wrong with it; "": nothing
}

// reach returns what is wrong with the schema. The error is why the database cannot be asked.
func (s *Site) reach(ctx context.Context, r *report.Reader) (schema string, err error) {
	if err := r.Ping(ctx); err != nil {
		return "", err
	}
	if s.options.Schema != nil {
		if wrong := s.options.Schema(ctx, r.Pool()); wrong != nil {
			schema = wrong.Error()
		}
	}
	return schema, nil
}

// lookAlong asks the database together with whoever else asks, so that nobody waits for another.
func (s *Site) lookAlong(ctx context.Context) (l look, err error) {
	if l.schema, err = s.reached.get(ctx); err == nil {
		l.state, err = s.state.get(ctx)
	}
	return l, err
}

// lookNow asks the database for one person.
func (s *Site) lookNow(ctx context.Context) (l look, err error) {
	reader, err := s.database()
	if err != nil {
		return l, err
	}
	if l.schema, err = s.reach(ctx, reader); err == nil {
		l.state, err = reader.State(ctx)
	}
	return l, err
}

// findings returns how the sync goes, as read reads it, and all that is wrong with it. The error is why the state is
// not known; that is among the findings too, unless too many ask.
func (s *Site) findings(
	ctx context.Context, read func(context.Context) (look, error),
) (state report.State, all []report.Finding, err error) {
	process := s.process(ctx)
	l, err := read(ctx)
	process.Schema, process.Hint = l.schema, partnercenter.HintFor
	if err != nil && !errors.Is(err, report.ErrBusy) && process.Database == nil && process.Schema == "" {
		process.Database = &report.Outage{Reason: err.Error()}
	}
	return l.state, report.Findings(l.state, process), err
}

// Watch shows what the runner waits for, how its partners' sign-ins go, and when what they sign in with ends; the last
// once the site has its database, which has the refresh tokens of users. Call it before the site is served.
func (s *Site) Watch(r *sync.Runner) {
	s.runner = r
	s.credentials = cachedFrom(s, func(ctx context.Context, _ *report.Reader) ([]credential, error) {
		return s.readCredentials(ctx, r.Partners), nil
	})
	s.credentials.minAge = expiryAge
}

// process returns what this process knows of itself.
func (s *Site) process(ctx context.Context) (p report.Process) {
	if s.runner == nil {
		return p
	}
	if wait, waiting := s.runner.Waiting(); waiting {
		p.Database = &report.Outage{Since: wait.Since, Reason: wait.Reason, Hint: wait.Hint}
	}
	for _, partner := range s.runner.Partners {
		if partner.Tokens == nil {
			continue
		}
		if _, refused := partner.Tokens.Refused(); refused != nil {
			p.Refused = append(p.Refused, report.RefusedSignIn{Partner: partner.Name, Reason: refused.Error()})
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second) // they are not worth a long wait
	defer cancel()
	credentials, err := s.credentials.get(ctx)
	if err != nil && !errors.Is(err, errNotConnected) {
		s.warn("when the sign-ins end is not known", err)
	}
	now := time.Now()
	for _, c := range credentials {
		if c.Due(now) {
			p.Expiring = append(p.Expiring, report.Credential{Partner: c.partner, What: c.What, Ends: c.At, Fix: c.Fix})
		}
	}
	return p
}

// credential is when something that a partner signs in with ends.
type credential struct {
	sync.Expiry
	partner string
}

// readCredentials asks each partner. What cannot be read is left out: the partner's sign-in says why, in the log.
func (s *Site) readCredentials(ctx context.Context, partners []sync.Partner) (all []credential) {
	for _, p := range partners {
		for _, read := range p.Expiries {
			asking, cancel := context.WithTimeout(ctx, expiryTimeout)
			e, err := read(asking)
			cancel()
			switch {
			case err != nil:
				s.warn("when the sign-in ends is not known", err, "partner", p.Name)
			case !e.At.IsZero():
				all = append(all, credential{e, p.Name})
			}
		}
	}
	return all
}
