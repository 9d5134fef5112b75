package report

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"partnersync/store/cron"
)

// State is how the sync goes, at one moment, as far as the database tells.
type State struct {
	Now time.Time // the database's
	// Settings are what the daemon that started last has in its configuration, by partner. Empty: no daemon has run
	// yet, or the role may not read them.
	Settings  []Settings
	Freshness []PartnerFreshness // of each partner that has customers, by name
	Causes    []Cause            // why customers fail, by partner, the most frequent first
	Passes    []LastPass         // of each partner that ever had a pass, by name
	Stale     []StaleCustomers
	Backlogs  []Backlog
	// OnlyAnalyst means that the role may read the schema partner_center alone: Settings, Passes and Backlogs are
	// missing.
	OnlyAnalyst bool
}

// Settings is what the configuration says of a partner.
type Settings struct {
	Partner      string        `db:"partner"`
	Cron         string        `db:"schedule"`
	Timezone     string        `db:"timezone"`
	Endpoints    []string      `db:"endpoints"`     // webhooks that are notified of its events
	ConfiguredAt time.Time     `db:"configured_at"` // when a daemon first started with it
	Schedule     cron.Schedule `db:"-"`             // zero: this release cannot read it
	// RequestsPerMinute is the limit of the rate; 0: there is none.
	RequestsPerMinute int `db:"requests_per_minute"`
	// UrgentRound and Round are how often the urgent customers and the others are read, as of the last scheduled pass;
	// nil: there was none.
	UrgentRound *time.Duration `db:"urgent_round"`
	Round       *time.Duration `db:"round"`
}

// Next returns the time of the partner's next pass, the zero time where it is not known.
func (p Settings) Next(now time.Time) time.Time {
	if p.Schedule.String() == "" {
		return time.Time{}
	}
	return p.Schedule.Next(now)
}

// LastPass is how a partner's passes have gone lately. At least one of its times is set.
type LastPass struct {
	Partner string `db:"partner"`
	// Of the newest pass that ended:
	EndedAt   *time.Time `db:"ended_at"`  // nil: none has ever ended
	State     string     `db:"state"`     // as in store.Run; "": none has ever ended
	Customers int        `db:"customers"` // of the run
	Error     *string    `db:"error"`
	// Of the scheduled passes, of which the daemon's going on is told:
	ScheduledEndedAt *time.Time `db:"scheduled_ended_at"` // when the newest ended; nil: none has ever ended
	BeganAt          *time.Time `db:"began_at"`           // when the first since then began
	Abandoned        int        `db:"abandoned"`          // those since then whose workers all went away
	ProgressedAt     *time.Time `db:"progressed_at"`      // when a worker of the running one last told of progress
	PausedUntil      *time.Time `db:"paused_until"`       // until when the API makes the partner wait; nil: it does not
}

// StaleCustomers are customers of a partner that do not fail, and yet have not been synced for long.
type StaleCustomers struct {
	Partner    string    `db:"partner"`
	Customers  int       `db:"customers"`
	OldestSync time.Time `db:"oldest_sync"`
}

// Backlog is what a webhook could not be notified of yet.
type Backlog struct {
	Endpoint string    `db:"endpoint"`
	Events   int       `db:"events"`
	Since    time.Time `db:"since"` // when the oldest of them was noted
}

// State reads how the sync goes. What is wrong with that, [Findings] says.
func (r *Reader) State(ctx context.Context) (s State, err error) {
	err = r.read(ctx, timeout, func(ctx context.Context, tx pgx.Tx) (err error) {
		// The machinery's tables are not for analysts, who may read the views of partner_center alone.
		const begin = `
			SELECT now(), NOT has_schema_privilege('partnersync', 'USAGE')`
		if err := tx.QueryRow(ctx, begin).Scan(&s.Now, &s.OnlyAnalyst); err != nil {
			return err
		}
		if !s.OnlyAnalyst {
			if err := s.readMachinery(ctx, tx); err != nil {
				return err
			}
		}
		if err := s.readFreshness(ctx, tx); err != nil {
			return err
		}
		return s.readStale(ctx, tx)
	})
	return s, err
}

// readMachinery reads what is in the schema partnersync.
func (s *State) readMachinery(ctx context.Context, tx pgx.Tx) (err error) {
	const settings = `
		SELECT s.partner, s.schedule, s.timezone, s.requests_per_minute, s.endpoints, s.configured_at, p.urgent_round, p.round
		FROM partnersync.partner_settings s
		LEFT JOIN partnersync.partner_state p ON p.partner = s.partner
		ORDER BY s.partner`
	const backlogs = `
		SELECT endpoint, count(*)::integer AS events, min(created_at) AS since
		FROM partnersync.outbox
		GROUP BY endpoint
		HAVING max(attempts) > 1 -- a second attempt has begun, so the first has failed
		ORDER BY endpoint`
	if s.Settings, err = collect[Settings](ctx, tx, "the partners' settings", settings, nil); err != nil {
		return err
	}
	for i := range s.Settings {
		p := &s.Settings[i]
		if loc, err := time.LoadLocation(p.Timezone); err == nil {
			p.Schedule, _ = cron.Parse(p.Cron, loc) // the zero Schedule where that fails
		}
	}
	if s.Passes, err = collect[LastPass](ctx, tx, "the partners' last passes", lastPasses, nil); err != nil {
		return err
	}
	s.Backlogs, err = collect[Backlog](ctx, tx, "what webhooks could not be notified of", backlogs, nil)
	return err
}

