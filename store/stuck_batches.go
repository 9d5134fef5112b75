package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// NotifyWithin is how long an event is news: one that could not be sent for so long is given up, and a batch that was stuck
// so much earlier when somebody looked is not told of any more.
const NotifyWithin = 24 * time.Hour

// stuckBatch is a batch in an unfinished status for long.
type stuckBatch struct {
	CustomerID   string     `db:"customer_id"`
	Partner      string     `db:"partner"`
	CompanyName  *string    `db:"company_name"`
	BatchID      string     `db:"batch_id"`
	Status       *string    `db:"status"`
	StatusSince  time.Time  `db:"status_since"`
	CreatedBy    *string    `db:"created_by"`
	CreationDate *time.Time `db:"creation_date"`
	DevicesCount *int32     `db:"devices_count"`
}

// stuckSQL finds the batches that have become stuck in the last day. One that had been so for long before it was first seen
// is left out, and so is one of which that is not known, until its status changes: who installs partnersync is not told of
// what lies about for years.
const stuckSQL = `
	SELECT u.customer_id::text, c.partner, c.company_name, u.batch_id, u.status, u.status_since, u.created_by, u.creation_date, u.devices_count
	FROM partner_center.unfinished_device_batches u
	JOIN partner_center.customers c ON c.customer_id = u.customer_id
	WHERE c.removed_at IS NULL
	  AND (@customer_id::uuid IS NULL OR u.customer_id = @customer_id)
	  AND (@partners::text[] IS NULL OR c.partner = ANY (@partners))
	  AND u.status_since <= clock_timestamp() - @stuck_after::interval
	  AND u.status_since > clock_timestamp() - @stuck_after::interval - @within::interval
	  AND NOT (u.not_before IS NULL AND coalesce(u.creation_date < u.valid_from - @stuck_after::interval, true))
	ORDER BY u.customer_id, u.batch_id`

// NoteStuckBatches puts an event into the outbox for each batch that has become stuck since the last call by anybody. All
// unfinished batches are looked at, so that it is nothing to be called each second.
func (s *Store) NoteStuckBatches(ctx context.Context) error {
	for _, e := range s.told("", BatchStuck) {
		rows, _ := s.pool.Query(ctx, stuckSQL, e.stuckArgs(nil)) // CollectRows returns its error
		stuck, err := pgx.CollectRows(rows, pgx.RowToStructByName[stuckBatch])
		if err != nil {
			return fmt.Errorf("looking for stuck batches: %w", err)
		}
		before := ""
		for _, b := range stuck {
			if b.CustomerID == before {
				continue
			}
			before = b.CustomerID
			if err := s.noteStuckBatches(ctx, e, b.CustomerID); err != nil {
				return fmt.Errorf("noting the stuck batches of customer %s: %w", b.CustomerID, err)
			}
		}
	}
	return nil
}

func (e Endpoint) stuckArgs(customerID *string) pgx.NamedArgs {
	return pgx.NamedArgs{"customer_id": customerID, "partners": e.Partners, "stuck_after": e.StuckAfter, "within": NotifyWithin}
}

// noteStuckBatches looks again, at one customer, while nobody can change its batches: or an event that tells of a batch's
// end could come before the one that tells that it is stuck.
func (s *Store) noteStuckBatches(ctx context.Context, e Endpoint, customerID string) error {
	const lock = `
		SELECT 1 FROM partnersync.customer_state WHERE customer_id = @customer_id::uuid FOR UPDATE`
	const note = `
		INSERT INTO partnersync.notified AS n (endpoint, type, subject, since)
		VALUES (@endpoint, @type, @subject, @since)
		ON CONFLICT (endpoint, type, subject) DO UPDATE SET since = excluded.since
		WHERE n.since < excluded.since`
	noted := false
	err := s.write(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lock, pgx.NamedArgs{"customer_id": customerID}); err != nil {
			return fmt.Errorf("locking the customer's state: %w", err)
		}
		rows, _ := tx.Query(ctx, stuckSQL, e.stuckArgs(&customerID)) // CollectRows returns its error
		stuck, err := pgx.CollectRows(rows, pgx.RowToStructByName[stuckBatch])
		if err != nil {
			return err
		}
		var events []event
		for _, b := range stuck {
			tag, err := tx.Exec(ctx, note, pgx.NamedArgs{
				"endpoint": e.Name, "type": BatchStuck, "subject": batchSubject(b.CustomerID, b.BatchID), "since": b.StatusSince,
			})
			if err != nil {
				return err
			}
			if tag.RowsAffected() > 0 {
				events = append(events, event{endpoint: e.Name, kind: BatchStuck, id: uuid.New(), data: b.data()})
			}
		}
		noted = len(events) > 0
		return queue(ctx, tx, events)
	})
	if err == nil && noted {
		s.wakeSender()
	}
	return err
}

func (b stuckBatch) data() *EventData {
	return &EventData{
		Partner: b.Partner, CustomerID: b.CustomerID, CompanyName: b.CompanyName, BatchID: b.BatchID, Status: b.Status,
		StatusSince: inUTC(&b.StatusSince), CreatedBy: b.CreatedBy, CreationDate: inUTC(b.CreationDate), DevicesCount: b.DevicesCount,
	}
}
