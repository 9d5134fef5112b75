package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// NotifyWithin is how old an event may get: one that could not be sent for so long is given up, and a batch that
// has been stuck for so much longer than [Endpoint.StuckAfter] is no longer reported.
const NotifyWithin = 24 * time.Hour

// stuckBatchesSQL finds the batches that have become stuck in the last day. It leaves out those that had been
// stuck, or may have been, before they were first seen: a new installation should not report batches that were
// abandoned years ago. Once their status changes they count.
const stuckBatchesSQL = `
	SELECT u.customer_id::text, c.partner, c.company_name, u.batch_id, u.status, u.status_since,
	       u.created_by, u.creation_date, u.devices_count
	FROM partner_center.unfinished_device_batches u
	JOIN partner_center.customers c ON c.customer_id = u.customer_id
	WHERE c.removed_at IS NULL
	  AND (@customer_id::uuid IS NULL OR u.customer_id = @customer_id)
	  AND (@partners::text[] IS NULL OR c.partner = ANY (@partners))
	  AND u.status_since <= clock_timestamp() - @stuck_after::interval
	  AND u.status_since > clock_timestamp() - @stuck_after::interval - @within::interval
	  AND NOT (u.not_before IS NULL AND coalesce(u.creation_date < u.valid_from - @stuck_after::interval, true))
	ORDER BY u.customer_id, u.batch_id`

// EnqueueStuckBatches puts an event into the outbox for each batch that has become stuck since the last call in any
// process. It reads all unfinished batches and is therefore not to be called every second.
func (o *Outbox) EnqueueStuckBatches(ctx context.Context) error {
	for _, e := range o.subscribers("", BatchStuck) {
		var stuck []EventData
		err := o.readOnly(ctx, func(tx pgx.Tx) (err error) {
			stuck, err = stuckBatches(ctx, tx, e, nil)
			return err
		})
		if err != nil {
			return err
		}
		before := ""
		for _, b := range stuck {
			if b.CustomerID == before {
				continue
			}
			before = b.CustomerID
			if err := o.enqueueStuckBatchesOf(ctx, e, b.CustomerID); err != nil {
				return fmt.Errorf("putting the stuck batches of customer %s into the outbox: %w", b.CustomerID, err)
			}
		}
	}
	return nil
}

// stuckBatches returns the stuck batches of a customer, or of all that the endpoint subscribes to.
func stuckBatches(ctx context.Context, tx pgx.Tx, e Endpoint, customerID *string) ([]EventData, error) {
	rows, _ := tx.Query(ctx, stuckBatchesSQL, pgx.NamedArgs{ // CollectRows returns its error
		"customer_id": customerID, "partners": e.Partners, "stuck_after": e.StuckAfter, "within": NotifyWithin,
	})
	stuck, err := pgx.CollectRows(rows, pgx.RowToStructByNameLax[EventData])
	if err != nil {
		return nil, fmt.Errorf("looking for stuck batches: %w", err)
	}
	return stuck, nil
}

// enqueueStuckBatchesOf looks again at one customer, whose batches are locked: otherwise the event that a batch is
// finished could come before the event that it is stuck.
func (o *Outbox) enqueueStuckBatchesOf(ctx context.Context, e Endpoint, customerID string) error {
	const lock = `
		SELECT 1 FROM partnersync.customer_state WHERE customer_id = @customer_id::uuid FOR UPDATE`
	const remember = `
		INSERT INTO partnersync.notified AS n (endpoint, type, subject, since)
		VALUES (@endpoint, @type, @subject, @since)
		ON CONFLICT (endpoint, type, subject) DO UPDATE SET since = excluded.since
		WHERE n.since < excluded.since`
	return o.writeEvents(ctx, func(tx pgx.Tx) (events []event, err error) {
		if _, err := tx.Exec(ctx, lock, pgx.NamedArgs{"customer_id": customerID}); err != nil {
			return nil, fmt.Errorf("locking the customer's state: %w", err)
		}
		stuck, err := stuckBatches(ctx, tx, e, &customerID)
		if err != nil {
			return nil, err
		}
		for _, b := range stuck {
			args := pgx.NamedArgs{"endpoint": e.Name, "type": BatchStuck, "subject": b.subject(), "since": b.StatusSince}
			tag, err := tx.Exec(ctx, remember, args)
			if err != nil {
				return nil, err
			}
			if tag.RowsAffected() > 0 {
				events = append(events, event{endpoint: e.Name, kind: BatchStuck, id: uuid.New(), data: b})
			}
		}
		return events, nil
	})
}
