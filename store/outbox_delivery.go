package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Notification is an event to be sent to an endpoint now.
type Notification struct {
	Endpoint  string    // its name
	MessageID string    // uuid: the same at each attempt
	Type      string    // such as BatchFinished
	CreatedAt time.Time // when it was put into the outbox
	Attempts  int       // including this one
	Data      EventData

	eventID int64
}

// ClaimNotifications claims up to limit of the endpoint's notifications that are due, the longest due first, and of
// each subject only the earliest. No other process gets them until the lease ends; then they are due again.
func (s *Store) ClaimNotifications(
	ctx context.Context, endpoint string, limit int, lease time.Duration,
) ([]Notification, error) {
	const claim = `
		WITH due AS (
		    SELECT o.event_id
		    FROM partnersync.outbox o
		    WHERE o.endpoint = @endpoint AND o.next_at <= clock_timestamp()
		      AND NOT EXISTS (
		          SELECT 1 FROM partnersync.outbox e
		          WHERE e.endpoint = o.endpoint AND e.subject = o.subject AND e.event_id < o.event_id)
		    ORDER BY o.next_at, o.event_id
		    LIMIT @limit
		    FOR UPDATE OF o SKIP LOCKED
		)
		UPDATE partnersync.outbox o
		SET next_at = clock_timestamp() + @lease::interval, attempts = o.attempts + 1
		FROM due
		WHERE o.event_id = due.event_id
		RETURNING o.event_id, o.message_id::text, o.endpoint, o.type, o.created_at, o.attempts, o.data`
	args := pgx.NamedArgs{"endpoint": endpoint, "limit": limit, "lease": lease}
	due, err := collect(ctx, s.write, claim, args, func(row pgx.CollectableRow) (n Notification, err error) {
		var data []byte
		if err := row.Scan(&n.eventID, &n.MessageID, &n.Endpoint, &n.Type, &n.CreatedAt, &n.Attempts, &data); err != nil {
			return n, err
		}
		return n, json.Unmarshal(data, &n.Data)
	})
	if err != nil {
		return nil, fmt.Errorf("claiming notifications for %s: %w", endpoint, err)
	}
	return due, nil
}

// RemoveNotification removes a notification, which has been received or never will be, from the outbox.
func (s *Store) RemoveNotification(ctx context.Context, n Notification) error {
	const remove = `
		DELETE FROM partnersync.outbox WHERE event_id = @event_id`
	if _, err := s.exec(ctx, remove, pgx.NamedArgs{"event_id": n.eventID}); err != nil {
		return fmt.Errorf("removing a notification from the outbox: %w", err)
	}
	return nil
}

// RetryNotification ends the claim of a notification and lets it be due after a time. If another process has
// claimed it since, it stays as it is.
func (s *Store) RetryNotification(ctx context.Context, n Notification, after time.Duration) error {
	const retry = `
		UPDATE partnersync.outbox SET next_at = clock_timestamp() + @after::interval
		WHERE event_id = @event_id AND attempts = @attempts`
	args := pgx.NamedArgs{"event_id": n.eventID, "attempts": n.Attempts, "after": after}
	if _, err := s.exec(ctx, retry, args); err != nil {
		return fmt.Errorf("postponing a notification: %w", err)
	}
	return nil
}

// NextNotification returns how long it takes until one of the endpoint's notifications is due, 0 if one is. If
// there are none, pending is false.
func (s *Store) NextNotification(ctx context.Context, endpoint string) (wait time.Duration, pending bool, err error) {
	const next = `
		SELECT min(greatest(o.next_at - clock_timestamp(), '0'))
		FROM partnersync.outbox o
		WHERE o.endpoint = @endpoint AND NOT EXISTS (
		    SELECT 1 FROM partnersync.outbox e
		    WHERE e.endpoint = o.endpoint AND e.subject = o.subject AND e.event_id < o.event_id)`
	left, err := collect(ctx, s.readOnly, next, pgx.NamedArgs{"endpoint": endpoint}, pgx.RowTo[*time.Duration])
	if err != nil {
		return 0, false, fmt.Errorf("looking for the next notification for %s: %w", endpoint, err)
	}
	if left[0] == nil {
		return 0, false, nil
	}
	return *left[0], true, nil
}

// GiveUpNotifications removes the notifications that could not be sent for NotifyWithin, including those of
// endpoints that are no longer configured, and returns their number by endpoint. It also forgets stuck batches that
// are too old to be reported again.
func (s *Store) GiveUpNotifications(ctx context.Context) (map[string]int, error) {
	const giveUp = `
		WITH old AS (
		    DELETE FROM partnersync.outbox
		    WHERE created_at < clock_timestamp() - @within::interval
		    RETURNING endpoint
		)
		SELECT endpoint, count(*) FROM old GROUP BY endpoint`
	const forget = `
		DELETE FROM partnersync.notified
		WHERE endpoint = @endpoint AND type = @type
		  AND since < clock_timestamp() - @stuck_after::interval - 2 * @within::interval`
	type givenUp struct {
		Endpoint string
		Count    int
	}
	all, err := collect(ctx, s.write, giveUp, pgx.NamedArgs{"within": NotifyWithin}, pgx.RowToStructByPos[givenUp])
	if err != nil {
		return nil, fmt.Errorf("giving notifications up: %w", err)
	}
	given := map[string]int{}
	for _, g := range all {
		given[g.Endpoint] = g.Count
	}
	for _, e := range s.subscribers("", BatchStuck) {
		args := pgx.NamedArgs{"endpoint": e.Name, "type": BatchStuck, "stuck_after": e.StuckAfter, "within": NotifyWithin}
		if _, err := s.exec(ctx, forget, args); err != nil {
			return given, fmt.Errorf("forgetting stuck batches: %w", err)
		}
	}
	return given, nil
}
