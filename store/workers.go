package store

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// heartbeatPool gives heartbeats a connection of their own, since merges may hold all those of the pool for longer than
// the lease. The zero value is ready.
type heartbeatPool struct {
	mu      sync.Mutex
	started bool          // there has been a heartbeat
	pool    *pgxpool.Pool // of one connection, since a pool reconnects where it is lost; nil: there is none
}

// open returns the connection, which is made as those of the pool are. The first heartbeat goes over the pool itself,
// which nobody needs before it: a short pass has none after it.
func (h *heartbeatPool) open(ctx context.Context, like *pgxpool.Pool) (*pgxpool.Pool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.started {
		h.started = true
		return like, nil
	}
	if h.pool == nil {
		config := like.Config()
		config.MaxConns, config.MinConns, config.MinIdleConns = 1, 0, 0
		var err error
		if h.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
			return nil, err
		}
	}
	return h.pool, nil
}

func (h *heartbeatPool) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.started = false
	if h.pool != nil {
		ClosePool(h.pool)
		h.pool = nil
	}
}

// NoteProgress notes that the run goes on: a page of the API was received, or a result recorded. The next heartbeat
// lets everybody know.
func (s *Store) NoteProgress(run Run) { s.progressed.Store(run.ID, true) }

// Heartbeat keeps this worker's claims, and says on which runs there was progress. Call it before the first claim and
// then several times in a lease, and Leave after the last: it keeps a connection from the second on.
func (s *Store) Heartbeat(ctx context.Context) error {
	const beat = `
		WITH progress AS (
		    UPDATE partnersync.run_workers
		    SET progressed_at = clock_timestamp()
		    WHERE worker_id = @worker::uuid AND run_id = ANY (@runs::bigint[])
		)
		INSERT INTO partnersync.workers (worker_id, host, version, started_at, heartbeat_at, lease)
		VALUES (@worker::uuid, @host, @version, clock_timestamp(), clock_timestamp(), @lease)
		ON CONFLICT (worker_id) DO UPDATE SET heartbeat_at = excluded.heartbeat_at, lease = excluded.lease
		RETURNING heartbeat_at`
	pool, err := s.heartbeats.open(ctx, s.pool)
	if err != nil {
		return fmt.Errorf("connecting for the heartbeat: %w", err)
	}
	runs := []int64{}
	s.progressed.Range(func(run, _ any) bool {
		s.progressed.Delete(run)
		runs = append(runs, run.(int64))
		return true
	})
	err = s.transact(ctx, pool, "READ WRITE", func(tx pgx.Tx) error {
		var now Clock
		args := pgx.NamedArgs{
			"worker": s.worker, "host": s.host, "version": s.version, "lease": s.lease, "runs": runs,
		}
		if err := tx.QueryRow(ctx, beat, args).Scan(&now.Database); err != nil {
			return err
		}
		now.Local = time.Now()
		s.clock.Store(&now)
		return nil
	})
	if err != nil {
		for _, run := range runs {
			s.progressed.Store(run, true)
		}
		return fmt.Errorf("writing the heartbeat: %w", err)
	}
	return nil
}

// Now returns the time by the database's clock, as it was learned with the last heartbeat, and this process's own
// before the first.
func (s *Store) Now() time.Time {
	if c := s.clock.Load(); c != nil {
		return c.ObservedAt(time.Now())
	}
	return time.Now()
}

// Leave takes this worker off the list, so that others may take its claims over at once. Workers whose last heartbeat
// is ten leases old are removed too.
func (s *Store) Leave(ctx context.Context) error {
	const leave = `
		DELETE FROM partnersync.workers
		WHERE worker_id = @worker::uuid
		   OR worker_id IN (
		       SELECT worker_id
		       FROM partnersync.workers
		       WHERE heartbeat_at NOT BETWEEN clock_timestamp() - 10 * lease AND clock_timestamp() + 10 * lease
		       FOR UPDATE SKIP LOCKED)`
	defer s.heartbeats.close()
	if _, err := s.exec(ctx, leave, pgx.NamedArgs{"worker": s.worker}); err != nil {
		return fmt.Errorf("taking the worker off the list: %w", err)
	}
	return nil
}
