package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// DeviceBatches is the resource of a customer's batch list, as in Confirmation.
const DeviceBatches = "device_batches"

// DeviceBatch is a row of partner_center.device_batches, as far as it comes from the API.
type DeviceBatch struct {
	BatchID      string
	ReceivedID   string // the id as received, where that is not the BatchID; else ""
	Status       *string
	CreatedBy    *string
	CreationDate *time.Time
	DevicesCount *int32
	Extra        string // a JSON object; "" is {}
}

var deviceBatches = newResource(resource[DeviceBatch]{
	table:     DeviceBatches,
	versions:  "device_batch_versions",
	allCounts: true,
	key:       column[DeviceBatch]{name: "batch_id", typ: "text", field: texts(func(b *DeviceBatch) *string { return &b.BatchID })},
	columns: []column[DeviceBatch]{
		{name: "status", typ: "text", field: texts(func(b *DeviceBatch) *string { return b.Status })},
		{name: "created_by", typ: "text", field: texts(func(b *DeviceBatch) *string { return b.CreatedBy })},
		{name: "creation_date", typ: "timestamptz", field: instants(func(b *DeviceBatch) *time.Time { return b.CreationDate })},
		{name: "devices_count", typ: "integer", field: numbers(func(b *DeviceBatch) *int32 { return b.DevicesCount })},
		{name: "extra", typ: "jsonb", via: "text", null: "{}", quiet: true, field: texts(func(b *DeviceBatch) *string { return notEmpty(&b.Extra) })},
	},
})

// MergeDeviceBatches brings a customer's batches in line with a listing, in one transaction that is fenced by the claim:
// only what differs is written, and what it replaces is kept as a version. The devices of removed batches are removed
// with them. No two rows may have the same BatchID. The error wraps ErrClaimLost if the claim was lost; then, as with any
// other error, nothing was written.
func (s *Store) MergeDeviceBatches(ctx context.Context, c Claim, l Listing, rows []DeviceBatch) (Outcome, error) {
	noted := false
	done, err := merge(ctx, s, deviceBatches, c, Batch{}, l, rows, func(ctx context.Context, m *merging[DeviceBatch], done *Outcome) error {
		gone, err := removeDevices(ctx, m.tx, c.CustomerID, m.removed, m.observedAt())
		if err != nil {
			return err
		}
		done.Removed += gone
		if err := keepReceivedIDs(ctx, m.tx, c.CustomerID, rows); err != nil {
			return err
		}
		if noted, err = noteBatches(ctx, s, m); err != nil {
			return err
		}
		if c.Run.Devices == nil {
			forgetDevices(&m.last, c)
		} else {
			scheduleDevices(&m.last, c, &done.DevicesDue)
		}
		return nil
	})
	if err == nil && noted {
		s.wakeSender()
	}
	return done, err
}

// CompareDeviceBatches says what MergeDeviceBatches would do, and writes nothing. The devices of batches that would be
// removed are among the differences.
func (s *Store) CompareDeviceBatches(ctx context.Context, customerID string, l Listing, rows []DeviceBatch) ([]Difference, error) {
	const devicesOf = `
		SELECT batch_id, device_id
		FROM partner_center.devices
		WHERE customer_id = @customer_id::uuid AND batch_id = ANY (@removed::text[]) AND removed_at IS NULL
		ORDER BY batch_id, device_id`
	all, err := compare(ctx, s, deviceBatches, customerID, "", l, rows)
	if err != nil {
		return nil, err
	}
	var removed []string
	for _, d := range all {
		if d.Kind == Removed {
			removed = append(removed, d.Key)
		}
	}
	if removed == nil {
		return all, nil
	}
	args := pgx.NamedArgs{"customer_id": customerID, "removed": removed}
	gone, err := collect(ctx, s, devicesOf, args, func(row pgx.CollectableRow) (Difference, error) {
		d := Difference{Kind: Removed, Resource: Devices}
		err := row.Scan(&d.BatchID, &d.Key)
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("finding the devices of removed batches of customer %s: %w", customerID, err)
	}
	return append(all, gone...), nil
}
