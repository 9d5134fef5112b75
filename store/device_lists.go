package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// DeviceReading says which device lists a run reads.
type DeviceReading struct {
	Refresh time.Duration // after so long (and up to a quarter more) a list is read again even if nothing hints at a change
	Since   time.Time     // of a backfill: leaves out batches created before; zero: none
}

// Batch is a batch whose devices are listed, as it was known then.
type Batch struct {
	ID           string  `db:"batch_id"`
	ReceivedID   []byte  `db:"received_id"` // for requests, where that is not the ID; else nil
	Status       *string `db:"status"`
	DevicesCount *int32  `db:"devices_count"`
	Digest       []byte  `db:"digest"` // of the list, if its rows are exactly the current ones; else nil
}

// RequestID returns the id for requests.
func (b Batch) RequestID() string {
	if b.ReceivedID != nil {
		return string(b.ReceivedID)
	}
	return b.ID
}

// dueAt is when the device list l of batch b is to be read: at once if it was never read completely, if the last read
// failed, or if the batch has changed since; at each pass while the batch is unfinished, in its first week; else after the
// refresh time, spread by a hash so that not all lists are due together. A list that fails again and again is due since
// its last try, so that it does not precede all others each time. It needs the argument refresh, an interval.
const dueAt = `
	CASE WHEN l.confirmed_at IS NULL OR l.stale_at IS NOT NULL
	       OR l.batch_status IS DISTINCT FROM b.status
	       OR l.batch_devices_count IS DISTINCT FROM b.devices_count
	     THEN greatest(b.valid_from, l.stale_at)
	     WHEN coalesce(lower(replace(b.status, '-', '_')), '') NOT IN ('finished', 'finished_with_errors')
	      AND coalesce((
	          SELECT min(v.valid_from) FROM partner_center.device_batch_versions v
	          WHERE v.customer_id = b.customer_id AND v.batch_id = b.batch_id), b.valid_from) > clock_timestamp() - interval '7 days'
	     THEN l.confirmed_at
	     ELSE l.confirmed_at + @refresh::interval * (1 + (hashtext(b.customer_id::text || b.batch_id) & 1023) / 4096.0)
	END`

// listedBatches are the customer's batches that are not removed.
const listedBatches = `
	SELECT customer_id, batch_id, status, devices_count, creation_date, valid_from
	FROM partner_center.device_batches
	WHERE customer_id = @customer_id::uuid AND removed_at IS NULL`

// ofCustomer are the customer's batches b, selected by a query, with the states l of their device lists.
func ofCustomer(batches string) string {
	return `
	FROM (` + batches + `) b
	LEFT JOIN partnersync.list_state l
	       ON l.customer_id = b.customer_id AND l.resource = 'devices' AND l.batch_id = b.batch_id`
}

// scheduleDevices notes when the first of the customer's device lists is due, and tells whether the run is to read any now.
func scheduleDevices(batch *pgx.Batch, c Claim, now *bool) {
	note := `
		UPDATE partnersync.customer_state s
		SET devices_due_at = f.due_at, devices_refresh = @refresh
		FROM (SELECT min(` + dueAt + `) AS due_at` + ofCustomer(listedBatches) + `) f
		WHERE s.customer_id = @customer_id::uuid
		RETURNING f.due_at IS NOT NULL AND (f.due_at <= clock_timestamp() OR @backfill)`
	args := pgx.NamedArgs{"customer_id": c.CustomerID, "refresh": c.Run.Devices.Refresh, "backfill": c.Run.Kind == Backfill}
	batch.Queue(note, args).QueryRow(func(row pgx.Row) error { return row.Scan(now) })
}

// forgetDevices is for a run that reads no devices: it leaves it to the next one that does to find out when they are due.
func forgetDevices(batch *pgx.Batch, c Claim) {
	const forget = `
		UPDATE partnersync.customer_state SET devices_refresh = NULL
		WHERE customer_id = @customer_id::uuid AND devices_refresh IS NOT NULL`
	batch.Queue(forget, pgx.NamedArgs{"customer_id": c.CustomerID})
}

// keepReceivedIDs keeps the ids that could not be stored unchanged, for the requests for their devices.
func keepReceivedIDs(ctx context.Context, tx *transaction, customerID string, rows []DeviceBatch) error {
	const keep = `
		INSERT INTO partnersync.list_state AS l (customer_id, resource, batch_id, received_id)
		SELECT @customer_id::uuid, 'devices', i.batch_id, i.received_id
		FROM unnest(@batch_ids::text[], @received_ids::bytea[]) AS i (batch_id, received_id)
		ON CONFLICT (customer_id, resource, batch_id) DO UPDATE SET received_id = excluded.received_id
		WHERE l.received_id IS DISTINCT FROM excluded.received_id`
	var batchIDs []string
	var receivedIDs [][]byte
	for _, b := range rows {
		if b.ReceivedID != "" {
			batchIDs, receivedIDs = append(batchIDs, b.BatchID), append(receivedIDs, []byte(b.ReceivedID))
		}
	}
	if len(batchIDs) == 0 {
		return nil
	}
	args := pgx.NamedArgs{"customer_id": customerID, "batch_ids": batchIDs, "received_ids": receivedIDs}
	if _, err := tx.Exec(ctx, keep, args); err != nil {
		return fmt.Errorf("keeping ids as received: %w", err)
	}
	return nil
}
