package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Reserve reserves n places, an interval apart from each other, at the partner's rate of requests, behind all that were
// reserved before by any replica. wait is how long it is until the first of them. Where the partner is paused, nothing is
// reserved and pause is how long it has still to wait. Asking again after an error is safe: at worst, places stay unused.
func (s *Store) Reserve(ctx context.Context, partner string, n int, interval time.Duration) (wait, pause time.Duration, err error) {
	// A statement by itself, and no lock beyond it. The commit need not wait for the disk: what a crash of the server may
	// lose is a block. What is reserved too far ahead is no reservation of anybody's: the server's clock went back.
	const reserve = `
		WITH t AS MATERIALIZED (
		    SELECT clock_timestamp() AS now, set_config('synchronous_commit', 'off', true)
		)
		INSERT INTO partnersync.partner_pace AS p (partner, reserved_until)
		SELECT @partner, t.now + @block::interval FROM t
		ON CONFLICT (partner) DO UPDATE
		SET reserved_until = CASE
		        WHEN p.paused_until > (SELECT now FROM t) THEN p.reserved_until
		        WHEN p.reserved_until < (SELECT now + @furthest::interval FROM t)
		            THEN greatest(p.reserved_until, (SELECT now FROM t)) + @block::interval
		        ELSE (SELECT now FROM t) + @block::interval END
		RETURNING greatest(p.reserved_until - @block::interval - (SELECT now FROM t), '0'),
		          greatest(p.paused_until - (SELECT now FROM t), '0')`
	args := pgx.NamedArgs{
		"partner": partner, "block": time.Duration(n) * interval, "furthest": max(10*time.Minute, 100*interval),
	}
	var first, left *time.Duration
	if err := s.pool.QueryRow(ctx, reserve, args).Scan(&first, &left); err != nil {
		return 0, 0, fmt.Errorf("reserving requests of partner %s: %w", partner, err)
	}
	if left != nil && *left > 0 {
		return 0, *left, nil
	}
	return *first, 0, nil
}

// pauseLeft is how long the partner has still to wait because the API asked for it. It needs the argument partner.
const pauseLeft = `
	greatest(coalesce((SELECT paused_until - clock_timestamp() FROM partnersync.partner_pace WHERE partner = @partner), '0'), '0')`

// PauseOf returns how long the partner has still to wait because the API asked for it, by the database's clock.
func (s *Store) PauseOf(ctx context.Context, partner string) (time.Duration, error) {
	const pause = `SELECT ` + pauseLeft
	var left time.Duration
	if err := s.pool.QueryRow(ctx, pause, pgx.NamedArgs{"partner": partner}).Scan(&left); err != nil {
		return 0, fmt.Errorf("reading the pause of partner %s: %w", partner, err)
	}
	return left, nil
}

// Pause makes all replicas leave the partner's API alone for so long. It never shortens a pause.
func (s *Store) Pause(ctx context.Context, partner string, d time.Duration) error {
	const pause = `
		INSERT INTO partnersync.partner_pace AS p (partner, paused_until)
		VALUES (@partner, clock_timestamp() + @pause::interval)
		ON CONFLICT (partner) DO UPDATE SET paused_until = greatest(p.paused_until, clock_timestamp() + @pause::interval)`
	if _, err := s.pool.Exec(ctx, pause, pgx.NamedArgs{"partner": partner, "pause": d}); err != nil {
		return fmt.Errorf("pausing partner %s: %w", partner, err)
	}
	return nil
}
