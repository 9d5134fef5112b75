package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Devices is the resource of a batch's device list, as in Confirmation.
const Devices = "devices"

// Device is a row of partner_center.devices.
type Device struct {
	DeviceID            string     `db:"device_id"`
	SerialNumber        *string    `db:"serial_number"`
	ProductKey          *string    `db:"product_key"`
	HardwareHash        *string    `db:"hardware_hash"`
	ModelName           *string    `db:"model_name"`
	OEMManufacturerName *string    `db:"oem_manufacturer_name"`
	UploadedBy          *string    `db:"uploaded_by"`
	UploadedDate        *time.Time `db:"uploaded_date"`
	Policies            string     `db:"policies"`   // a JSON array, ordered by key; "" is []
	Extra               string     `db:"extra"`      // a JSON object; "" is {}
	RemovedAt           *time.Time `db:"removed_at"` // nil in listed rows
}

var devices = newResource(resource[Device]{
	table:     Devices,
	versions:  "device_versions",
	ofBatch:   true,
	inPlace:   []string{"extra"},
	keyColumn: "device_id",
	key:       func(d *Device) string { return d.DeviceID },
	removedAt: func(d *Device) *time.Time { return d.RemovedAt },
	columns: []column[Device]{
		textColumn("serial_number", func(d *Device) **string { return &d.SerialNumber }),
		textColumn("product_key", func(d *Device) **string { return &d.ProductKey }),
		textColumn("hardware_hash", func(d *Device) **string { return &d.HardwareHash }),
		textColumn("model_name", func(d *Device) **string { return &d.ModelName }),
		textColumn("oem_manufacturer_name", func(d *Device) **string { return &d.OEMManufacturerName }),
		textColumn("uploaded_by", func(d *Device) **string { return &d.UploadedBy }),
		timeColumn("uploaded_date", func(d *Device) **time.Time { return &d.UploadedDate }),
		jsonColumn("policies", "[]", func(d *Device) *string { return &d.Policies }),
		jsonColumn("extra", "{}", func(d *Device) *string { return &d.Extra }),
	},
})

// MergeDevices brings the devices of a batch in line with a listing, as MergeDeviceBatches does with batches. The list
// is as DueDeviceLists returned it.
func (s *Store) MergeDevices(ctx context.Context, c Claim, of DeviceList, l Listing, rows []Device) (Outcome, error) {
	return merge(ctx, s, devices, c, of, l, rows, noteChange)
}

// CompareDevices says what MergeDevices would do, and writes nothing.
func (s *Store) CompareDevices(ctx context.Context, customerID, batchID string, l Listing, rows []Device) (
	[]Difference, error,
) {
	return dryRun(ctx, s, devices, customerID, DeviceList{BatchID: batchID}, l, rows, nil)
}

// removeDevices removes the devices of batches that are removed at that time, and returns how many those were. The
// lists lose their digests and confirmations, so that they are read anew if the batches return, and unread until then.
func removeDevices(ctx context.Context, tx pgx.Tx, customerID string, batchIDs []string, at time.Time) (int, error) {
	// The observed time of a list only grows: the devices go at the later of its own next one and the batch list's.
	const clear = `
		UPDATE partnersync.list_state l
		SET digest = NULL, held = NULL, held_run = NULL, stale_at = @at::timestamptz, refusals = 0, error = NULL,
		    confirmed_at = NULL,
		    observed_at = greatest((l.observed_at AT TIME ZONE 'UTC' + interval '1 microsecond') AT TIME ZONE 'UTC', @at::timestamptz)
		FROM partnersync.list_state before
		WHERE l.customer_id = @customer_id::uuid AND l.resource = 'devices' AND l.batch_id = ANY (@batch_ids::text[])
		  AND before.customer_id = l.customer_id AND before.resource = l.resource AND before.batch_id = l.batch_id
		RETURNING l.batch_id, before.confirmed_at, l.observed_at`
	const supersede = `
		INSERT INTO partner_center.device_versions (
		    customer_id, batch_id, device_id, serial_number, product_key, hardware_hash, model_name,
		    oem_manufacturer_name, uploaded_by, uploaded_date, policies, extra, valid_from, not_before, removed_at, valid_to)
		SELECT d.customer_id, d.batch_id, device_id, serial_number, product_key, hardware_hash, model_name,
		       oem_manufacturer_name, uploaded_by, uploaded_date, policies, extra, valid_from, not_before, removed_at,
		       l.observed_at
		FROM partner_center.devices d
		JOIN unnest(@batch_ids::text[], @observed::timestamptz[]) AS l (batch_id, observed_at) ON l.batch_id = d.batch_id
		WHERE d.customer_id = @customer_id::uuid AND d.removed_at IS NULL`
	const remove = `
		UPDATE partner_center.devices d
		SET not_before = greatest(l.confirmed_at, d.valid_from), valid_from = l.observed_at, removed_at = l.observed_at
		FROM unnest(@batch_ids::text[], @confirmed::timestamptz[], @observed::timestamptz[])
		     AS l (batch_id, confirmed_at, observed_at)
		WHERE d.customer_id = @customer_id::uuid AND d.batch_id = l.batch_id AND d.removed_at IS NULL`
	if len(batchIDs) == 0 {
		return 0, nil
	}
	args := pgx.NamedArgs{"customer_id": customerID, "batch_ids": batchIDs, "at": at}
	rows, _ := tx.Query(ctx, clear, args) // ForEachRow returns its error
	var read []string
	var confirmed []*time.Time
	var observed []time.Time
	var id string
	var confirmedAt *time.Time
	var observedAt time.Time
	_, err := pgx.ForEachRow(rows, []any{&id, &confirmedAt, &observedAt}, func() error {
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
