package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// resumable is how long after its start an unfinished backfill can be resumed.
const resumable = 24 * time.Hour

// RunRequest asks for a run.
type RunRequest struct {
	Partner      string
	Kind         string
	ScheduledFor time.Time // the tick; now for runs that follow no schedule
	// Due is the newest tick that has come, if any: an open scheduled run that no worker is left for is continued
	// unless Due is later than its own tick.
	Due time.Time
	// Customers restricts the run; nil: all of the partner's.
	Customers []string
	// Filter describes what the run was asked for in a fixed form; a backfill is resumed under the same one only.
	Filter string
	// Skip are customers that a restricted run leaves out without removing them.
	Skip []string
	// Devices says which device lists to read; nil: none.
	Devices *DeviceReading
	// Policies: configuration policies are read.
	Policies bool
	// Restart begins a backfill anew even if one could be resumed.
	Restart bool
}

// Opened is the answer to a RunRequest.
type Opened struct {
	Run     Run
	Joined  bool // other workers are in the run already, or were
	Resumed bool // an unfinished backfill goes on
}

// ErrTickDone is returned by OpenRun for a tick whose run is over.
var ErrTickDone = errors.New("the run of this tick is over")

// ErrUnderway is returned by OpenRun while another run of the partner of the same kind, once or backfill, has live
// workers.
var ErrUnderway = errors.New("another run of this kind is under way")

