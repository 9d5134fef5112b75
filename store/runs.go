package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Kinds of runs.
const (
	Scheduled = "scheduled"
	Once      = "once"
	Backfill  = "backfill"
)

// States of runs.
const (
	Running   = "running"
	Complete  = "complete"
	Partial   = "partial"
	Failed    = "failed"
	Abandoned = "abandoned"
)

// Run is one pass over a partner's customers, as partner_center.sync_runs shows it.
type Run struct {
	ID              int64      `db:"run_id" json:"run_id"`
	Partner         string     `db:"partner" json:"partner"`
	Kind            string     `db:"kind" json:"kind"`
	ScheduledFor    time.Time  `db:"scheduled_for" json:"scheduled_for"`
	StartedAt       time.Time  `db:"started_at" json:"started_at"`
	FinishedAt      *time.Time `db:"finished_at" json:"finished_at"`
	State           string     `db:"state" json:"state"`
	CustomersTotal  int        `db:"customers_total" json:"customers_total"`
	CustomersOK     int        `db:"customers_ok" json:"customers_ok"`
	CustomersFailed int        `db:"customers_failed" json:"customers_failed"`
	// CustomersDeferred were left for a later pass when the run ended.
	CustomersDeferred int     `db:"customers_deferred" json:"customers_deferred"`
	Inserted          int64   `db:"inserted" json:"inserted"`
	Changed           int64   `db:"changed" json:"changed"`
	Removed           int64   `db:"removed" json:"removed"`
	Unchanged         int64   `db:"unchanged" json:"unchanged"`
	Requests          int64   `db:"requests" json:"requests"`
	Retries           int64   `db:"retries" json:"retries"`
	Error             *string `db:"error" json:"error"`
	// EndedHere is set by the FinishRun that ended the run: by one of the workers in it, and once.
	EndedHere bool `db:"-" json:"-"`
	// Customers restricts the run, as asked for; nil: all of the partner's.
	Customers []string `db:"-" json:"-"`
	// Skip are customers that the run leaves out, as asked for.
	Skip []string `db:"-" json:"-"`
	// Devices says which device lists the run reads, as asked for; nil: none.
	Devices *DeviceReading `db:"-" json:"-"`
	// Policies: the run reads configuration policies, as asked for.
	Policies bool `db:"-" json:"-"`
	// Rate is how fast a scheduled run may read customers.
	Rate Rate `db:"-" json:"-"`
}

// args are the arguments that the statements about a run's customers have in common.
func (r Run) args() pgx.NamedArgs {
	args := pgx.NamedArgs{
		"run": r.ID, "partner": r.Partner, "kind": r.Kind, "customers": r.Customers, "skip": r.Skip,
		"devices": r.Devices != nil, "refresh": nil, "policies": r.Policies,
	}
	if r.Devices != nil {
		args["refresh"] = r.Devices.Refresh
	}
	return args
}

// queueReadRun has a batch read the run with its state and counts as they are then. What was asked for is kept. A run
// that is there no more was abandoned while this worker was frozen, and then removed with other old runs.
func queueReadRun(batch *pgx.Batch, run *Run) {
	const read = `
		SELECT run_id, partner, kind, scheduled_for, started_at, finished_at, state,
		       customers_total, customers_ok, customers_failed, customers_deferred,
		       inserted, changed, removed, unchanged, requests, retries, error
		FROM partner_center.sync_runs
		WHERE run_id = @run`
	batch.Queue(read, pgx.NamedArgs{"run": run.ID}).Query(func(rows pgx.Rows) error {
		now, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Run])
		if errors.Is(err, pgx.ErrNoRows) {
			run.State = Abandoned
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading run %d: %w", run.ID, err)
		}
		now.Customers, now.Skip, now.Devices, now.Policies, now.Rate = run.Customers, run.Skip, run.Devices, run.Policies, run.Rate
		*run = now
		return nil
	})
}

// Statements with which OpenRun and LeaveRun begin, and FinishRun if the run is scheduled.
const (
	createPartnerSQL = `
		INSERT INTO partnersync.partner_state (partner) VALUES (@partner)
		ON CONFLICT DO NOTHING`
	// Those who open runs of a partner take turns.
	lockPartnerSQL = `
		SELECT FROM partnersync.partner_state WHERE partner = @partner FOR UPDATE`
)

