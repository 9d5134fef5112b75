package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// alive is true of a worker w whose claims hold. It needs the argument lease, an interval.
const alive = `w.heartbeat_at > clock_timestamp() - @lease::interval`

// Heartbeat says that this worker lives. Call it before the first claim and then several times in a lease.
func (s *Store) Heartbeat(ctx context.Context) error {
	const beat = `
		INSERT INTO partnersync.workers AS w (worker_id, host, version, started_at, heartbeat_at)
		VALUES (@worker::uuid, @host, @version, clock_timestamp(), clock_timestamp())
		ON CONFLICT (worker_id) DO UPDATE SET heartbeat_at = greatest(w.heartbeat_at, excluded.heartbeat_at)`
	_, err := s.pool.Exec(ctx, beat, pgx.NamedArgs{"worker": s.worker, "host": s.host, "version": s.version})
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "25006" { // read_only_sql_transaction
		// A server that has become a standby need not close its connections: with new ones, target_session_attrs may find
		// the one that is writable now.
		s.pool.Reset()
	}
	if err != nil {
		return fmt.Errorf("writing the heartbeat: %w", err)
	}
	return nil
}

// Leave takes this worker off the list, and with it lets all its claims go. Workers that were last heard of ten leases
// ago are forgotten too.
func (s *Store) Leave(ctx context.Context) error {
	const leave = `
		DELETE FROM partnersync.workers
		WHERE worker_id = @worker::uuid OR heartbeat_at < clock_timestamp() - 10 * @lease::interval`
	if _, err := s.pool.Exec(ctx, leave, pgx.NamedArgs{"worker": s.worker, "lease": s.lease}); err != nil {
		return fmt.Errorf("taking the worker off the list: %w", err)
	}
	return nil
}
