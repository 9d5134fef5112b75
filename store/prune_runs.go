package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// runsAtOnce is how many runs one transaction removes.
const runsAtOnce = 500

// PruneRuns removes the runs that ended longer ago than keep, with their counts and workers, and returns how many that
// were. Open runs stay, and so does the newest of each partner and kind, which says what has been done. While another
// worker is at it, there is nothing to do.
func (s *Store) PruneRuns(ctx context.Context, keep time.Duration) (removed int64, err error) {
	for {
		var n int64
		err := s.write(ctx, func(tx pgx.Tx) error {
			n, err = pruneRuns(ctx, tx, keep)
			return err
		})
		if err != nil {
			return removed, fmt.Errorf("removing runs older than %v: %w", keep, err)
		}
		removed += n
		if n < runsAtOnce {
			return removed, nil
		}
	}
}

func pruneRuns(ctx context.Context, tx pgx.Tx, keep time.Duration) (removed int64, err error) {
	// The lock ends with the transaction.
	const alone = `
		SELECT pg_try_advisory_xact_lock(hashtextextended('partnersync.runs are pruned', 0))`
	const prune = `
		DELETE FROM partnersync.runs
		WHERE run_id IN (
		    SELECT r.run_id
		    FROM partnersync.runs r
		    WHERE r.state <> 'running' AND r.finished_at < clock_timestamp() - @keep::interval
		      AND EXISTS (
		          SELECT 1
		          FROM partnersync.runs n
		          WHERE n.partner = r.partner AND n.kind = r.kind AND n.run_id > r.run_id)
		    ORDER BY r.run_id
		    LIMIT @limit
		    FOR UPDATE OF r SKIP LOCKED)`
	var mine bool
	if err := tx.QueryRow(ctx, alone).Scan(&mine); err != nil || !mine {
		return 0, err
	}
	tag, err := tx.Exec(ctx, prune, pgx.NamedArgs{"keep": keep, "limit": runsAtOnce})
	return tag.RowsAffected(), err
}