// Statements that release this worker's claims on a partner's enumeration and customers.
const (
	releaseEnumerationSQL = `
		UPDATE partnersync.partner_state SET owner = NULL WHERE partner = @partner AND owner = @worker::uuid`
	releaseCustomersSQL = `
		WITH locked AS (
		    SELECT customer_id
		    FROM partnersync.customer_state
		    WHERE partner = @partner AND owner = @worker::uuid
		    ORDER BY customer_id
		    FOR UPDATE
		)
		UPDATE partnersync.customer_state s SET owner = NULL FROM locked WHERE s.customer_id = locked.customer_id`
)

// LeaveRun takes this worker out of a run that it cannot bring to its end. With no other live worker in it, the run
// becomes abandoned. The worker's claims on the partner's customers are released. It returns the run as it is then.
func (s *Store) LeaveRun(ctx context.Context, run Run) (Run, error) {
	const leave = `
		DELETE FROM partnersync.run_workers WHERE run_id = @run AND worker_id = @worker::uuid`
	const abandon = `
		UPDATE partnersync.runs
		SET state = 'abandoned', finished_at = clock_timestamp()
		WHERE run_id = @run AND state = 'running' AND NOT EXISTS (
		    SELECT
		    FROM partnersync.run_workers m
		    JOIN partnersync.live_workers w ON w.worker_id = m.worker_id
		    WHERE m.run_id = @run)`
	left, args := run, pgx.NamedArgs{"run": run.ID, "partner": run.Partner, "worker": s.worker}
	err := s.write(ctx, func(tx pgx.Tx) error {
		batch := batchOf(args, createPartnerSQL, lockPartnerSQL, releaseEnumerationSQL, releaseCustomersSQL, leave, abandon)
		queueReadRun(batch, &left)
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return run, fmt.Errorf("leaving run %d of partner %s: %w", run.ID, run.Partner, err)
	}
	return left, nil
}

// ReleaseClaims releases this worker's claims on the partner's enumeration and customers, and returns how many those
// were: a claim that nobody works on, since its answer was lost, would keep all others from the customer.
func (s *Store) ReleaseClaims(ctx context.Context, partner string) (released int, err error) {
	err = s.write(ctx, func(tx pgx.Tx) error {
		released = 0
		batch := batchOf(pgx.NamedArgs{"partner": partner, "worker": s.worker}, releaseEnumerationSQL, releaseCustomersSQL)
		for _, statement := range batch.QueuedQueries {
			statement.Exec(func(tag pgconn.CommandTag) error {
				released += int(tag.RowsAffected())
				return nil
			})
		}
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return 0, fmt.Errorf("releasing this worker's claims on partner %s: %w", partner, err)
	}
	return released, nil
}

// Counts are added to a run by the transaction that did what they count. Rows are those of all resources.
type Counts struct {
	CustomersOK, CustomersFailed          int
	Inserted, Changed, Removed, Unchanged int
	Requests, Retries                     int
}

// queueCounts has a batch add to one of the run's shards, unless the run is there no more (see queueReadRun). It is the
// last write of a transaction: whoever writes to the same shard waits for the commit.
func queueCounts(batch *pgx.Batch, run int64, shard int, c Counts) {
	const add = `
		INSERT INTO partnersync.run_counts AS n (
		    run_id, shard, customers_ok, customers_failed, inserted, changed, removed, unchanged, requests, retries)
		SELECT run_id, @shard::smallint, @customers_ok::integer, @customers_failed::integer, @inserted::bigint,
		       @changed::bigint, @removed::bigint, @unchanged::bigint, @requests::bigint, @retries::bigint
		FROM partnersync.runs
		WHERE run_id = @run
		ON CONFLICT (run_id, shard) DO UPDATE SET
		    customers_ok     = n.customers_ok + excluded.customers_ok,
		    customers_failed = n.customers_failed + excluded.customers_failed,
		    inserted         = n.inserted + excluded.inserted,
		    changed          = n.changed + excluded.changed,
		    removed          = n.removed + excluded.removed,
		    unchanged        = n.unchanged + excluded.unchanged,
		    requests         = n.requests + excluded.requests,
		    retries          = n.retries + excluded.retries`
	if c == (Counts{}) {
		return
	}
	batch.Queue(add, pgx.NamedArgs{
		"run": run, "shard": shard,
		"customers_ok": c.CustomersOK, "customers_failed": c.CustomersFailed,
		"inserted": c.Inserted, "changed": c.Changed, "removed": c.Removed, "unchanged": c.Unchanged,
		"requests": c.Requests, "retries": c.Retries,
	})
}
