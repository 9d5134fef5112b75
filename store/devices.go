package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Devices is the resource of a batch's device list, as in Confirmation.
const Devices = "devices"

// Device is a row of partner_center.devices, as far as it comes from the API.
type Device struct {
	DeviceID            string
	SerialNumber        *string
	ProductKey          *string
	HardwareHash        *string
	ModelName           *string
	OEMManufacturerName *string
	UploadedBy          *string
	UploadedDate        *time.Time
	Policies            string // a JSON array, ordered by key; "" is []
	Extra               string // a JSON object; "" is {}
}

var devices = newResource(resource[Device]{
	table:    Devices,
	versions: "device_versions",
	ofBatch:  true,
	key:      column[Device]{name: "device_id", typ: "text", field: texts(func(d *Device) *string { return &d.DeviceID })},
	columns: []column[Device]{
		{name: "serial_number", typ: "text", field: texts(func(d *Device) *string { return d.SerialNumber })},
		{name: "product_key", typ: "text", field: texts(func(d *Device) *string { return d.ProductKey })},
		{name: "hardware_hash", typ: "text", field: texts(func(d *Device) *string { return d.HardwareHash })},
		{name: "model_name", typ: "text", field: texts(func(d *Device) *string { return d.ModelName })},
		{name: "oem_manufacturer_name", typ: "text", field: texts(func(d *Device) *string { return d.OEMManufacturerName })},
		{name: "uploaded_by", typ: "text", field: texts(func(d *Device) *string { return d.UploadedBy })},
		{name: "uploaded_date", typ: "timestamptz", field: instants(func(d *Device) *time.Time { return d.UploadedDate })},
		{name: "policies", typ: "jsonb", via: "text", null: "[]", field: texts(func(d *Device) *string { return notEmpty(&d.Policies) })},
		{name: "extra", typ: "jsonb", via: "text", null: "{}", quiet: true, field: texts(func(d *Device) *string { return notEmpty(&d.Extra) })},
	},
})

// MergeDevices brings the devices of a batch in line with a listing, as MergeDeviceBatches does with batches. batch is as
// DueDevices returned it.
func (s *Store) MergeDevices(ctx context.Context, c Claim, batch Batch, l Listing, rows []Device) (Outcome, error) {
	return merge(ctx, s, devices, c, batch, l, rows, nil)
}

// CompareDevices says what MergeDevices would do, and writes nothing.
func (s *Store) CompareDevices(ctx context.Context, customerID, batchID string, l Listing, rows []Device) ([]Difference, error) {
	return compare(ctx, s, devices, customerID, batchID, l, rows)
}

// removeDevices removes the devices of batches that are removed at the time given, and returns how many those were. The
// lists are read anew if the batches return.
func removeDevices(ctx context.Context, tx *transaction, customerID string, batchIDs []string, at time.Time) (int, error) {
	// A list's observed time only grows, even against that of the batch list: its devices go at the list's new one.
	const clear = `
		UPDATE partnersync.list_state
		SET digest = NULL, held = NULL, held_run = NULL, stale_at = @at::timestamptz,
		    observed_at = greatest(observed_at + interval '1 microsecond', @at::timestamptz)
		WHERE customer_id = @customer_id::uuid AND resource = 'devices' AND batch_id = ANY (@batch_ids::text[])
		RETURNING batch_id, confirmed_at, observed_at`
	const supersede = `
		INSERT INTO partner_center.device_versions (
		    customer_id, batch_id, device_id, serial_number, product_key, hardware_hash, model_name, oem_manufacturer_name,
		    uploaded_by, uploaded_date, policies, extra, valid_from, not_before, removed_at, valid_to)
		SELECT d.customer_id, d.batch_id, device_id, serial_number, product_key, hardware_hash, model_name, oem_manufacturer_name,
		       uploaded_by, uploaded_date, policies, extra, valid_from, not_before, removed_at, l.observed_at
		FROM partner_center.devices d
		JOIN unnest(@batch_ids::text[], @observed::timestamptz[]) AS l (batch_id, observed_at) ON l.batch_id = d.batch_id
		WHERE d.customer_id = @customer_id::uuid AND d.removed_at IS NULL`
	const remove = `
		UPDATE partner_center.devices d
		SET not_before = greatest(l.confirmed_at, d.valid_from), valid_from = l.observed_at, removed_at = l.observed_at
		FROM unnest(@batch_ids::text[], @confirmed::timestamptz[], @observed::timestamptz[]) AS l (batch_id, confirmed_at, observed_at)
		WHERE d.customer_id = @customer_id::uuid AND d.batch_id = l.batch_id AND d.removed_at IS NULL`
	if len(batchIDs) == 0 {
		return 0, nil
	}
	args := pgx.NamedArgs{"customer_id": customerID, "batch_ids": batchIDs, "at": at}
	rows, err := tx.Query(ctx, clear, args)
	if err != nil {
		return 0, fmt.Errorf("clearing the device lists of removed batches: %w", err)
	}
	var read []string
	var confirmed []*time.Time
	var observed []time.Time
	var id string
	var confirmedAt *time.Time
	var observedAt time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &confirmedAt, &observedAt}, func() error {
		read, confirmed, observed = append(read, id), append(confirmed, confirmedAt), append(observed, observedAt)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("clearing the device lists of removed batches: %w", err)
	}
	args["batch_ids"], args["confirmed"], args["observed"] = read, confirmed, observed
	if _, err := tx.Exec(ctx, supersede, args); err != nil {
		return 0, fmt.Errorf("superseding the devices of removed batches: %w", err)
	}
	tag, err := tx.Exec(ctx, remove, args)
	if err != nil {
		return 0, fmt.Errorf("removing the devices of removed batches: %w", err)
	}
	return int(tag.RowsAffected()), nil
}
