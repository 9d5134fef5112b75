package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// resumable is how long after its start an unfinished backfill is taken up again.
const resumable = 24 * time.Hour

// RunRequest asks for a run.
type RunRequest struct {
	Partner      string
	Kind         string
	ScheduledFor time.Time // the tick; now for runs that follow no schedule
	// Due is the newest tick that has come, if any: an open scheduled run that no worker is left for is continued unless
	// Due is later than its own tick.
	Due time.Time
	// Customers restricts the run; nil: all of the partner's.
	Customers []string
	// Filter describes what the run was asked for in a fixed form; a backfill is resumed under the same one only.
	Filter string
	// Skip are customers that a restricted run leaves out without removing them.
	Skip []string
	// Devices says which device lists to read; nil: none.
	Devices *DeviceReading
	// Restart begins a backfill anew even if one could be resumed.
	Restart bool
	// Enumerate claims the enumeration, too.
	Enumerate bool
}

// Opened is the answer to a RunRequest.
type Opened struct {
	Run     Run
	Joined  bool // other workers are in the run already, or were
	Resumed bool // an unfinished backfill goes on
	// Enumeration is the claim that was asked for; nil: there is no need for it, or another worker holds it.
	Enumeration *EnumerationClaim
}

// ErrTickDone is returned by OpenRun for a tick whose run is over.
var ErrTickDone = errors.New("the run of this tick is over")

// ErrUnderway is returned by OpenRun while another run of the partner of the same kind, once or backfill, has live workers.
var ErrUnderway = errors.New("another run of this kind is under way")

// OpenRun opens a run, or joins the one that is open, by the rules of its kind:
//
//   - scheduled: one run of a partner is open at a time. A live one is joined, whatever its tick. One that no worker is
//     left for is continued, or becomes abandoned if a newer tick is due.
//   - once: a new run.
//   - backfill: the newest one with the same filter goes on if it is unfinished and younger than 24 h; else a new run.
//
// Of the latter kinds, one run of a partner is open at a time: a new one has to wait, with ErrUnderway. Those that have no
// live worker become abandoned.
func (s *Store) OpenRun(ctx context.Context, r RunRequest) (Opened, error) {
	var o Opened
	err := s.write(ctx, func(tx *transaction) error {
		id, joined, err := s.findOrInsertRun(ctx, tx, r)
		if err != nil {
			return err
		}
		o.Joined = joined
		o.Resumed = joined && r.Kind == Backfill
		return s.enter(ctx, tx, r, id, &o)
	})
	if err != nil {
		return Opened{}, fmt.Errorf("opening a %s run of partner %s: %w", r.Kind, r.Partner, err)
	}
	return o, nil
}

// enter makes this worker part of the run. Claims that an earlier try of the worker left behind are let go.
func (s *Store) enter(ctx context.Context, tx *transaction, r RunRequest, id int64, o *Opened) error {
	const enter = `
		INSERT INTO partnersync.run_workers (run_id, worker_id) VALUES (@run, @worker::uuid)
		ON CONFLICT DO NOTHING`
	batch := &pgx.Batch{}
	batch.Queue(enter, pgx.NamedArgs{"run": id, "worker": s.worker})
	s.letGo(batch, r.Partner)
	queueRead(batch, id, &o.Run)
	if r.Enumerate {
		s.claimEnumeration(batch, r.Partner, id, &o.Enumeration)
	}
	if err := tx.end(ctx, batch); err != nil {
		return fmt.Errorf("entering run %d: %w", id, err)
	}
	o.Run.Customers, o.Run.Skip, o.Run.Devices = r.Customers, r.Skip, r.Devices
	if o.Enumeration != nil {
		o.Enumeration.Run = o.Run
	}
	return nil
}

// lockPartner makes those who open runs of a partner take turns, and creates its state.
func lockPartner(batch *pgx.Batch, partner string) {
	const create = `
		INSERT INTO partnersync.partner_state (partner) VALUES (@partner)
		ON CONFLICT DO NOTHING`
	const lock = `
		SELECT 1 FROM partnersync.partner_state WHERE partner = @partner FOR UPDATE`
	args := pgx.NamedArgs{"partner": partner}
	batch.Queue(create, args)
	batch.Queue(lock, args)
}

// abandonDead marks the partner's runs that no live worker is in, but for a scheduled one that is still to be continued.
func (s *Store) abandonDead(batch *pgx.Batch, r RunRequest) {
	const abandon = `
		UPDATE partnersync.runs r
		SET state = 'abandoned', finished_at = clock_timestamp()
		WHERE r.partner = @partner AND r.state = 'running'
		  AND (r.kind <> 'scheduled' OR @kind = 'scheduled' AND r.scheduled_for < @due::timestamptz)
		  AND NOT EXISTS (
		      SELECT 1
		      FROM partnersync.run_workers m
		      JOIN partnersync.workers w ON w.worker_id = m.worker_id
		      WHERE m.run_id = r.run_id AND ` + alive + `)`
	batch.Queue(abandon, pgx.NamedArgs{"partner": r.Partner, "kind": r.Kind, "due": r.Due, "lease": s.lease})
}