// OpenRun opens a run, or joins the one that is open, by the rules of its kind:
//
//   - scheduled: one run of a partner is open at a time. A live one is joined, whatever its tick. One that no worker is
//     left for is continued, or becomes abandoned if a newer tick is due.
//   - once: a new run.
//   - backfill: the newest one with the same filter goes on if it is unfinished and younger than 24 h; else a new run.
//
// Of the latter kinds, one run of a partner is open at a time: a new one has to wait, with ErrUnderway. Those that have
// no live worker become abandoned.
func (s *Store) OpenRun(ctx context.Context, r RunRequest) (Opened, error) {
	const abandon = `
		UPDATE partnersync.runs r
		SET state = 'abandoned', finished_at = clock_timestamp()
		WHERE r.partner = @partner AND r.state = 'running'
		  AND (r.kind <> 'scheduled' OR @kind = 'scheduled' AND r.scheduled_for < @due::timestamptz)
		  AND NOT EXISTS (
		      SELECT
		      FROM partnersync.run_workers m
		      JOIN partnersync.live_workers w ON w.worker_id = m.worker_id
		      WHERE m.run_id = r.run_id)`
	const enter = `
		INSERT INTO partnersync.run_workers (run_id, worker_id) VALUES (@run, @worker::uuid)
		ON CONFLICT DO NOTHING`
	var o Opened
	err := s.write(ctx, func(tx pgx.Tx) (err error) {
		args := pgx.NamedArgs{"partner": r.Partner, "kind": r.Kind, "due": r.Due, "worker": s.worker}
		// The claims are those that an earlier try of this worker has left behind.
		begin := batchOf(args, createPartnerSQL, lockPartnerSQL, releaseEnumerationSQL, releaseCustomersSQL, abandon)
		if err := tx.SendBatch(ctx, begin).Close(); err != nil {
			return fmt.Errorf("locking the partner's state, releasing claims and abandoning runs that no worker is left for: %w", err)
		}
		id, err := findRun(ctx, tx, r)
		if o.Joined = id != 0; err == nil && !o.Joined {
			id, err = insertRun(ctx, tx, r)
		}
		if err != nil {
			return err
		}
		o.Resumed = o.Joined && r.Kind == Backfill
		o.Run = Run{ID: id, Customers: r.Customers, Skip: r.Skip, Devices: r.Devices, Policies: r.Policies}
		args["run"] = id
		batch := batchOf(args, enter)
		queueReadRun(batch, &o.Run)
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return Opened{}, fmt.Errorf("opening a %s run of partner %s: %w", r.Kind, r.Partner, err)
	}
	return o, nil
}

// findRun returns the run to join or to resume; 0 if a new one is to be inserted. The error is ErrTickDone or
// ErrUnderway if there can be none.
func findRun(ctx context.Context, tx pgx.Tx, r RunRequest) (id int64, err error) {
	const open = `
		SELECT coalesce(max(run_id), 0)
		FROM partnersync.runs
		WHERE partner = @partner AND kind = @kind AND state = 'running'`
	// The newest run tells, not the latest tick: that may lie in the future, if a clock was ahead once or was set back.
	const done = `
		SELECT coalesce((
		    SELECT scheduled_for BETWEEN @scheduled_for::timestamptz AND clock_timestamp() + interval '1 minute'
		    FROM partnersync.runs
		    WHERE partner = @partner AND kind = 'scheduled' AND state <> 'abandoned'
		    ORDER BY run_id DESC
		    LIMIT 1), false)`
	if r.Kind == Backfill && !r.Restart {
		if id, err = resumeBackfill(ctx, tx, r); id != 0 || err != nil {
			return id, err
		}
	}
	args := pgx.NamedArgs{"partner": r.Partner, "kind": r.Kind, "scheduled_for": r.ScheduledFor}
	var over bool
	batch := &pgx.Batch{}
	batch.Queue(open, args).QueryRow(func(row pgx.Row) error { return row.Scan(&id) })
	if r.Kind == Scheduled {
		batch.Queue(done, args).QueryRow(func(row pgx.Row) error { return row.Scan(&over) })
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return 0, fmt.Errorf("looking for a run to join: %w", err)
	}
	switch {
	case r.Kind != Scheduled && id != 0:
		return 0, ErrUnderway
	case id == 0 && over:
		return 0, ErrTickDone
	}
	return id, nil
}

// resumeBackfill returns the backfill that goes on; 0 if there is none.
func resumeBackfill(ctx context.Context, tx pgx.Tx, r RunRequest) (id int64, err error) {
	const resume = `
		UPDATE partnersync.runs r
		SET state = 'running', finished_at = NULL
		FROM (
		    SELECT run_id, state
		    FROM partnersync.runs
		    WHERE partner = @partner AND kind = 'backfill' AND filter = @filter
		    ORDER BY run_id DESC
		    LIMIT 1
		) newest
		WHERE r.run_id = newest.run_id AND newest.state IN ('running', 'abandoned')
		  AND r.started_at BETWEEN clock_timestamp() - @resumable::interval AND clock_timestamp() + @resumable::interval
		RETURNING r.run_id, newest.state = 'abandoned'`
	args := pgx.NamedArgs{"partner": r.Partner, "filter": r.Filter, "resumable": resumable}
	rows, _ := tx.Query(ctx, resume, args) // ForEachRow returns its error
	var abandoned bool
	if _, err := pgx.ForEachRow(rows, []any{&id, &abandoned}, func() error { return nil }); err != nil {
		return 0, fmt.Errorf("looking for a backfill to resume: %w", err)
	}
	if abandoned {
		err = recount(ctx, tx, r, id)
	}
	return id, err
}

// recount counts the customers of an abandoned backfill that is resumed: those that another backfill has done since are
// to be done again, and those that have left since they were counted stay.
func recount(ctx context.Context, tx pgx.Tx, r RunRequest, run int64) error {
	const clear = `
		UPDATE partnersync.run_counts SET customers_ok = 0, customers_failed = 0 WHERE run_id = @run`
	const count = `
		INSERT INTO partnersync.run_counts (run_id, shard, customers_ok, customers_failed)
		SELECT @run, 0, c.ok, c.failed + t.contested
		FROM (
		    SELECT count(*) FILTER (WHERE outcome = 'ok') AS ok, count(*) FILTER (WHERE outcome = 'failed') AS failed
		    FROM partnersync.customer_runs
		    WHERE kind = 'backfill' AND run_id = @run
		) c, (
		    SELECT count(*) AS contested
		    FROM partnersync.contested_customers
		    WHERE partner = @partner AND (@customers::uuid[] IS NULL OR customer_id = ANY (@customers::uuid[]))
		) t
		WHERE EXISTS (SELECT FROM partnersync.runs WHERE run_id = @run AND enumerated_at IS NOT NULL)
		ON CONFLICT (run_id, shard) DO UPDATE
		SET customers_ok = excluded.customers_ok, customers_failed = excluded.customers_failed`
	args := pgx.NamedArgs{"run": run, "partner": r.Partner, "customers": r.Customers}
	if err := tx.SendBatch(ctx, batchOf(args, clear, count)).Close(); err != nil {
		return fmt.Errorf("counting the customers of backfill %d: %w", run, err)
	}
	return nil
}

func insertRun(ctx context.Context, tx pgx.Tx, r RunRequest) (id int64, err error) {
	const insert = `
		INSERT INTO partnersync.runs (partner, kind, filter, customers, scheduled_for, started_at)
		VALUES (@partner, @kind, @filter, @customers::uuid[], @scheduled_for::timestamptz, clock_timestamp())
		RETURNING run_id`
	args := pgx.NamedArgs{
		"partner": r.Partner, "kind": r.Kind, "filter": r.Filter, "customers": r.Customers, "scheduled_for": r.ScheduledFor,
	}
	if err := tx.QueryRow(ctx, insert, args).Scan(&id); err != nil {
		return 0, fmt.Errorf("inserting a run: %w", err)
	}
	return id, nil
}