// lastPasses is about each partner that ever had a pass. Only the newest run of each kind can be the one that ended
// last.
const lastPasses = `
	SELECT p.partner, ended.finished_at AS ended_at, coalesce(ended.state, '') AS state,
	       coalesce(ended.customers_total, 0) AS customers, ended.error,
	       scheduled.finished_at AS scheduled_ended_at, since.began_at, since.abandoned, going_on.progressed_at,
	       pause.paused_until
	FROM partnersync.partner_state p
	LEFT JOIN LATERAL (
	    SELECT r.*
	    FROM (VALUES ('scheduled'), ('once'), ('backfill')) k (kind)
	    CROSS JOIN LATERAL (
	        SELECT r.run_id, r.finished_at, r.state, r.customers_total, r.error
	        FROM partner_center.sync_runs r
	        WHERE r.partner = p.partner AND r.kind = k.kind AND r.state IN ('complete', 'partial', 'failed')
	        ORDER BY r.run_id DESC
	        LIMIT 1
	    ) r
	    ORDER BY r.finished_at DESC
	    LIMIT 1
	) ended ON true
	LEFT JOIN LATERAL (
	    SELECT r.run_id, r.finished_at
	    FROM partnersync.runs r
	    WHERE r.partner = p.partner AND r.kind = 'scheduled' AND r.state IN ('complete', 'partial', 'failed')
	    ORDER BY r.run_id DESC
	    LIMIT 1
	) scheduled ON true
	CROSS JOIN LATERAL (
	    SELECT min(r.started_at) AS began_at, count(*) FILTER (WHERE r.state = 'abandoned')::integer AS abandoned
	    FROM partnersync.runs r
	    WHERE r.partner = p.partner AND r.kind = 'scheduled' AND r.run_id > coalesce(scheduled.run_id, 0)
	) since
	LEFT JOIN LATERAL (
	    SELECT max(m.progressed_at) AS progressed_at
	    FROM partnersync.runs r
	    JOIN partnersync.run_workers m ON m.run_id = r.run_id
	    WHERE r.partner = p.partner AND r.kind = 'scheduled' AND r.state = 'running'
	) going_on ON true
	LEFT JOIN partnersync.partner_pauses pause ON pause.partner = p.partner AND pause.paused_until > now()
	WHERE coalesce(ended.finished_at, since.began_at) IS NOT NULL
	ORDER BY p.partner`

// Partners returns the partners that have customers and are in the configuration.
func (s *State) Partners() []string {
	partners := []string{}
	for _, f := range s.Freshness {
		if !f.Dropped {
			partners = append(partners, f.Partner)
		}
	}
	return partners
}

// configured reports whether the partner is in the configuration; where that is not known, every partner counts as
// such.
func (s *State) configured(partner string) bool {
	return len(s.Settings) == 0 || slices.ContainsFunc(s.Settings, func(p Settings) bool { return p.Partner == partner })
}

// notifies reports whether the webhook is in the configuration; where that is not known, every webhook counts as such.
func (s *State) notifies(endpoint string) bool {
	return len(s.Settings) == 0 ||
		slices.ContainsFunc(s.Settings, func(p Settings) bool { return slices.Contains(p.Endpoints, endpoint) })
}

// readStale reads which customers have not been read for longer than can be explained: urgent ones for three ticks, or
// three rounds over all urgent ones if that is longer; the others for three rounds, and for a day at least. Where no
// scheduled pass has ended since this is kept, something else decides when passes are made, and all are given a day.
func (s *State) readStale(ctx context.Context, tx pgx.Tx) (err error) {
	const stale = `
		SELECT f.partner, count(*)::integer AS customers, min(f.last_success_at) AS oldest_sync
		FROM unnest(@partners::text[], @urgent::timestamptz[], @others::timestamptz[]) AS l (partner, urgent, others)
		JOIN partner_center.sync_freshness f ON f.partner = l.partner
		WHERE f.consecutive_failures = 0
		  AND f.last_success_at < CASE WHEN f.urgent THEN l.urgent ELSE l.others END
		GROUP BY f.partner
		ORDER BY f.partner`
	const unknown = 24 * time.Hour
	partners := s.Partners()
	urgent, others := make([]time.Time, len(partners)), make([]time.Time, len(partners))
	for i, partner := range partners {
		urgent[i], others[i] = s.Now.Add(-unknown), s.Now.Add(-unknown)
		if p := s.settings(partner); p.Round != nil && p.UrgentRound != nil {
			urgent[i] = earlier(staleBefore(p.Schedule, s.Now), s.Now.Add(-mostMissed**p.UrgentRound))
			others[i] = earlier(others[i], s.Now.Add(-mostMissed**p.Round))
		}
	}
	args := pgx.NamedArgs{"partners": partners, "urgent": urgent, "others": others}
	s.Stale, err = collect[StaleCustomers](ctx, tx, "the customers that are stale", stale, args)
	return err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// settings returns what the configuration says of the partner, the zero Settings where that is not known.
func (s *State) settings(partner string) Settings {
	for _, p := range s.Settings {
		if p.Partner == partner {
			return p
		}
	}
	return Settings{}
}

// staleBefore returns the newest tick that mostMissed others have followed: whoever was last synced before it has
// missed more. It is at least a minute ago, since a pass itself takes a moment, and a day ago where the schedule is not
// known.
func staleBefore(s cron.Schedule, now time.Time) time.Time {
	const least, most, unknown = time.Minute, 5 * 366 * 24 * time.Hour, 24 * time.Hour
	if s.String() == "" {
		return now.Add(-unknown)
	}
	for back := least; back < most; back *= 2 { // far enough for so many ticks, and hardly farther
		at := now.Add(-back)
		ticks := s.Count(at, now)
		if ticks <= mostMissed {
			continue
		}
		for range ticks - mostMissed {
			at = s.Next(at)
		}
		if at.Add(least).After(now) {
			return now.Add(-least)
		}
		return at
	}
	return now.Add(-most)
}