// findOrInsertRun locks the partner, abandons its dead runs, and returns the id of the run to join or resume, or that of a new one.
// The error is ErrTickDone or ErrUnderway if there can be none.
func (s *Store) findOrInsertRun(ctx context.Context, tx *transaction, r RunRequest) (id int64, joined bool, err error) {
	const scheduled = `
		SELECT run_id, state = 'running' AS open, false AS anew
		FROM partnersync.runs
		WHERE partner = @partner AND kind = 'scheduled'
		  AND (state = 'running' OR state <> 'abandoned' AND scheduled_for >= @scheduled_for::timestamptz)
		ORDER BY state = 'running' DESC, run_id DESC
		LIMIT 1`
	const backfill = `
		UPDATE partnersync.runs r
		SET state = 'running', finished_at = NULL
		FROM (
		    SELECT run_id, state FROM partnersync.runs
		    WHERE partner = @partner AND kind = 'backfill' AND filter = @filter
		    ORDER BY run_id DESC
		    LIMIT 1
		) o
		WHERE r.run_id = o.run_id AND o.state IN ('running', 'abandoned') AND r.started_at > clock_timestamp() - @resumable::interval
		RETURNING r.run_id, true, o.state = 'abandoned'`
	// Nothing is inserted where the statement before found a run. max reads the last tick alone; EXISTS, by some plans, all runs.
	const insert = `
		INSERT INTO partnersync.runs (partner, kind, filter, customers, scheduled_for, started_at)
		SELECT @partner::text, @kind::text, @filter::text, @customers::uuid[], @scheduled_for::timestamptz, clock_timestamp()
		WHERE NOT EXISTS (SELECT 1 FROM partnersync.runs WHERE partner = @partner AND kind = @kind AND state = 'running')
		  AND (@kind <> 'scheduled' OR coalesce(@scheduled_for > (
		      SELECT max(scheduled_for) FROM partnersync.runs
		      WHERE partner = @partner AND kind = 'scheduled' AND state <> 'abandoned'), true))
		RETURNING run_id`
	args := pgx.NamedArgs{
		"partner": r.Partner, "kind": r.Kind, "filter": r.Filter, "customers": r.Customers, "scheduled_for": r.ScheduledFor,
		"resumable": resumable,
	}
	batch := &pgx.Batch{}
	lockPartner(batch, r.Partner)
	s.abandonDead(batch, r)
	var open, anew bool
	read := func(query string, into ...any) {
		batch.Queue(query, args).Query(func(rows pgx.Rows) error {
			_, err := pgx.ForEachRow(rows, into, func() error { return nil })
			return err
		})
	}
	switch {
	case r.Kind == Scheduled:
		read(scheduled, &id, &open, &anew)
	case r.Kind == Backfill && !r.Restart:
		read(backfill, &id, &open, &anew)
	}
	var inserted int64
	read(insert, &inserted)
	if err := tx.send(ctx, batch); err != nil {
		return 0, false, fmt.Errorf("looking for an open run, or inserting one: %w", err)
	}
	switch {
	case inserted != 0:
		return inserted, false, nil
	case id == 0:
		return 0, false, ErrUnderway
	case !open:
		return 0, false, ErrTickDone
	case anew:
		return id, true, recount(ctx, tx, r, id)
	}
	return id, true, nil
}

// recount counts the customers of a backfill that is resumed anew: those that another backfill has done since are to be done
// again.
func recount(ctx context.Context, tx *transaction, r RunRequest, run int64) error {
	const clear = `
		UPDATE partnersync.run_counts SET customers_ok = 0, customers_failed = 0 WHERE run_id = @run`
	const count = `
		INSERT INTO partnersync.run_counts (run_id, shard, customers_ok, customers_failed)
		SELECT r.run_id, 0,
		       (SELECT count(*) FROM partnersync.customer_state
		        WHERE partner = r.partner AND active AND backfill_run = r.run_id AND backfill_outcome = 'ok'),
		       (SELECT count(*) FROM partnersync.customer_state
		        WHERE partner = r.partner AND active AND backfill_run = r.run_id AND backfill_outcome = 'failed')
		     + (SELECT count(*) FROM partnersync.contested_customers
		        WHERE partner = r.partner AND (@customers::uuid[] IS NULL OR customer_id = ANY (@customers::uuid[])))
		FROM partnersync.runs r
		WHERE r.run_id = @run AND r.enumerated_at IS NOT NULL
		ON CONFLICT (run_id, shard) DO UPDATE SET customers_ok = excluded.customers_ok, customers_failed = excluded.customers_failed`
	if err := execAll(ctx, tx, pgx.NamedArgs{"run": run, "customers": r.Customers}, clear, count); err != nil {
		return fmt.Errorf("counting the customers of backfill %d: %w", run, err)
	}
	return nil
}
