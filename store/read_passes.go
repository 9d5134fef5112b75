package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// LastPass is how a partner's passes have gone of late. At least one of its times is set.
type LastPass struct {
	Partner string `db:"partner"`
	// Of the newest one that ended:
	EndedAt   *time.Time `db:"ended_at"`  // nil: none ever ended
	State     string     `db:"state"`     // as in Run; "": none ever ended
	Customers int        `db:"customers"` // of the run
	Error     *string    `db:"error"`
	// Of those since:
	BeganAt   *time.Time `db:"began_at"`  // when the first of them began
	WorkedAt  *time.Time `db:"worked_at"` // when a process that works on one was last heard of
	Abandoned int        `db:"abandoned"` // scheduled ones whose workers all went away
}

// LastPasses returns the last pass of each partner that ever had one, by name.
func (r *Reader) LastPasses(ctx context.Context) (all []LastPass, err error) {
	const sql = `
		SELECT p.partner, ended.finished_at AS ended_at, coalesce(ended.state, '') AS state,
		       coalesce(ended.customers_total, 0) AS customers, ended.error,
		       since.began_at, going_on.at AS worked_at, since.abandoned
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
		CROSS JOIN LATERAL (
		    SELECT min(r.started_at) AS began_at, count(*) FILTER (WHERE r.state = 'abandoned')::integer AS abandoned
		    FROM partnersync.runs r
		    WHERE r.partner = p.partner AND r.kind = 'scheduled' AND r.run_id > coalesce(ended.run_id, 0)
		) since
		LEFT JOIN LATERAL (
		    SELECT max(w.heartbeat_at) AS at
		    FROM partnersync.runs r
		    JOIN partnersync.run_workers m ON m.run_id = r.run_id
		    JOIN partnersync.workers w ON w.worker_id = m.worker_id
		    WHERE r.partner = p.partner AND r.state = 'running'
		) going_on ON true
		WHERE coalesce(ended.finished_at, since.began_at, going_on.at) IS NOT NULL
		ORDER BY p.partner`
	err = r.read(ctx, func(ctx context.Context, tx pgx.Tx) error {
		all, err = query[LastPass](ctx, tx, "the partners' last passes", sql, nil)
		return err
	})
	return all, err
}

// StaleCustomers are the customers of a partner that do not fail, and yet have not been synced for long.
type StaleCustomers struct {
	Partner    string    `db:"partner"`
	Customers  int       `db:"customers"`
	OldestSync time.Time `db:"oldest_sync"`
}

// StaleCustomers returns those of each partner that were last synced before its time; by name, partners without any left
// out. Passes that take long are given twice as long as the last one took, since a customer may have been among the first
// in one and be among the last in the next. Where no scheduled pass has ended, something else decides when there are passes,
// and they are given a day.
func (r *Reader) StaleCustomers(ctx context.Context, before map[string]time.Time) (all []StaleCustomers, err error) {
	const sql = `
		SELECT f.partner, count(*)::integer AS customers, min(f.last_success_at) AS oldest_sync
		FROM unnest(@partners::text[], @before::timestamptz[]) AS l (partner, before)
		LEFT JOIN LATERAL (
		    SELECT r.finished_at - r.started_at AS took
		    FROM partner_center.sync_runs r
		    WHERE r.partner = l.partner AND r.kind = 'scheduled' AND r.state IN ('complete', 'partial', 'failed')
		    ORDER BY r.run_id DESC
		    LIMIT 1
		) p ON true
		JOIN partner_center.sync_freshness f ON f.partner = l.partner
		WHERE f.consecutive_failures = 0
		  AND f.last_success_at < least(l.before, now() - coalesce(2 * p.took, interval '1 day'))
		GROUP BY f.partner
		ORDER BY f.partner`
	var partners []string
	var times []time.Time
	for partner, at := range before {
		partners, times = append(partners, partner), append(times, at)
	}
	err = r.read(ctx, func(ctx context.Context, tx pgx.Tx) error {
		args := pgx.NamedArgs{"partners": partners, "before": times}
		all, err = query[StaleCustomers](ctx, tx, "the customers that are stale", sql, args)
		return err
	})
	return all, err
}
