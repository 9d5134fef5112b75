package report

import (
	"fmt"
	"slices"
	"time"

	"partnersync/store/plural"
)

// mostMissed is how many intervals of its schedule a partner's passes may go without progress.
const mostMissed = 3

// leastWait is how long passes may always go without progress: a list of which no attempt is answered takes most of it.
const leastWait = time.Minute

// overdue says whether the partner's passes stand still: for three times the time between the last two ticks there was
// no progress. A refused sign-in, which is a finding by itself, and a pause are why there can be none.
func (s State) overdue(p Settings, process Process) []Finding {
	if p.Schedule.String() == "" {
		return nil // it cannot be read
	}
	last := LastPass{}
	if i := slices.IndexFunc(s.Passes, func(l LastPass) bool { return l.Partner == p.Partner }); i >= 0 {
		last = s.Passes[i]
	}
	since, sign := last.sign(p.ConfiguredAt)
	newest, older := p.Schedule.Last(since, s.Now)
	missed := older + 1
	if newest.IsZero() || missed < mostMissed {
		return nil
	}
	interval := newest.Sub(p.Schedule.Newest(since, newest.Add(-1)))
	if s.Now.Sub(since) <= max(mostMissed*interval, leastWait) || process.refuses(p.Partner) {
		return nil
	}
	if last.PausedUntil != nil {
		return []Finding{{
			Name: PartnerPaused, Partner: p.Partner, Since: &since,
			Text: fmt.Sprintf("The API makes partner %s wait until %s: %s %s.",
				p.Partner, stamp(*last.PausedUntil), sign, stamp(since)),
			Action: "Lower requests_per_minute, or look for what else uses the same partner's quota.",
		}}
	}
	return []Finding{{
		Name: PassOverdue, Partner: p.Partner, Since: &since,
		Text: fmt.Sprintf("The pass of partner %s is overdue: %s %s, %s of the schedule ago.",
			p.Partner, sign, stamp(since), plural.Of(missed, "tick", "ticks")),
		Action: "See in the log whether a daemon runs, and what it waits for.",
	}}
}

// refuses reports whether the partner's sign-in is refused.
func (p Process) refuses(partner string) bool {
	return slices.ContainsFunc(p.Refused, func(r RefusedSignIn) bool { return r.Partner == partner })
}

// sign returns when there was last a sign that the partner's scheduled passes go on, and what it was. When the partner
// was configured counts only before the first pass ever: a daemon that starts again and again must not be taken for one
// that works. For the same reason, progress of a pass does not count once more passes in a row than may be missed were
// left by their workers.
func (l LastPass) sign(configuredAt time.Time) (at time.Time, what string) {
	switch {
	case l.ScheduledEndedAt != nil:
		at, what = *l.ScheduledEndedAt, "the last scheduled pass ended at"
	case l.BeganAt != nil:
		at, what = *l.BeganAt, "no scheduled pass has ended since the first began at"
	default:
		at, what = configuredAt, "no scheduled pass has ended since the partner was configured at"
	}
	if l.ProgressedAt != nil && l.ProgressedAt.After(at) && l.Abandoned <= mostMissed {
		at, what = *l.ProgressedAt, "a pass last made progress at"
	}
	return at, what
}
