package store

import (
	"context"
	"fmt"
	"strings"
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
	Inserted        int64      `db:"inserted" json:"inserted"`
	Changed         int64      `db:"changed" json:"changed"`
	Removed         int64      `db:"removed" json:"removed"`
	Unchanged       int64      `db:"unchanged" json:"unchanged"`
	Requests        int64      `db:"requests" json:"requests"`
	Retries         int64      `db:"retries" json:"retries"`
	Error           *string    `db:"error" json:"error"`
	// EndedHere is set by the FinishRun that ended the run: by one of the workers in it, and once.
	EndedHere bool `db:"-" json:"-"`
	// Customers restricts the run, as asked for; nil: all of the partner's.
	Customers []string `db:"-" json:"-"`
	// Skip are customers that the run leaves out, as asked for.
	Skip []string `db:"-" json:"-"`
	// Devices says which device lists the run reads, as asked for; nil: none.
	Devices *DeviceReading `db:"-" json:"-"`
}

// queueRead reads a run into run.
func queueRead(batch *pgx.Batch, id int64, run *Run) {
	const read = `
		SELECT run_id, partner, kind, scheduled_for, started_at, finished_at, state,
		       customers_total, customers_ok, customers_failed,
		       inserted, changed, removed, unchanged, requests, retries, error
		FROM partner_center.sync_runs
		WHERE run_id = @run`
	batch.Queue(read, pgx.NamedArgs{"run": id}).Query(func(rows pgx.Rows) (err error) {
		*run, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Run])
		return err
	})
}

// ReadRun returns the run with its state and counts as they are now.
func (s *Store) ReadRun(ctx context.Context, run Run) (Run, error) {
	batch := &pgx.Batch{}
	var now Run
	queueRead(batch, run.ID, &now)
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return Run{}, fmt.Errorf("reading run %d: %w", run.ID, err)
	}
	return now.asked(run), nil
}

// asked returns the run with what was asked for.
func (r Run) asked(as Run) Run {
	r.Customers, r.Skip, r.Devices = as.Customers, as.Skip, as.Devices
	return r
}

// pending is true of a customer_state s that the run has still to do. The mark that tells is the kind's: there is one of each, so
// that only one run of a kind is under way at a time; a backfill that is resumed does anew what another one has done meanwhile.
func (r Run) pending() string { return r.among("{kind}_run") }

// devicesPending is true of a customer_state s whose device lists the run has still to go through.
func (r Run) devicesPending() string {
	return r.among("{kind}_devices_run") + `
	AND ` + r.devicesDue()
}

// devicesDue is true of a customer_state s some of whose device lists are due for the run; it may be null.
func (r Run) devicesDue() string {
	switch {
	case r.Devices == nil:
		return `false`
	case r.Kind == Backfill:
		return `true`
	}
	return `(s.devices_due_at <= clock_timestamp() OR s.devices_refresh IS DISTINCT FROM @refresh)`
}

// among is true of the run's customers whose mark says that they are left. Its statements need the run's args.
func (r Run) among(mark string) string {
	sql := `
	s.partner = @partner AND s.active`
	if r.Customers != nil {
		sql += ` AND s.customer_id = ANY (@customers::uuid[])`
	}
	if r.Skip != nil {
		sql += ` AND NOT s.customer_id = ANY (@skip::uuid[])`
	}
	if r.Kind == Backfill {
		return sql + r.ofKind(` AND s.`+mark+` <> @run::bigint`)
	}
	return sql + r.ofKind(` AND s.`+mark+` < @run::bigint`)
}

// ofKind puts the run's kind into the names of columns.
func (r Run) ofKind(sql string) string { return strings.ReplaceAll(sql, "{kind}", r.Kind) }

// Listed reports whether the batches and policies of all the run's customers have been tried.
func (s *Store) Listed(ctx context.Context, run Run) (listed bool, err error) {
	query := `SELECT NOT EXISTS (SELECT FROM partnersync.customer_state s WHERE ` + run.pending() + `)`
	if err := s.pool.QueryRow(ctx, query, run.args()).Scan(&listed); err != nil {
		return false, fmt.Errorf("looking for customers of run %d that are not listed yet: %w", run.ID, err)
	}
	return listed, nil
}

// FinishRun ends the run if none of its customers is left to do, and returns it as it is then: its State is Running if
// other workers are still at it. late: device lists that nobody is reading now are left to the next run, which is no
// failure.
func (s *Store) FinishRun(ctx context.Context, run Run, late bool) (Run, error) {
	noted, ended := false, false
	var now Run
	err := s.write(ctx, func(tx *transaction) (err error) {
		batch := &pgx.Batch{}
		if late {
			if noted, err = s.leaveDevices(ctx, tx, run, batch); err != nil {
				return err
			}
		}
		s.finish(batch, run, late, &ended)
		queueRead(batch, run.ID, &now)
		return tx.end(ctx, batch)
	})
	if err != nil {
		return run, fmt.Errorf("finishing run %d of partner %s: %w", run.ID, run.Partner, err)
	}
	if noted {
		s.wakeSender()
	}
	now = now.asked(run)
	now.EndedHere = ended
	return now, nil
}

