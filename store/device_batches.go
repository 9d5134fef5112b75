package store

import (
	"context"
	"time"
)

// DeviceBatches is the resource of a customer's batch list, as in Confirmation.
const DeviceBatches = "device_batches"

// DeviceBatch is a row of partner_center.device_batches, as far as it comes from the API.
type DeviceBatch struct {
	BatchID      string
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
	key:       column[DeviceBatch]{name: "batch_id", typ: "text", values: values(func(b *DeviceBatch) string { return b.BatchID })},
	columns: []column[DeviceBatch]{
		{name: "status", typ: "text", values: values(func(b *DeviceBatch) *string { return b.Status })},
		{name: "created_by", typ: "text", values: values(func(b *DeviceBatch) *string { return b.CreatedBy })},
		{name: "creation_date", typ: "timestamptz", values: values(func(b *DeviceBatch) *time.Time { return b.CreationDate })},
		{name: "devices_count", typ: "integer", values: values(func(b *DeviceBatch) *int32 { return b.DevicesCount })},
		{name: "extra", typ: "jsonb", quiet: true, values: values(func(b *DeviceBatch) string { return object(b.Extra) })},
	},
})

// object returns the JSON object, or the empty one for "".
func object(json string) string {
	if json == "" {
		return "{}"
	}
	return json
}

// MergeDeviceBatches brings a customer's batches in line with a listing, in one transaction that is fenced by the claim:
// only what differs is written, and what it replaces is kept as a version. No two rows may have the same BatchID. The
// error wraps ErrClaimLost if the claim was lost; then, as with any other error, nothing was written.
func (s *Store) MergeDeviceBatches(ctx context.Context, c Claim, l Listing, rows []DeviceBatch) (Outcome, error) {
	return merge(ctx, s, deviceBatches, c, l, rows)
}

// CompareDeviceBatches says what MergeDeviceBatches would do, and writes nothing.
func (s *Store) CompareDeviceBatches(ctx context.Context, customerID string, l Listing, rows []DeviceBatch) ([]Difference, error) {
	return compare(ctx, s, deviceBatches, customerID, l, rows)
}
