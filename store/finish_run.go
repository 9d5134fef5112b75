package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// FinishRun ends the run if none of its customers is left to do, and returns it as it is then: its State is Running if
// other workers are still at it. late: device lists that nobody is reading now are left to the next run, which is no
// failure.
func (s *Store) FinishRun(ctx context.Context, run Run, late bool) (Run, error) {
	// A run may have workers that read device lists, and others, whose configuration is older or newer, that do not:
	// these leave them to the next run.
	late = late || run.Devices == nil
	enqueued, ended := false, false
	now := run
	err := s.write(ctx, func(tx pgx.Tx) (err error) {
		if late {
			if enqueued, err = s.leaveDevices(ctx, tx, run); err != nil {
				return err
			}
		}
		if ended, err = finish(ctx, tx, run, late); err != nil {
			return err
		}
		now, err = readRun(ctx, tx, run)
		return err
	})
	if err != nil {
		return run, fmt.Errorf("finishing run %d of partner %s: %w", run.ID, run.Partner, err)
	}
	if enqueued {
		s.outbox.Wake()
	}
	now.EndedHere = ended
	return now, nil
}

// leaveDevices settles the customers whose other lists went well and whose device lists are left to the next run. It
// reports whether that puts events into the outbox.
func (s *Store) leaveDevices(ctx context.Context, tx pgx.Tx, run Run) (enqueued bool, err error) {
	// The lock comes first: only under it is it certain that nobody has read a customer's device lists meanwhile.
	const lock = `
		SELECT s.customer_id::text
		FROM partnersync.customer_state s
		JOIN partnersync.customer_runs r ON r.customer_id = s.customer_id AND r.kind = @kind
		WHERE s.partner = @partner AND r.run_id = @run AND r.outcome = 'waiting'
		  AND (s.owner IS NULL OR s.owner NOT IN (SELECT worker_id FROM partnersync.live_workers))
		ORDER BY s.customer_id
		FOR UPDATE OF s`
	const settle = `
		UPDATE partnersync.customer_runs
		SET outcome = 'ok'
		WHERE customer_id = ANY (@ids::uuid[]) AND kind = @kind AND run_id = @run AND outcome = 'waiting'
		RETURNING customer_id::text`
	// Whoever is frozen over a customer's device lists is fenced off, so that the run does not count it twice.
	const succeed = `
		UPDATE partnersync.customer_state
		SET owner = NULL, lease_epoch = lease_epoch + 1,
		    last_success_at = clock_timestamp(), consecutive_failures = 0, failing_since = NULL,
		    last_error_code = NULL, last_error = NULL, last_request_id = NULL, last_correlation_id = NULL
		WHERE customer_id = ANY (@ids::uuid[])`
	args := run.args()
	var ids []string
	for _, sql := range []string{lock, settle} {
		rows, _ := tx.Query(ctx, sql, args) // CollectRows returns its error
		if ids, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			return false, fmt.Errorf("leaving device lists to the next run: %w", err)
		}
		if len(ids) == 0 {
			return false, nil
		}
		args["ids"] = ids
	}
	if _, err := tx.Exec(ctx, succeed, args); err != nil {
		return false, fmt.Errorf("leaving device lists to the next run: %w", err)
	}
	if err := addCounts(ctx, tx, run.ID, 0, Counts{CustomersOK: len(ids)}); err != nil {
		return false, err
	}
	return s.outbox.EnqueueRecovered(ctx, tx, run.Partner, ids)
}

// finish ends the run if nothing is left to do, and reports whether it has.
func finish(ctx context.Context, tx pgx.Tx, run Run, late bool) (ended bool, err error) {
	// No customer is left, so the total is what was counted: customers may have come and gone since the run began.
	const finish = `
		UPDATE partnersync.runs r
		SET finished_at = clock_timestamp(),
		    customers_total = n.ok + n.failed,
		    state = CASE WHEN n.ok = 0 THEN 'failed'
		                 WHEN n.failed > 0 OR r.error IS NOT NULL THEN 'partial'
		                 ELSE 'complete' END
		FROM (
		    SELECT coalesce(sum(customers_ok), 0) AS ok, coalesce(sum(customers_failed), 0) AS failed
		    FROM partnersync.run_counts
		    WHERE run_id = @run
		) n
		WHERE r.run_id = @run AND r.state = 'running' AND r.enumerated_at IS NOT NULL
		  AND NOT EXISTS (
		      SELECT
		      FROM partnersync.customer_state s
		      LEFT JOIN partnersync.customer_runs c ON c.customer_id = s.customer_id AND c.kind = @kind
		      WHERE s.partner = @partner AND s.active
		        AND (@customers::uuid[] IS NULL OR s.customer_id = ANY (@customers::uuid[]))
		        AND (@skip::uuid[] IS NULL OR s.customer_id <> ALL (@skip::uuid[]))
		        AND ( -- its batches and policies are left to do,
		             coalesce(c.run_id, 0) < @run OR @kind = 'backfill' AND c.run_id <> @run
		             -- or its device lists,
		             OR c.run_id = @run AND c.devices_run_id <> @run
		                AND (c.outcome = 'waiting'
		                     OR @devices AND (
		                         s.devices_refresh IS DISTINCT FROM @refresh::interval
		                         OR s.devices_due_at NOT BETWEEN clock_timestamp() AND clock_timestamp() + 1.25 * @refresh::interval
		                         OR @kind = 'backfill' AND s.devices_due_at IS NOT NULL))
		                -- which it is not too late for, or which somebody reads now.
		                AND (NOT @late OR s.owner IN (SELECT worker_id FROM partnersync.live_workers))))`
	args := run.args()
	args["late"], args["devices"] = late, run.Devices != nil
	tag, err := tx.Exec(ctx, finish, args)
	if err != nil {
		return false, fmt.Errorf("ending the run if nothing is left to do: %w", err)
	}
	return tag.RowsAffected() > 0, nil
}
