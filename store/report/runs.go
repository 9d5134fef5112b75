package report

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"partnersync/store"
)

// NewestRuns returns the newest runs of all partners, the newest first.
func (r *Reader) NewestRuns(ctx context.Context, limit int) ([]store.Run, error) {
	const sql = `
		SELECT run_id, partner, kind, scheduled_for, started_at, finished_at, state,
		       customers_total, customers_ok, customers_failed, customers_deferred,
		       inserted, changed, removed, unchanged, requests, retries, error
		FROM partner_center.sync_runs
		ORDER BY run_id DESC
		LIMIT @limit`
	return readAll[store.Run](ctx, r, "the newest passes", sql, pgx.NamedArgs{"limit": limit})
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

// PassSlots sums up the passes since that time in slots of the length. Slots without a pass are left out.
func (r *Reader) PassSlots(ctx context.Context, since time.Time, length time.Duration) ([]PassSlot, error) {
	// The states are those of sync_runs, whose sums over the counts of each run are not needed here.
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
	args := pgx.NamedArgs{"since": since, "seconds": length.Seconds()}
	return readAll[PassSlot](ctx, r, "the passes since "+since.UTC().Format(time.RFC3339), sql, args)
}
