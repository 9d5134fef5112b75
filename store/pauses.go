package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pace is what the replicas know of each other's requests to a partner's API.
type Pace struct {
	Workers int           `db:"workers"` // that have a live heartbeat in an open run of the partner, and so share its rate
	Pause   time.Duration `db:"pause"`   // how long the API has still asked the partner to wait
}

// Pace returns how the partner's rate is shared now, and whether its API makes everybody wait, by the database's clock.
func (s *Store) Pace(ctx context.Context, partner string) (Pace, error) {
	const read = `
		SELECT (
		           SELECT count(DISTINCT m.worker_id)
		           FROM partnersync.runs r
		           JOIN partnersync.run_workers m ON m.run_id = r.run_id
		           JOIN partnersync.live_workers w ON w.worker_id = m.worker_id
		           WHERE r.partner = @partner AND r.state = 'running'
		       ) AS workers,
		       greatest(coalesce((
		           SELECT paused_until - clock_timestamp() FROM partnersync.partner_pauses WHERE partner = @partner
		       ), '0'), '0') AS pause`
	paces, err := collect(ctx, s.readOnly, read, pgx.NamedArgs{"partner": partner}, pgx.RowToStructByName[Pace])
	if err != nil {
		return Pace{}, fmt.Errorf("reading the pace of partner %s: %w", partner, err)
	}
	return paces[0], nil
}

// Pause makes all replicas leave the partner's API alone for so long. It never shortens a pause.
func (s *Store) Pause(ctx context.Context, partner string, d time.Duration) error {
	const pause = `
		INSERT INTO partnersync.partner_pauses AS p (partner, paused_until)
		VALUES (@partner, clock_timestamp() + @pause::interval)
		ON CONFLICT (partner) DO UPDATE SET paused_until = greatest(p.paused_until, excluded.paused_until)`
	if _, err := s.exec(ctx, pause, pgx.NamedArgs{"partner": partner, "pause": d}); err != nil {
		return fmt.Errorf("pausing partner %s: %w", partner, err)
	}
	return nil
}
