package report

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// PartnerFreshness is how fresh the data of a partner's customers is.
type PartnerFreshness struct {
	Partner   string `db:"partner" json:"partner"`
	Customers int    `db:"customers" json:"customers"`
	Failing   int    `db:"failing" json:"failing"` // the last attempt failed
	// FailingRepeatedly are those of Failing whose last three attempts failed, at least.
	FailingRepeatedly int `db:"failing_repeatedly" json:"failing_repeatedly"`
	NeverSynced       int `db:"never_synced" json:"never_synced"` // no attempt has succeeded yet
	// NeverSyncedFailing are those of NeverSynced whose last attempt failed; the others wait for their first.
	NeverSyncedFailing int        `db:"never_synced_failing" json:"never_synced_failing"`
	OldestSync         *time.Time `db:"oldest_sync" json:"oldest_sync"` // the least recent last success; nil: none
	OverHour           int        `db:"over_hour" json:"over_hour"`     // customers last synced more than an hour ago
	OverSixHours       int        `db:"over_six" json:"over_six_hours"` // more than six hours ago
	OverDay            int        `db:"over_day" json:"over_day"`       // more than a day ago
	OverWeek           int        `db:"over_week" json:"over_week"`     // more than seven days ago
	FailingSince       *time.Time `db:"failing_since" json:"-"`         // nil: none fails
	// Dropped partners have left the configuration; their customers stay in the database, and nobody waits for them.
	Dropped bool `db:"-" json:"-"`
}

// Cause is why customers of a partner fail.
type Cause struct {
	Partner   string `db:"partner" json:"-"`
	Code      string `db:"code" json:"code"` // as sync_freshness.last_error_code
	Customers int    `db:"customers" json:"customers"`
	// Repeatedly are those of Customers whose last three attempts failed, at least.
	Repeatedly int    `db:"repeatedly" json:"-"`
	Nodes      string `db:"nodes" json:"-"`          // of a cluster, that did not answer; "": none is known
	Hint       string `db:"-" json:"hint,omitempty"` // what to do about it, where that is known
}

// String returns the code and the hint.
func (c Cause) String() string {
	if c.Hint == "" {
		return c.Code
	}
	return c.Code + ": " + c.Hint
}

func (s *State) readFreshness(ctx context.Context, tx pgx.Tx) (err error) {
	const freshness = `
		SELECT partner,
		       count(*)::integer                                         AS customers,
		       count(*) FILTER (WHERE consecutive_failures > 0)::integer AS failing,
		       count(*) FILTER (WHERE consecutive_failures > 2)::integer AS failing_repeatedly,
		       count(*) FILTER (WHERE last_success_at IS NULL)::integer  AS never_synced,
		       count(*) FILTER (WHERE last_success_at IS NULL AND consecutive_failures > 0)::integer AS never_synced_failing,
		       min(last_success_at)                                      AS oldest_sync,
		       count(*) FILTER (WHERE age > interval '1 hour')::integer  AS over_hour,
		       count(*) FILTER (WHERE age > interval '6 hours')::integer AS over_six,
		       count(*) FILTER (WHERE age > interval '1 day')::integer   AS over_day,
		       count(*) FILTER (WHERE age > interval '7 days')::integer  AS over_week,
		       min(failing_since)                                        AS failing_since
		FROM partner_center.sync_freshness
		GROUP BY partner
		ORDER BY partner`
	const causes = `
		SELECT partner, coalesce(last_error_code, 'error') AS code, count(*)::integer AS customers,
		       count(*) FILTER (WHERE consecutive_failures > 2)::integer AS repeatedly,
		       coalesce(string_agg(DISTINCT substring(last_error FROM 'remote node (?:[^\s@]+@)?(\S+)'), ', ')
		           FILTER (WHERE last_error_code = 'database_node_down'), '') AS nodes
		FROM partner_center.sync_freshness
		WHERE consecutive_failures > 0
		GROUP BY 1, 2
		ORDER BY partner, customers DESC, code`
	if s.Causes, err = collect[Cause](ctx, tx, "why customers fail", causes, nil); err != nil {
		return err
	}
	s.Freshness, err = collect[PartnerFreshness](ctx, tx, "the freshness of the customers", freshness, nil)
	for i := range s.Freshness {
		s.Freshness[i].Dropped = !s.configured(s.Freshness[i].Partner)
	}
	return err
}
