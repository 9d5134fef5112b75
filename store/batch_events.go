package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// batchChange is what became of a batch, for those who are told.
type batchChange struct {
	BatchID      string     `db:"batch_id"`
	CompanyName  *string    `db:"company_name"`
	Status       *string    `db:"status"`
	FromStatus   *string    `db:"from_status"`
	CreatedBy    *string    `db:"created_by"`
	CreationDate *time.Time `db:"creation_date"`
	DevicesCount *int32     `db:"devices_count"`
	NotBefore    *time.Time `db:"not_before"`
	ValidFrom    time.Time  `db:"valid_from"`
	Removed      bool       `db:"removed"`
}

// kind is the type of the event; "" if the change is none. A batch that returns as it was is none.
func (c batchChange) kind() string {
	switch status := normalized(c.Status); {
	case c.Removed:
		return BatchRemoved
	case status == normalized(c.FromStatus):
		return ""
	case status == "finished":
		return BatchFinished
	case status == "finished_with_errors":
		return BatchFinishedWithErrors
	}
	return ""
}

// normalized is a status in the form in which it is compared with the terminal ones.
func normalized(status *string) string {
	if status == nil {
		return ""
	}
	return strings.ReplaceAll(strings.ToLower(*status), "-", "_")
}

// enqueueBatchEvents puts what became of the customer's batches with the keys into the outbox, and reports whether there
// was anything. First versions are no events: what was there before partnersync looked is no news. It costs nothing where
// nothing changed or no endpoint subscribes.
func enqueueBatchEvents(ctx context.Context, s *Store, tx pgx.Tx, claim Claim, keys []string) (enqueued bool, err error) {
	told := s.told(claim.Run.Partner, BatchFinished, BatchFinishedWithErrors, BatchRemoved)
	if len(told) == 0 || len(keys) == 0 {
		return false, nil
	}
	changes, err := batchChanges(ctx, tx, claim.CustomerID, keys)
	if err != nil {
		return false, err
	}
	var events []event
	for _, c := range changes {
		kind := c.kind()
		if kind == "" {
			continue
		}
		id, data := uuid.New(), c.data(claim)
		for _, e := range told {
			if e.wants(kind, claim.Run.Partner) {
				events = append(events, event{endpoint: e.Name, kind: kind, id: id, data: data})
			}
		}
	}
	return len(events) > 0, queue(ctx, tx, events)
}

// batchChanges returns the customer's batches with the keys, each with the status of the version before.
func batchChanges(ctx context.Context, tx pgx.Tx, customerID string, keys []string) ([]batchChange, error) {
	const query = `
		SELECT b.batch_id, c.company_name, b.status, v.status AS from_status, b.created_by, b.creation_date, b.devices_count,
		       b.not_before, b.valid_from, b.removed_at IS NOT NULL AS removed
		FROM partner_center.device_batches b
		JOIN partner_center.device_batch_versions v
		  ON v.customer_id = b.customer_id AND v.batch_id = b.batch_id AND v.valid_to = b.valid_from
		LEFT JOIN partner_center.customers c ON c.customer_id = b.customer_id
		WHERE b.customer_id = @customer_id::uuid AND b.batch_id = ANY (@keys::text[])
		ORDER BY b.batch_id`
	rows, _ := tx.Query(ctx, query, pgx.NamedArgs{"customer_id": customerID, "keys": keys}) // CollectRows returns its error
	changes, err := pgx.CollectRows(rows, pgx.RowToStructByName[batchChange])
	if err != nil {
		return nil, fmt.Errorf("reading what became of %d batches: %w", len(keys), err)
	}
	return changes, nil
}

func (c batchChange) data(claim Claim) *EventData {
	changedBy := c.ValidFrom.UTC()
	return &EventData{
		Partner: claim.Run.Partner, CustomerID: claim.CustomerID, CompanyName: c.CompanyName,
		BatchID: c.BatchID, Status: c.Status, FromStatus: c.FromStatus, CreatedBy: c.CreatedBy, CreationDate: inUTC(c.CreationDate),
		DevicesCount: c.DevicesCount, ChangedAfter: inUTC(c.NotBefore), ChangedBy: &changedBy,
	}
}

// inUTC returns the time in UTC, in which events have all theirs.
func inUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	utc := t.UTC()
	return &utc
}
