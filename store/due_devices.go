package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// DueDevices returns the batches of a claimed customer whose devices are to be read now, the longest due first. A
// backfill reads all, but for batches created before its Since.
func (s *Store) DueDevices(ctx context.Context, c Claim) ([]Batch, error) {
	batches, err := s.dueDevices(ctx, c.CustomerID, c.Run, listedBatches, pgx.NamedArgs{})
	if err != nil {
		return nil, fmt.Errorf("finding the device lists of customer %s that are due: %w", c.CustomerID, err)
	}
	return batches, nil
}

// dueDevices is DueDevices of the batches that a query selects, in the form of listedBatches.
func (s *Store) dueDevices(ctx context.Context, customerID string, run Run, batches string, args pgx.NamedArgs) ([]Batch, error) {
	query := `
		SELECT batch_id, received_id, status, devices_count, digest
		FROM (
		    SELECT b.batch_id, l.received_id, b.status, b.devices_count, b.creation_date, l.digest,
		           ` + dueAt + ` AS due_at` + ofCustomer(batches) + `
		) d
		WHERE CASE WHEN @all THEN coalesce(creation_date >= @since::timestamptz, true) ELSE due_at <= clock_timestamp() END
		ORDER BY due_at, batch_id`
	args["customer_id"], args["all"], args["since"], args["refresh"] = customerID, run.Kind == Backfill, nil, run.Devices.Refresh
	if !run.Devices.Since.IsZero() {
		args["since"] = run.Devices.Since
	}
	rows, _ := s.pool.Query(ctx, query, args) // CollectRows returns its error
	return pgx.CollectRows(rows, pgx.RowToStructByName[Batch])
}

// PlanDevices returns what DueDevices would after a merge of the customer's batches that lists some and removes some. Where
// the schema is missing, nothing has been read.
func (s *Store) PlanDevices(ctx context.Context, customerID string, run Run, listed []DeviceBatch, removed []string) ([]Batch, error) {
	// What the listing lacks, and the merge does not remove, stays as it is known.
	merged := `
		SELECT @customer_id::uuid AS customer_id, coalesce(i.batch_id, k.batch_id) AS batch_id,
		       CASE WHEN i.batch_id IS NULL THEN k.status ELSE i.status END AS status,
		       CASE WHEN i.batch_id IS NULL THEN k.devices_count ELSE i.devices_count END AS devices_count,
		       CASE WHEN i.batch_id IS NULL THEN k.creation_date ELSE i.creation_date END AS creation_date,
		       coalesce(k.valid_from, now()) AS valid_from
		FROM ` + deviceBatches.incoming() + `
		FULL JOIN (` + listedBatches + ` AND NOT batch_id = ANY (@removed::text[])) k ON k.batch_id = i.batch_id`
	args := pgx.NamedArgs{"removed": append([]string{}, removed...)} // of nil, ANY would be null
	deviceBatches.args(listed, args)
	due, err := s.dueDevices(ctx, customerID, run, merged, args)
	if missing(err) {
		due, err = unread(listed, run), nil
	}
	if err != nil {
		return nil, fmt.Errorf("finding the device lists of customer %s that would be due: %w", customerID, err)
	}
	receivedIDs := map[string]string{}
	for _, b := range listed {
		receivedIDs[b.BatchID] = b.ReceivedID
	}
	for i, b := range due {
		if id := receivedIDs[b.ID]; id != "" {
			due[i].ReceivedID = []byte(id)
		}
	}
	return due, nil
}

// unread are the batches whose devices a run reads where nothing is known.
func unread(listed []DeviceBatch, run Run) (all []Batch) {
	for _, b := range listed {
		if run.Kind != Backfill || b.CreationDate == nil || !b.CreationDate.Before(run.Devices.Since) {
			all = append(all, Batch{ID: b.BatchID, Status: b.Status, DevicesCount: b.DevicesCount})
		}
	}
	return all
}
