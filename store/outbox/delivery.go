package outbox

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

// furthestAttempt is more than any notification is put off. One whose next attempt is further ahead is due: its time was
// left by a clock that was set back since.
const furthestAttempt = 2 * time.Hour

// Claim claims up to limit of the endpoint's notifications that are due, the longest due first, and of
// each subject only the earliest. No other process gets them until the lease ends; then they are due again.
func (o *Outbox) Claim(
	ctx context.Context, endpoint string, limit int, lease time.Duration,
) ([]Notification, error) {
	const claim = `
		WITH due AS (
		    SELECT o.event_id
		    FROM partnersync.outbox o
		    WHERE o.endpoint = @endpoint
		      AND o.next_at NOT BETWEEN clock_timestamp() AND clock_timestamp() + @furthest::interval
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
	args := pgx.NamedArgs{"endpoint": endpoint, "limit": limit, "lease": lease, "furthest": furthestAttempt}
	var due []Notification
	err := o.write(ctx, func(tx pgx.Tx) (err error) {
		rows, _ := tx.Query(ctx, claim, args) // CollectRows returns its error
		due, err = pgx.CollectRows(rows, scanNotification)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claiming notifications for %s: %w", endpoint, err)
	}
	return due, nil
}

func scanNotification(row pgx.CollectableRow) (n Notification, err error) {
	var data []byte
	if err := row.Scan(&n.eventID, &n.MessageID, &n.Endpoint, &n.Type, &n.CreatedAt, &n.Attempts, &data); err != nil {
		return n, err
	}
	return n, json.Unmarshal(data, &n.Data)
}

// Remove removes a notification, which has been received or never will be, from the outbox.
func (o *Outbox) Remove(ctx context.Context, n Notification) error {
	const remove = `
		DELETE FROM partnersync.outbox WHERE event_id = @event_id`
	if err := o.exec(ctx, remove, pgx.NamedArgs{"event_id": n.eventID}); err != nil {
		return fmt.Errorf("removing a notification from the outbox: %w", err)
	}
	return nil
}

// Retry ends the claim of a notification and lets it be due after a time. If another process has
// claimed it since, it stays as it is.
func (o *Outbox) Retry(ctx context.Context, n Notification, after time.Duration) error {
	const retry = `
		UPDATE partnersync.outbox SET next_at = clock_timestamp() + @after::interval
		WHERE event_id = @event_id AND attempts = @attempts`
	args := pgx.NamedArgs{"event_id": n.eventID, "attempts": n.Attempts, "after": after}
	if err := o.exec(ctx, retry, args); err != nil {
		return fmt.Errorf("postponing a notification: %w", err)
	}
	return nil
}

// Next returns how long it takes until one of the endpoint's notifications is due, 0 if one is. If
// there are none, pending is false.
func (o *Outbox) Next(ctx context.Context, endpoint string) (wait time.Duration, pending bool, err error) {
	const next = `
		SELECT min(CASE WHEN o.next_at BETWEEN clock_timestamp() AND clock_timestamp() + @furthest::interval
		                THEN o.next_at - clock_timestamp() ELSE '0' END)
		FROM partnersync.outbox o
		WHERE o.endpoint = @endpoint AND NOT EXISTS (
		    SELECT 1 FROM partnersync.outbox e
		    WHERE e.endpoint = o.endpoint AND e.subject = o.subject AND e.event_id < o.event_id)`
	var left *time.Duration
	err = o.readOnly(ctx, func(tx pgx.Tx) error {
		args := pgx.NamedArgs{"endpoint": endpoint, "furthest": furthestAttempt}
		return tx.QueryRow(ctx, next, args).Scan(&left)
	})
	if err != nil {
		return 0, false, fmt.Errorf("looking for the next notification for %s: %w", endpoint, err)
	}
	if left == nil {
		return 0, false, nil
	}
	return *left, true, nil
}

// GiveUp removes the notifications that could not be sent for NotifyWithin, including those of
// endpoints that are no longer configured, and returns their number by endpoint. It also forgets stuck batches that
// are too old to be reported again.
func (o *Outbox) GiveUp(ctx context.Context) (map[string]int, error) {
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
	given := map[string]int{}
	err := o.write(ctx, func(tx pgx.Tx) error {
		clear(given)
		rows, _ := tx.Query(ctx, giveUp, pgx.NamedArgs{"within": NotifyWithin}) // ForEachRow returns its error
		var endpoint string
		var n int
		_, err := pgx.ForEachRow(rows, []any{&endpoint, &n}, func() error {
			given[endpoint] = n
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("giving notifications up: %w", err)
	}
	for _, e := range o.subscribers("", BatchStuck) {
		args := pgx.NamedArgs{"endpoint": e.Name, "type": BatchStuck, "stuck_after": e.StuckAfter, "within": NotifyWithin}
		if err := o.exec(ctx, forget, args); err != nil {
			return given, fmt.Errorf("forgetting stuck batches: %w", err)
		}
	}
	return given, nil
}