// leaveDevices settles the customers whose other lists went well and whose device lists are left to the next run. It tells
// whether somebody is to be told of it. Their counts are left to be sent.
func (s *Store) leaveDevices(ctx context.Context, tx *transaction, run Run, last *pgx.Batch) (noted bool, err error) {
	leave := `
		UPDATE partnersync.customer_state s
		SET scheduled_outcome = 'ok', last_success_at = clock_timestamp(), consecutive_failures = 0, failing_since = NULL,
		    last_error_code = NULL, last_error = NULL, last_request_id = NULL, last_correlation_id = NULL
		WHERE s.scheduled_run = @run::bigint AND s.scheduled_outcome = 'waits' AND ` + run.devicesPending() + ` AND ` + free + `
		RETURNING s.customer_id::text`
	args := run.args()
	args["lease"] = s.lease
	rows, _ := tx.Query(ctx, leave, args) // CollectRows returns its error
	left, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return false, fmt.Errorf("leaving device lists to the next run: %w", err)
	}
	Counts{CustomersOK: len(left)}.queue(last, run.ID, 0)
	return s.noteRecovered(ctx, tx, run, left)
}

// finish ends the run if nothing is left to do, and tells whether it has. It sums up what it needs by itself: for more, such as
// the view of runs, PostgreSQL would plan it anew each time.
func (s *Store) finish(batch *pgx.Batch, run Run, late bool, ended *bool) {
	finish := `
		UPDATE partnersync.runs r
		SET finished_at = clock_timestamp(),
		    customers_total = greatest(r.customers_total, n.ok + n.failed), -- others may have come meanwhile
		    state = CASE WHEN n.ok = 0 THEN 'failed'
		                 WHEN n.ok < r.customers_total OR n.failed > 0 OR r.error IS NOT NULL THEN 'partial'
		                 ELSE 'complete' END
		FROM (SELECT coalesce(sum(customers_ok), 0) AS ok, coalesce(sum(customers_failed), 0) AS failed
		      FROM partnersync.run_counts
		      WHERE run_id = @run) n
		WHERE r.run_id = @run AND r.state = 'running' AND r.enumerated_at IS NOT NULL
		  AND NOT EXISTS (SELECT 1 FROM partnersync.customer_state s WHERE ` + run.pending() + `)
		  AND NOT EXISTS (SELECT 1 FROM partnersync.customer_state s WHERE ` + run.devicesPending() + ` AND NOT (@late AND ` + free + `))`
	args := run.args()
	args["late"], args["lease"] = late, s.lease
	batch.Queue(finish, args).Exec(func(tag pgconn.CommandTag) error {
		*ended = tag.RowsAffected() > 0
		return nil
	})
}

// args are the arguments that pending and devicesPending need.
func (r Run) args() pgx.NamedArgs {
	args := pgx.NamedArgs{"run": r.ID, "partner": r.Partner, "customers": r.Customers, "skip": r.Skip}
	if r.Devices != nil {
		args["refresh"] = r.Devices.Refresh
	}
	return args
}

// LeaveRun takes this worker out of a run that it cannot bring to its end. With no other live worker in it, the run
// becomes abandoned. The claims of this worker on the partner's customers are let go.
func (s *Store) LeaveRun(ctx context.Context, run Run) error {
	const leave = `
		DELETE FROM partnersync.run_workers WHERE run_id = @run AND worker_id = @worker::uuid`
	const abandon = `
		UPDATE partnersync.runs
		SET state = 'abandoned', finished_at = clock_timestamp()
		WHERE run_id = @run AND state = 'running' AND NOT EXISTS (
		    SELECT 1
		    FROM partnersync.run_workers m
		    JOIN partnersync.workers w ON w.worker_id = m.worker_id
		    WHERE m.run_id = @run AND ` + alive + `)`
	args := pgx.NamedArgs{"run": run.ID, "partner": run.Partner, "worker": s.worker, "lease": s.lease}
	err := s.write(ctx, func(tx *transaction) error {
		batch := &pgx.Batch{}
		lockPartner(batch, run.Partner)
		batch.Queue(leave, args)
		batch.Queue(abandon, args)
		s.letGo(batch, run.Partner)
		return tx.end(ctx, batch)
	})
	if err != nil {
		return fmt.Errorf("leaving run %d of partner %s: %w", run.ID, run.Partner, err)
	}
	return nil
}

// letGo gives this worker's claims on the partner and its customers back.
func (s *Store) letGo(batch *pgx.Batch, partner string) {
	const customers = `
		UPDATE partnersync.customer_state SET owner = NULL WHERE partner = @partner AND owner = @worker::uuid`
	const enumeration = `
		UPDATE partnersync.partner_state SET owner = NULL WHERE partner = @partner AND owner = @worker::uuid`
	args := pgx.NamedArgs{"partner": partner, "worker": s.worker}
	batch.Queue(customers, args)
	batch.Queue(enumeration, args)
}
