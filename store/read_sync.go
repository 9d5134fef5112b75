package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// PartnerFreshness is how fresh the data of a partner's customers is.
type PartnerFreshness struct {
	Partner     string `db:"partner" json:"partner"`
	Customers   int    `db:"customers" json:"customers"`
	Failing     int    `db:"failing" json:"failing"`           // the last attempt failed
	NeverSynced int    `db:"never_synced" json:"never_synced"` // no attempt has succeeded yet
	// NeverSyncedFailing are those of NeverSynced whose last attempt failed; the others wait for their first.
	NeverSyncedFailing int        `db:"never_synced_failing" json:"never_synced_failing"`
	OldestSync         *time.Time `db:"oldest_sync" json:"oldest_sync"` // the least recent last success; nil: there is none
	OverHour           int        `db:"over_hour" json:"over_hour"`     // customers last synced longer ago than an hour
	OverSixHours       int        `db:"over_six" json:"over_six_hours"` // than six hours
	OverDay            int        `db:"over_day" json:"over_day"`       // than a day
	OverWeek           int        `db:"over_week" json:"over_week"`     // than seven days
	Now                time.Time  `db:"database_time" json:"-"`         // when this was so
}

// Freshness returns a summary of each partner that has customers, by name.
func (r *Reader) Freshness(ctx context.Context) (all []PartnerFreshness, err error) {
	const sql = `
		SELECT partner,
		       count(*)::integer                                         AS customers,
		       count(*) FILTER (WHERE consecutive_failures > 0)::integer AS failing,
		       count(*) FILTER (WHERE last_success_at IS NULL)::integer  AS never_synced,
		       count(*) FILTER (WHERE last_success_at IS NULL AND consecutive_failures > 0)::integer AS never_synced_failing,
		       min(last_success_at)                                      AS oldest_sync,
		       count(*) FILTER (WHERE age > interval '1 hour')::integer  AS over_hour,
		       count(*) FILTER (WHERE age > interval '6 hours')::integer AS over_six,
		       count(*) FILTER (WHERE age > interval '1 day')::integer   AS over_day,
		       count(*) FILTER (WHERE age > interval '7 days')::integer  AS over_week,
		       now()                                                     AS database_time
		FROM partner_center.sync_freshness
		GROUP BY partner
		ORDER BY partner`
	err = r.read(ctx, func(ctx context.Context, tx pgx.Tx) error {
		all, err = query[PartnerFreshness](ctx, tx, "the freshness of the customers", sql, nil)
		return err
	})
	return all, err
}

// CustomerSync is when a customer was last read and merged as a whole.
type CustomerSync struct {
	CustomerID    string     `db:"customer_id"`
	Partner       string     `db:"partner"`
	LastSuccessAt *time.Time `db:"last_success_at"` // nil: never
}

// CustomerSyncs returns one for every row of sync_freshness.
func (r *Reader) CustomerSyncs(ctx context.Context) (all []CustomerSync, err error) {
	const sql = `
		SELECT customer_id::text, partner, last_success_at
		FROM partner_center.sync_freshness
		ORDER BY partner, customer_id`
	err = r.read(ctx, func(ctx context.Context, tx pgx.Tx) error {
		all, err = query[CustomerSync](ctx, tx, "when each customer was synced", sql, nil)
		return err
	})
	return all, err
}

// PassSlot sums up the passes of a partner that began in one slot of time.
type PassSlot struct {
	Partner   string `db:"partner"`
	Slot      int    `db:"slot"` // from 0 on
	Passes    int    `db:"passes"`
	Partial   int    `db:"partial"`
	Failed    int    `db:"failed"`
	Abandoned int    `db:"abandoned"`
	Running   int    `db:"running"`
}

// PassSlots sums up the passes since that time in slots of so long. Slots without a pass are left out.
func (r *Reader) PassSlots(ctx context.Context, since time.Time, length time.Duration) (all []PassSlot, err error) {
	// The states are those of sync_runs, without the counts that it adds up for each.
	const sql = `
		SELECT partner,
		       floor(extract(epoch FROM started_at - @since) / @seconds)::integer AS slot,
		       count(*)::integer                                                  AS passes,
		       count(*) FILTER (WHERE state = 'partial')::integer                 AS partial,
		       count(*) FILTER (WHERE state = 'failed')::integer                  AS failed,
		       count(*) FILTER (WHERE state = 'abandoned')::integer               AS abandoned,
		       count(*) FILTER (WHERE state = 'running')::integer                 AS running
		FROM partnersync.runs
		WHERE started_at >= @since
		GROUP BY partner, slot
		ORDER BY partner, slot`
	err = r.read(ctx, func(ctx context.Context, tx pgx.Tx) error {
		args := pgx.NamedArgs{"since": since, "seconds": length.Seconds()}
		all, err = query[PassSlot](ctx, tx, "the passes since "+since.UTC().Format(time.RFC3339), sql, args)
		return err
	})
	return all, err
}

// NewestRuns returns the newest runs of all partners, the newest first.
func (r *Reader) NewestRuns(ctx context.Context, limit int) (all []Run, err error) {
	const sql = `
		SELECT run_id, partner, kind, scheduled_for, started_at, finished_at, state,
		       customers_total, customers_ok, customers_failed,
		       inserted, changed, removed, unchanged, requests, retries, error
		FROM partner_center.sync_runs
		ORDER BY run_id DESC
		LIMIT @limit`
	err = r.read(ctx, func(ctx context.Context, tx pgx.Tx) error {
		all, err = query[Run](ctx, tx, "the newest passes", sql, pgx.NamedArgs{"limit": limit})
		return err
	})
	return all, err
}
