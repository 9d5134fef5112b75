package statuspage

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"partnersync/store"
)

const (
	readyTimeout = 5 * time.Second
	// mostMissed is how many ticks may have come since a partner's last pass ended.
	mostMissed = 3
)

// healthz says that the process is alive, whatever else is not well.
func (s *Site) healthz(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, "alive")
}

// readyz says whether the sync goes on, and if not, what is the matter: one line for each thing that was looked at.
func (s *Site) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	checks := s.readiness(ctx)
	status, text := http.StatusOK, &strings.Builder{}
	for _, c := range checks {
		if c.failed {
			status = http.StatusServiceUnavailable
		}
		fmt.Fprintln(text, c)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	if status == http.StatusOK {
		fmt.Fprintln(w, "ready")
	} else {
		fmt.Fprintln(w, "not ready")
	}
	fmt.Fprint(w, text)
}

// check is one thing that has to be well.
type check struct {
	what, result string
	failed       bool
}

func (c check) String() string {
	if c.failed {
		return "failed: " + c.what + ": " + c.result
	}
	return "ok: " + c.what + ": " + c.result
}

// readiness looks at everything, until something fails without which the rest cannot be known. What is wrong with the
// database is only logged: those who ask may be anybody.
func (s *Site) readiness(ctx context.Context) []check {
	reader, err := s.database()
	if err != nil {
		return []check{{"database", err.Error(), true}}
	}
	if err := reader.Ping(ctx); err != nil {
		s.log.Debug("not ready", "check", "database", "err", err)
		return []check{{"database", "it does not answer; the log says why", true}}
	}
	checks := []check{{what: "database", result: "it answers"}}
	if s.options.Schema != nil {
		if err := s.options.Schema(ctx, reader.Pool()); err != nil {
			s.log.Debug("not ready", "check", "schema", "err", err)
			return append(checks, check{"schema", "it is not this release's; the log says more", true})
		}
		checks = append(checks, check{what: "schema", result: "it is this release's"})
	}
	last, err := reader.LastPasses(ctx)
	if err != nil {
		s.log.Debug("not ready", "check", "passes", "err", err)
		return append(checks, check{"passes", "they cannot be read; the log says why", true})
	}
	return append(checks, s.passChecks(last, time.Now())...)
}

// passChecks says for each partner whether a pass ended, or one was worked on, recently enough.
func (s *Site) passChecks(last []store.LastPass, now time.Time) []check {
	of := map[string]store.LastPass{}
	for _, l := range last {
		of[l.Partner] = l
	}
	var checks []check
	for _, p := range s.options.Partners {
		since, what := s.lastSign(of[p.Name])
		missed := missedTicks(p.Schedule, since, now)
		c := check{what: "pass of partner " + p.Name, failed: missed > mostMissed}
		c.result = what + " " + since.UTC().Format(time.RFC3339)
		if c.failed {
			c.result += fmt.Sprintf(", %d ticks of the schedule ago", missed)
		}
		checks = append(checks, c)
	}
	return checks
}

// lastSign returns when there last was a sign that the partner's passes go on, and what it was. The start of this process
// is one only before the first pass ever: a daemon that starts again and again must not be taken for one that works. For
// the same reason, work on a pass is none once so many passes in a row were left by their workers.
func (s *Site) lastSign(l store.LastPass) (at time.Time, what string) {
	switch {
	case l.EndedAt != nil:
		at, what = *l.EndedAt, "the last pass ended at"
	case l.BeganAt != nil:
		at, what = *l.BeganAt, "no pass has ended since the first began at"
	default:
		at, what = s.started, "no pass has ended since the start at"
	}
	if l.WorkedAt != nil && l.WorkedAt.After(at) && l.Abandoned <= mostMissed {
		at, what = *l.WorkedAt, "a pass was worked on at"
	}
	return at, what
}
