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

// longestPause is how long an API is obeyed that asks to wait. A pause that lies further ahead has been left by a clock
// that was set back since.
const longestPause = 5 * time.Minute

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
	// The limit is written in place of the time, so that it runs out.
	const shorten = `
		UPDATE partnersync.partner_pauses SET paused_until = clock_timestamp() + @longest::interval
		WHERE partner = @partner AND paused_until > clock_timestamp() + @longest::interval`
	paces, err := collect(ctx, s.readOnly, read, pgx.NamedArgs{"partner": partner}, pgx.RowToStructByName[Pace])
	if err != nil {
		return Pace{}, fmt.Errorf("reading the pace of partner %s: %w", partner, err)
	}
	if pace := paces[0]; pace.Pause <= longestPause {
		return pace, nil
	}
	if _, err := s.exec(ctx, shorten, pgx.NamedArgs{"partner": partner, "longest": longestPause}); err != nil {
		return Pace{}, fmt.Errorf("shortening the pause of partner %s: %w", partner, err)
	}
	return Pace{Workers: paces[0].Workers, Pause: longestPause}, nil
}

// Pause makes all replicas leave the partner's API alone for so long. It never shortens a pause.
func (s *Store) Pause(ctx context.Context, partner string, d time.Duration) error {
	const pause = `
		INSERT INTO partnersync.partner_pauses AS p (partner, paused_until)
		VALUES (@partner, clock_timestamp() + @pause::interval)
		ON CONFLICT (partner) DO UPDATE
		SET paused_until = least(greatest(p.paused_until, excluded.paused_until), clock_timestamp() + @longest::interval)`
	args := pgx.NamedArgs{"partner": partner, "pause": min(d, longestPause), "longest": longestPause}
	if _, err := s.exec(ctx, pause, args); err != nil {
		return fmt.Errorf("pausing partner %s: %w", partner, err)
	}
	return nil
}
