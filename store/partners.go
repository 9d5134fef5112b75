package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
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

// PartnerSettings is what the configuration says of a partner and is needed to tell from the database alone how its
// sync goes. It holds no secret.
type PartnerSettings struct {
	Partner  string
	Schedule string // as in the configuration
	Timezone string // IANA name, of the schedule
	// RequestsPerMinute is the limit of the rate; 0: there is none.
	RequestsPerMinute int
}

// WritePartnerSettings replaces the settings in the database by those of the partners, and adds the endpoints that are
// notified of their events. The daemon calls it when it starts. Replicas with the same configuration write the same.
func (s *Store) WritePartnerSettings(ctx context.Context, partners []PartnerSettings) error {
	// In the order of the partners' names, whatever the order in a configuration.
	const lock = `
		SELECT FROM partnersync.partner_settings ORDER BY partner FOR UPDATE`
	const forget = `
		DELETE FROM partnersync.partner_settings
		WHERE partner <> ALL (@partners::text[])`
	const upsert = `
		INSERT INTO partnersync.partner_settings AS p (partner, schedule, timezone, requests_per_minute, endpoints, configured_at)
		VALUES (@partner, @schedule, @timezone, @requests_per_minute, @endpoints, clock_timestamp())
		ON CONFLICT (partner) DO UPDATE
		SET schedule = excluded.schedule, timezone = excluded.timezone,
		    requests_per_minute = excluded.requests_per_minute, endpoints = excluded.endpoints
		WHERE (p.schedule, p.timezone, p.requests_per_minute, p.endpoints)
		      IS DISTINCT FROM (excluded.schedule, excluded.timezone, excluded.requests_per_minute, excluded.endpoints)`
	names := make([]string, len(partners))
	partners = slices.SortedFunc(slices.Values(partners), func(a, b PartnerSettings) int {
		return strings.Compare(a.Partner, b.Partner)
	})
	batch := &pgx.Batch{}
	batch.Queue(lock)
	for i, p := range partners {
		names[i] = p.Partner
		batch.Queue(upsert, pgx.NamedArgs{
			"partner": p.Partner, "schedule": p.Schedule, "timezone": p.Timezone,
			"requests_per_minute": p.RequestsPerMinute, "endpoints": s.outbox.Subscribers(p.Partner),
		})
	}
	batch.Queue(forget, pgx.NamedArgs{"partners": names})
	if err := s.write(ctx, func(tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() }); err != nil {
		return fmt.Errorf("writing the partners' settings: %w", err)
	}
	return nil
}
