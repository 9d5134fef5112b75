package outbox

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Delivery is what an endpoint is sent at once, and receives as a whole or not at all: a notification, or several that
// were gathered.
type Delivery struct {
	ID            string // uuid: the same at each attempt; that of the notification, if it is not gathered
	Attempts      int    // including this one
	Notifications []Notification
}

// Notification is an event for an endpoint.
type Notification struct {
	MessageID string    // uuid: the same at each endpoint
	Type      string    // such as BatchFinished
	CreatedAt time.Time // when it was put into the outbox
	Data      EventData

	eventID int64
}

// Gathering is how an endpoint's notifications become deliveries of several. No two in a delivery have one subject: the
// later one has to wait for the earlier.
type Gathering struct {
	Most int           // notifications in a delivery; 0: none are gathered, each is a delivery
	Wait time.Duration // for further ones, from the first on
}

// furthestAttempt is more than any notification is put off. One whose next attempt is further ahead is due: its time
// was left by a clock that was set back since.
const furthestAttempt = 2 * time.Hour

// Claim claims up to limit of the endpoint's deliveries that are due, the longest due first, and of each subject only
// the earliest notification. No other process gets them until the lease ends; then they are due again.
func (o *Outbox) Claim(
	ctx context.Context, endpoint string, limit int, lease time.Duration, g Gathering,
) (due []Delivery, err error) {
	err = o.write(ctx, func(tx pgx.Tx) error {
		if g.Most > 0 {
			if err := gather(ctx, tx, endpoint, g); err != nil {
				return err
			}
		}
		due, err = claimDue(ctx, tx, pgx.NamedArgs{
			"endpoint": endpoint, "limit": limit, "lease": lease, "furthest": furthestAttempt, "gathered": g.Most > 0,
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claiming notifications for %s: %w", endpoint, err)
	}
	return due, nil
}

// gather makes one delivery of those of the endpoint's notifications that belong to none, once the first of them has
// waited long enough. What a clock that was set back has dated ahead has waited, too.
func gather(ctx context.Context, tx pgx.Tx, endpoint string, g Gathering) error {
	const assign = `
		WITH fresh AS (
		    SELECT o.event_id, o.created_at
		    FROM partnersync.outbox o
		    WHERE o.endpoint = @endpoint AND o.delivery_id IS NULL
		      AND NOT EXISTS (
		          SELECT 1 FROM partnersync.outbox e
		          WHERE e.endpoint = o.endpoint AND e.subject = o.subject AND e.event_id < o.event_id)
		    ORDER BY o.event_id
		    LIMIT @most
		    FOR UPDATE OF o SKIP LOCKED
		)
		UPDATE partnersync.outbox
		SET delivery_id = @delivery_id, attempts = 0
		WHERE event_id IN (SELECT event_id FROM fresh)
		  AND (SELECT min(created_at) FROM fresh)
		      NOT BETWEEN clock_timestamp() - @wait::interval AND clock_timestamp()`
	args := pgx.NamedArgs{"endpoint": endpoint, "most": g.Most, "wait": g.Wait, "delivery_id": uuid.New()}
	_, err := tx.Exec(ctx, assign, args)
	return err
}

// claimDue claims the deliveries that are due: single notifications, or those that were gathered, which are due when
// their first one is.
func claimDue(ctx context.Context, tx pgx.Tx, args pgx.NamedArgs) ([]Delivery, error) {
	const claim = `
		WITH due AS (
		    SELECT o.event_id, o.delivery_id
		    FROM partnersync.outbox o
		    WHERE o.endpoint = @endpoint
		      AND o.next_at NOT BETWEEN clock_timestamp() AND clock_timestamp() + @furthest::interval
		      AND NOT EXISTS (
		          SELECT 1 FROM partnersync.outbox e
		          WHERE e.endpoint = o.endpoint AND e.subject = o.subject AND e.event_id < o.event_id)
		      AND (NOT @gathered OR o.delivery_id IS NOT NULL AND NOT EXISTS (
		          SELECT 1 FROM partnersync.outbox e
		          WHERE e.delivery_id = o.delivery_id AND e.event_id < o.event_id))
		    ORDER BY o.next_at, o.event_id
		    LIMIT @limit
		    FOR UPDATE OF o SKIP LOCKED
		)
		UPDATE partnersync.outbox o
		SET next_at = clock_timestamp() + @lease::interval, attempts = o.attempts + 1
		FROM due
		WHERE o.event_id = due.event_id OR @gathered AND o.delivery_id = due.delivery_id
		RETURNING CASE WHEN @gathered THEN o.delivery_id ELSE o.message_id END::text, o.attempts,
		          o.event_id, o.message_id::text, o.type, o.created_at, o.data`
	rows, _ := tx.Query(ctx, claim, args) // CollectRows returns its error
	single, err := pgx.CollectRows(rows, scanDelivery)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(single, func(a, b Delivery) int {
		return cmp.Compare(a.Notifications[0].eventID, b.Notifications[0].eventID)
	})
	var due []Delivery
	for _, d := range single {
		i := slices.IndexFunc(due, func(other Delivery) bool { return other.ID == d.ID })
		if i < 0 {
			due = append(due, d)
		} else {
			due[i].Notifications = append(due[i].Notifications, d.Notifications...)
		}
	}
	return due, nil
}

// scanDelivery reads a delivery with the one of its notifications that is in the row.
func scanDelivery(row pgx.CollectableRow) (d Delivery, err error) {
	var n Notification
	var data []byte
	if err := row.Scan(&d.ID, &d.Attempts, &n.eventID, &n.MessageID, &n.Type, &n.CreatedAt, &data); err != nil {
		return d, err
	}
	err = json.Unmarshal(data, &n.Data)
	d.Notifications = []Notification{n}
	return d, err
}

// eventIDs returns the keys of the delivery's rows.
func (d Delivery) eventIDs() (ids []int64) {
	for _, n := range d.Notifications {
		ids = append(ids, n.eventID)
	}
	return ids
}

// Remove removes a delivery, which has been received or never will be, from the outbox.
func (o *Outbox) Remove(ctx context.Context, d Delivery) error {
	const remove = `
		DELETE FROM partnersync.outbox WHERE event_id = ANY (@event_ids)`
	if err := o.exec(ctx, remove, pgx.NamedArgs{"event_ids": d.eventIDs()}); err != nil {
		return fmt.Errorf("removing a delivery from the outbox: %w", err)
	}
	return nil
}

// Retry ends the claim of a delivery and lets it be due after a time. If another process has
// claimed it since, it stays as it is.
func (o *Outbox) Retry(ctx context.Context, d Delivery, after time.Duration) error {
	const retry = `
		UPDATE partnersync.outbox SET next_at = clock_timestamp() + @after::interval
		WHERE event_id = ANY (@event_ids) AND attempts = @attempts`
	args := pgx.NamedArgs{"event_ids": d.eventIDs(), "attempts": d.Attempts, "after": after}
	if err := o.exec(ctx, retry, args); err != nil {
		return fmt.Errorf("postponing a delivery: %w", err)
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
// are too old to be reported again. What others have locked is left to the next time.
func (o *Outbox) GiveUp(ctx context.Context) (map[string]int, error) {
	const giveUp = `
		WITH old AS (
		    DELETE FROM partnersync.outbox
		    WHERE event_id IN (
		        SELECT event_id
		        FROM partnersync.outbox
		        WHERE created_at < clock_timestamp() - @within::interval
		        FOR UPDATE SKIP LOCKED)
		    RETURNING endpoint
		)
		SELECT endpoint, count(*) FROM old GROUP BY endpoint`
	const forget = `
		DELETE FROM partnersync.notified
		WHERE (endpoint, type, subject) IN (
		    SELECT endpoint, type, subject
		    FROM partnersync.notified
		    WHERE endpoint = @endpoint AND type = @type
		      AND since < clock_timestamp() - @stuck_after::interval - 2 * @within::interval
		    FOR UPDATE SKIP LOCKED)`
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
