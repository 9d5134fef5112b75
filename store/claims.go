package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Claim is the right to write one customer, as long as nobody else has claimed it since: its writes are fenced by the
// epoch.
type Claim struct {
	Run        Run
	CustomerID string // uuid, lower case
	Epoch      int64
	// BatchesDigest is the digest of the customer's batch list, if its rows are exactly the current ones; else nil.
	BatchesDigest []byte
	clock         clock
}

// ObservedAt turns the local time at which a request was sent into the database's time.
func (c Claim) ObservedAt(sent time.Time) time.Time { return c.clock.at(sent) }

// clock is the database's time as learned with a claim. It goes on by the local monotonic clock, and is never ahead of
// the database's, since the answer took its time to arrive.
type clock struct{ database, local time.Time }

func (c clock) at(local time.Time) time.Time {
	return c.database.Add(local.Sub(c.local)).UTC().Truncate(time.Microsecond)
}

// ClaimCustomers claims up to limit customers that the run has still to do and that no live worker holds, in the order
// of their ids from after on ("" is the beginning). Fewer than limit means that the end was reached.
func (s *Store) ClaimCustomers(ctx context.Context, run Run, after string, limit int) ([]Claim, error) {
	const claim = `
		WITH due AS (
		    SELECT s.customer_id
		    FROM partnersync.customer_state s
		    WHERE ` + pending + `
		      AND (@after::uuid IS NULL OR s.customer_id > @after::uuid)
		      AND (s.owner IS NULL OR NOT EXISTS (
		          SELECT 1 FROM partnersync.workers w WHERE w.worker_id = s.owner AND ` + alive + `))
		    ORDER BY s.customer_id
		    LIMIT @limit
		    FOR UPDATE OF s SKIP LOCKED
		), claimed AS (
		    UPDATE partnersync.customer_state s
		    SET owner = @worker::uuid, lease_epoch = s.lease_epoch + 1
		    FROM due
		    WHERE s.customer_id = due.customer_id
		    RETURNING s.customer_id, s.lease_epoch
		)
		SELECT c.customer_id::text, c.lease_epoch, l.digest, clock_timestamp()
		FROM claimed c
		LEFT JOIN partnersync.list_state l
		       ON l.customer_id = c.customer_id AND l.resource = 'device_batches' AND l.batch_id = ''
		ORDER BY c.customer_id`
	args := run.args()
	args["worker"], args["lease"], args["limit"] = s.worker, s.lease, limit
	args["after"] = present(after)
	rows, err := s.pool.Query(ctx, claim, args)
	if err != nil {
		return nil, fmt.Errorf("claiming customers of partner %s: %w", run.Partner, err)
	}
	claims, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Claim, error) {
		c := Claim{Run: run}
		err := row.Scan(&c.CustomerID, &c.Epoch, &c.BatchesDigest, &c.clock.database)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("claiming customers of partner %s: %w", run.Partner, err)
	}
	local := time.Now()
	for i := range claims {
		claims[i].clock.local = local
	}
	return claims, nil
}

// PauseOf returns how long the partner has still to wait because the API asked for it, by the database's clock.
func (s *Store) PauseOf(ctx context.Context, partner string) (time.Duration, error) {
	const pause = `
		SELECT greatest(coalesce(max(paused_until) - clock_timestamp(), '0'), '0') FROM partnersync.partner_state WHERE partner = @partner`
	var left time.Duration
	if err := s.pool.QueryRow(ctx, pause, pgx.NamedArgs{"partner": partner}).Scan(&left); err != nil {
		return 0, fmt.Errorf("reading the pause of partner %s: %w", partner, err)
	}
	return left, nil
}

// Pause makes all replicas leave the partner's API alone for so long. It never shortens a pause.
func (s *Store) Pause(ctx context.Context, partner string, d time.Duration) error {
	const pause = `
		UPDATE partnersync.partner_state
		SET paused_until = greatest(paused_until, clock_timestamp() + @pause::interval)
		WHERE partner = @partner`
	if _, err := s.pool.Exec(ctx, pause, pgx.NamedArgs{"partner": partner, "pause": d}); err != nil {
		return fmt.Errorf("pausing partner %s: %w", partner, err)
	}
	return nil
}
