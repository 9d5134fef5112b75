package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// DeviceBatches is the resource of a customer's batch list, as in Confirmation.
const DeviceBatches = "device_batches"

// DeviceBatch is a row of partner_center.device_batches.
type DeviceBatch struct {
	BatchID      string     `db:"batch_id"`
	ReceivedID   string     `db:"-"` // the id as received, where that is not the BatchID; else ""
	Status       *string    `db:"status"`
	CreatedBy    *string    `db:"created_by"`
	CreationDate *time.Time `db:"creation_date"`
	DevicesCount *int32     `db:"devices_count"`
	Extra        string     `db:"extra"`      // a JSON object; "" is {}
	RemovedAt    *time.Time `db:"removed_at"` // nil in listed rows
}

var deviceBatches = newResource(resource[DeviceBatch]{
	table:     DeviceBatches,
	versions:  "device_batch_versions",
	inPlace:   []string{"extra"},
	keyColumn: "batch_id",
	key:       func(b *DeviceBatch) string { return b.BatchID },
	removedAt: func(b *DeviceBatch) *time.Time { return b.RemovedAt },
	columns: []column[DeviceBatch]{
		textColumn("status", func(b *DeviceBatch) **string { return &b.Status }),
		textColumn("created_by", func(b *DeviceBatch) **string { return &b.CreatedBy }),
		timeColumn("creation_date", func(b *DeviceBatch) **time.Time { return &b.CreationDate }),
		newColumn("devices_count", "integer", func(b *DeviceBatch) **int32 { return &b.DevicesCount }, equalPointers),
		jsonColumn("extra", "{}", func(b *DeviceBatch) *string { return &b.Extra }),
	},
})

// MergeDeviceBatches brings a customer's batches in line with a listing, in one transaction that is fenced by the
// claim: only what differs is written, and what it replaces is kept as a version (SCD type 2). The devices of removed
// batches are removed with them. No two rows may have the same BatchID. The error wraps ErrClaimLost if the claim was
// lost; then, as with any other error, nothing was written. An UnconfirmedError asks for another listing.
func (s *Store) MergeDeviceBatches(ctx context.Context, c Claim, l Listing, rows []DeviceBatch) (Outcome, error) {
	enqueued := false
	also := func(ctx context.Context, m *merging[DeviceBatch]) error {
		gone, err := removeDevices(ctx, m.tx, c.CustomerID, m.removed, m.observedAt)
		if err != nil {
			return err
		}
		m.outcome.Removed += gone
		if err := keepReceivedIDs(ctx, m.tx, c.CustomerID, rows); err != nil {
			return err
		}
		if err := noteBatchChange(ctx, m); err != nil {
			return err
		}
		enqueued, err = s.outbox.EnqueueBatchChanges(ctx, m.tx, c.Run.Partner, c.CustomerID, m.superseded())
		return err
	}
	done, err := merge(ctx, s, deviceBatches, c, DeviceList{}, l, rows, also)
	if err == nil && enqueued {
		s.outbox.Wake()
	}
	return done, err
}

// CompareDeviceBatches says what MergeDeviceBatches would do, and writes nothing. The devices of batches that would be
// removed are among the differences.
func (s *Store) CompareDeviceBatches(ctx context.Context, customerID string, l Listing, rows []DeviceBatch) (
	[]Difference, error,
) {
	const devicesOf = `
		SELECT batch_id, device_id
		FROM partner_center.devices
		WHERE customer_id = @customer_id::uuid AND batch_id = ANY (@removed::text[]) AND removed_at IS NULL
		ORDER BY batch_id, device_id`
	also := func(tx pgx.Tx, removed []string) ([]Difference, error) {
		known, _ := tx.Query(ctx, devicesOf, pgx.NamedArgs{"customer_id": customerID, "removed": removed})
		return pgx.CollectRows(known, func(row pgx.CollectableRow) (Difference, error) {
			d := Difference{Kind: Removed, Resource: Devices}
			err := row.Scan(&d.BatchID, &d.Key)
			return d, err
		})
	}
	return dryRun(ctx, s, deviceBatches, customerID, DeviceList{}, l, rows, also)
}
