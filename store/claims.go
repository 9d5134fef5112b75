package store

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// Claim is the right to write one customer, as long as nobody else has claimed it since: its writes are fenced by the
// epoch.
type Claim struct {
	Run        Run
	CustomerID string // uuid, lower case
	Epoch      int64
	// Digests of the customer's lists, where their rows are exactly the current ones; else nil.
	BatchesDigest, PoliciesDigest []byte
	// DevicesDue: the run has device lists of the customer to read, as far as known before the batches are listed.
	DevicesDue bool
	// Pause is how long the partner has still to wait because the API asked for it, as of the claim.
	Pause time.Duration
	clock clock
}

// ObservedAt turns the local time at which a request was sent into the database's time.
func (c Claim) ObservedAt(sent time.Time) time.Time { return c.clock.at(sent) }

// clock is the database's time as learned with a claim. It goes on by the local monotonic clock, and is never ahead of
// the database's, since the answer took its time to arrive.
type clock struct{ database, local time.Time }

func (c clock) at(local time.Time) time.Time {
	return c.database.Add(local.Sub(c.local)).UTC().Truncate(time.Microsecond)
}

// free is true of a customer_state s that no live worker holds. It needs the argument lease, an interval.
const free = `
	(s.owner IS NULL OR s.owner <> ALL (ARRAY (SELECT w.worker_id FROM partnersync.workers w WHERE ` + alive + `)))`

// ClaimCustomers claims up to limit customers whose batches and policies the run has still to list and that no live
// worker holds, in the order of their ids from after on ("" is the beginning). Fewer than limit means that the end was
// reached.
func (s *Store) ClaimCustomers(ctx context.Context, run Run, after string, limit int) ([]Claim, error) {
	due, args := run.next(after)
	return s.claimNow(ctx, run, due, args, limit)
}

// next selects the customers that ClaimCustomers claims.
func (r Run) next(after string) (due string, args pgx.NamedArgs) {
	left := r.pending()
	if after != "" {
		left += ` AND s.customer_id > @after::uuid`
	}
	due = `
		    SELECT s.customer_id
		    FROM partnersync.customer_state s
		    WHERE ` + left + `
		      AND ` + free + `
		    ORDER BY s.customer_id`
	args = r.args()
	args["after"] = after
	return due, args
}

// ClaimDevices claims up to limit customers that have device lists for the run to read, the longest due first: none
// before all the run's customers have had their other lists tried.
func (s *Store) ClaimDevices(ctx context.Context, run Run, limit int) ([]Claim, error) {
	if run.Devices == nil {
		return nil, nil
	}
	due := `
		    SELECT s.customer_id
		    FROM partnersync.customer_state s
		    WHERE ` + run.devicesPending() + `
		      AND ` + free + `
		      AND NOT EXISTS (SELECT 1 FROM partnersync.customer_state s WHERE ` + run.pending() + `)
		    ORDER BY s.devices_due_at NULLS FIRST, s.customer_id`
	return s.claimNow(ctx, run, due, run.args(), limit)
}

func (s *Store) claimNow(ctx context.Context, run Run, due string, args pgx.NamedArgs, limit int) (claims []Claim, err error) {
	batch := &pgx.Batch{}
	s.claim(batch, run, due, args, limit, &claims)
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("claiming customers of partner %s: %w", run.Partner, err)
	}
	return claims, nil
}

// planOnce has the rest of a transaction executed by plans that are made once. PostgreSQL would plan each claim anew, which is a
// fifth of what it costs, since its values promise more customers than it expects of unknown ones.
const planOnce = `SELECT set_config('plan_cache_mode', 'force_generic_plan', true)`

// claim claims the customers that the query due selects.
func (s *Store) claim(batch *pgx.Batch, run Run, due string, args pgx.NamedArgs, limit int, claims *[]Claim) {
	claim := `
		WITH due AS (` + due + `
		    LIMIT ` + strconv.Itoa(limit) + `
		    FOR UPDATE OF s SKIP LOCKED
		), claimed AS (
		    UPDATE partnersync.customer_state s
		    SET owner = @worker::uuid, lease_epoch = s.lease_epoch + 1
		    FROM due
		    WHERE s.customer_id = due.customer_id
		    RETURNING s.customer_id, s.lease_epoch, s.devices_due_at,
		              coalesce(` + run.devicesDue() + `, false) AS devices_due
		)
		SELECT c.customer_id::text, c.lease_epoch, c.devices_due, b.digest, p.digest,
		       ` + pauseLeft + `, clock_timestamp()
		FROM claimed c
		LEFT JOIN partnersync.list_state b
		       ON b.customer_id = c.customer_id AND b.resource = 'device_batches' AND b.batch_id = ''
		LEFT JOIN partnersync.list_state p
		       ON p.customer_id = c.customer_id AND p.resource = 'configuration_policies' AND p.batch_id = ''
		ORDER BY c.devices_due_at NULLS FIRST, c.customer_id`
	args["worker"], args["lease"] = s.worker, s.lease
	batch.Queue(planOnce)
	batch.Queue(claim, args).Query(func(rows pgx.Rows) (err error) {
		*claims, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (Claim, error) {
			c := Claim{Run: run}
			err := row.Scan(&c.CustomerID, &c.Epoch, &c.DevicesDue, &c.BatchesDigest, &c.PoliciesDigest, &c.Pause, &c.clock.database)
			return c, err
		})
		local := time.Now()
		for i := range *claims {
			(*claims)[i].clock.local = local
		}
		return err
	})
}
