package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

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
