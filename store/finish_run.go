package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Until says for how long a run goes on with what is left to do. What is left when it ends is deferred: that is done by
// a later run, and no failure.
type Until int

// Values of Until.
const (
	Done   Until = iota // until nothing is left to do
	Tick                // until no live worker holds a customer any more
	CutOff              // no longer
)

// FinishRun ends the run if it does not go on, and returns it as it is then: its State is Running if it does. One that is
// there no more was abandoned while this worker was frozen, and then removed with other old runs.
func (s *Store) FinishRun(ctx context.Context, run Run, until Until) (Run, error) {
	now := run
	err := s.write(ctx, func(tx pgx.Tx) (err error) {
		if run.Kind == Scheduled {
			if err := lockPartner(ctx, tx, run.Partner); err != nil { // whose rounds are noted
				return err
			}
		}
		ended, err := finish(ctx, tx, run, until)
		if err == nil && ended && run.Kind == Scheduled {
			err = noteRounds(ctx, tx, run.Partner, run.Rate)
		}
		if err != nil {
			return err
		}
		if now, err = readRun(ctx, tx, run); errors.Is(err, pgx.ErrNoRows) {
			now.State, err = Abandoned, nil
		}
		now.EndedHere = ended
		return err
	})
	if err != nil {
		return run, fmt.Errorf("finishing run %d of partner %s: %w", run.ID, run.Partner, err)
	}
	return now, nil
}

// finish ends the run if it does not go on, and reports whether it has.
func finish(ctx context.Context, tx pgx.Tx, run Run, until Until) (ended bool, err error) {
	// Results that are being recorded are waited for before anything is counted.
	const lock = `
		SELECT FROM partnersync.runs WHERE run_id = @run FOR UPDATE`
	// Customers may have come and gone since the run began, so that the total is counted anew.
	const finish = `
		UPDATE partnersync.runs r
		SET finished_at = clock_timestamp(),
		    customers_total = n.ok + n.failed + d.deferred,
		    read_all_customers = @customers::uuid[] IS NULL AND @skip::uuid[] IS NULL AND d.deferred = 0,
		    state = CASE WHEN n.ok = 0 AND n.failed > 0 OR n.ok + n.failed + d.deferred = 0 THEN 'failed'
		                 WHEN n.failed > 0 OR r.error IS NOT NULL THEN 'partial'
		                 ELSE 'complete' END
		FROM (
		    SELECT coalesce(sum(customers_ok), 0) AS ok, coalesce(sum(customers_failed), 0) AS failed
		    FROM partnersync.run_counts
		    WHERE run_id = @run
		) n, (
		    SELECT count(*) FILTER (WHERE untried) AS deferred, count(*) AS remaining, count(*) FILTER (WHERE held) AS held
		    FROM (
		        SELECT coalesce(c.run_id, 0) < @run OR @kind = 'backfill' AND c.run_id <> @run AS untried,
		               s.owner IN (SELECT worker_id FROM partnersync.live_workers) AS held
		        FROM partnersync.customer_state s
		        LEFT JOIN partnersync.customer_runs c ON c.customer_id = s.customer_id AND c.kind = @kind
		        WHERE s.partner = @partner AND s.active
		          AND (@customers::uuid[] IS NULL OR s.customer_id = ANY (@customers::uuid[]))
		          AND (@skip::uuid[] IS NULL OR s.customer_id <> ALL (@skip::uuid[]))
		          AND (coalesce(c.run_id, 0) < @run OR @kind = 'backfill' AND c.run_id <> @run
		               OR c.run_id = @run AND c.devices_left
		                  AND (@devices OR s.owner IN (SELECT worker_id FROM partnersync.live_workers)))
		    ) c
		) d
		WHERE r.run_id = @run AND r.state = 'running' AND r.enumerated_at IS NOT NULL
		  AND (d.remaining = 0 OR @until = 1 AND d.held = 0 OR @until = 2)`
	args := run.args()
	args["until"] = int(until)
	batch := &pgx.Batch{}
	batch.Queue(lock, args)
	batch.Queue(finish, args).Exec(func(tag pgconn.CommandTag) error {
		ended = tag.RowsAffected() > 0
		return nil
	})
	err = tx.SendBatch(ctx, batch).Close()
	return ended, err
}
