package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"partnersync/store/plural"
)

// readDeviceLists returns the device lists of the customer's batches that are not removed, and the database's time.
func readDeviceLists(ctx context.Context, tx pgx.Tx, customerID string) (
	lists []DeviceList, now time.Time, err error,
) {
	const clock = `SELECT clock_timestamp()`
	const states = `
		SELECT batch_id, received_id, digest, confirmed_at, stale_at, refusals, error IS NOT NULL AS failing,
		       coalesce(last_run, 0) AS last_run, batch_status, batch_devices_count
		FROM partnersync.list_state
		WHERE customer_id = @customer_id::uuid AND resource = 'devices'`
	const batches = `
		SELECT b.batch_id, b.status, b.devices_count, b.creation_date, b.valid_from,
		       coalesce(v.first_seen_at, b.valid_from) AS first_seen_at
		FROM partner_center.device_batches b
		LEFT JOIN (
		    SELECT batch_id, min(valid_from) AS first_seen_at
		    FROM partner_center.device_batch_versions
		    WHERE customer_id = @customer_id::uuid
		    GROUP BY batch_id
		) v ON v.batch_id = b.batch_id
		WHERE b.customer_id = @customer_id::uuid AND b.removed_at IS NULL`
	read := map[string]DeviceList{}
	args, batch := pgx.NamedArgs{"customer_id": customerID}, &pgx.Batch{}
	batch.Queue(clock).QueryRow(func(row pgx.Row) error { return row.Scan(&now) })
	batch.Queue(states, args).Query(func(rows pgx.Rows) error {
		var l DeviceList
		_, err := pgx.ForEachRow(rows, []any{
			&l.BatchID, &l.ReceivedID, &l.Digest, &l.ConfirmedAt, &l.StaleAt, &l.Refusals, &l.Failing,
			&l.LastRun, &l.ReadStatus, &l.ReadDevicesCount,
		}, func() error {
			read[l.BatchID] = l
			return nil
		})
		return err
	})
	batch.Queue(batches, args).Query(func(rows pgx.Rows) error {
		var b DeviceList
		_, err := pgx.ForEachRow(rows, []any{
			&b.BatchID, &b.Status, &b.DevicesCount, &b.CreationDate, &b.ValidFrom, &b.FirstSeenAt,
		}, func() error {
			l := read[b.BatchID]
			l.CustomerID, l.BatchID, l.Status, l.DevicesCount = customerID, b.BatchID, b.Status, b.DevicesCount
			l.CreationDate, l.ValidFrom, l.FirstSeenAt = b.CreationDate, b.ValidFrom, b.FirstSeenAt
			lists = append(lists, l)
			return nil
		})
		return err
	})
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, now, fmt.Errorf("reading the states of device lists: %w", err)
	}
	return lists, now, nil
}

func (s *Store) deviceLists(ctx context.Context, customerID string) (lists []DeviceList, now time.Time, err error) {
	err = s.readOnly(ctx, func(tx pgx.Tx) error {
		lists, now, err = readDeviceLists(ctx, tx, customerID)
		return err
	})
	return lists, now, err
}

// maxListsOfTurn is how many device lists of a customer are read in one turn.
const maxListsOfTurn = 20

// DueDeviceLists returns the device lists of a claimed customer to read in this turn, and how many more are due.
func (s *Store) DueDeviceLists(ctx context.Context, c Claim) (due []DeviceList, more int, err error) {
	lists, now, err := s.deviceLists(ctx, c.CustomerID)
	if err != nil {
		return nil, 0, fmt.Errorf("finding the device lists of customer %s that are due: %w", c.CustomerID, err)
	}
	due = dueLists(lists, c.Run, now)
	inTurn := min(len(due), maxListsOfTurn)
	return due[:inTurn], len(due) - inTurn, nil
}

// PlanDeviceLists returns what DueDeviceLists would, in all turns, after a merge of the customer's batches that lists
// some and removes some. Where the schema is missing, nothing has been read.
func (s *Store) PlanDeviceLists(
	ctx context.Context, customerID string, run Run, listed []DeviceBatch, removed []string,
) ([]DeviceList, error) {
	known, now, err := s.deviceLists(ctx, customerID)
	if err != nil && !missing(err) {
		return nil, fmt.Errorf("finding the device lists of customer %s that would be due: %w", customerID, err)
	}
	// What the listing lacks and the merge does not remove stays as it is known.
	merged := map[string]DeviceList{}
	for _, l := range known {
		merged[l.BatchID] = l
	}
	for _, id := range removed {
		delete(merged, id)
	}
	for _, b := range listed {
		l, ok := merged[b.BatchID]
		if !ok {
			l = DeviceList{CustomerID: customerID, BatchID: b.BatchID, ValidFrom: now, FirstSeenAt: now}
		}
		l.Status, l.DevicesCount, l.CreationDate = b.Status, b.DevicesCount, b.CreationDate
		if b.ReceivedID != "" {
			l.ReceivedID = []byte(b.ReceivedID)
		}
		merged[b.BatchID] = l
	}
	lists := make([]DeviceList, 0, len(merged))
	for _, l := range merged {
		lists = append(lists, l)
	}
	return dueLists(lists, run, now), nil
}

// noteBatchChange records, after a merge of batches, that the customer has no device lists, or that some may be due
// (the exact time is set when they are read), and when its batches last changed. Whether the run may have any device
// lists to read is in the outcome.
func noteBatchChange(ctx context.Context, m *merging[DeviceBatch]) (err error) {
	const note = `
		UPDATE partnersync.customer_state
		SET devices_due_at  = CASE WHEN @none THEN NULL ELSE least(devices_due_at, @at::timestamptz) END,
		    devices_refresh = CASE WHEN @none THEN coalesce(@refresh::interval, devices_refresh) ELSE devices_refresh END,
		    changed_at      = CASE WHEN @changed THEN @at::timestamptz ELSE changed_at END,
		    unfinished_at   = @unfinished_at::timestamptz
		WHERE customer_id = @customer_id::uuid`
	none := len(m.rows)+len(m.diff.absent)-len(m.removed) == 0
	if !none && !m.differs() {
		m.outcome.DevicesDue = m.claim.DevicesDue
		return nil
	}
	run := m.claim.Run
	args := run.args()
	args["customer_id"], args["at"] = m.list.customerID, m.observedAt
	args["none"], args["changed"] = none, m.differs() && m.state.ObservedAt != nil
	if args["unfinished_at"], err = newestUnfinished(ctx, m); err != nil {
		return err
	}
	if _, err := m.tx.Exec(ctx, note, args); err != nil {
		return fmt.Errorf("noting what the batches' change means: %w", err)
	}
	m.outcome.DevicesDue = !none && run.Devices != nil
	return nil
}

// newestUnfinished returns when the newest version of a batch in no terminal status began; nil if there is none.
func newestUnfinished(ctx context.Context, m *merging[DeviceBatch]) (at *time.Time, err error) {
	const newest = `
		SELECT max(valid_from)
		FROM partner_center.device_batches
		WHERE customer_id = @customer_id::uuid AND removed_at IS NULL
		  AND NOT partner_center.is_finished(status)`
	for _, b := range slices.Concat(m.diff.inserted, listedRows(m.diff.changed)) {
		if !finished(b.Status) {
			return &m.observedAt, nil
		}
	}
	if m.diff.known == 0 {
		return nil, nil
	}
	if err := m.tx.QueryRow(ctx, newest, m.list.args()).Scan(&at); err != nil {
		return nil, fmt.Errorf("looking for the newest unfinished batch: %w", err)
	}
	return at, nil
}

// noteChange records when a list other than that of batches has opened a version, unless that was its first listing.
func noteChange[R any](ctx context.Context, m *merging[R]) error {
	const note = `
		UPDATE partnersync.customer_state SET changed_at = @at::timestamptz WHERE customer_id = @customer_id::uuid`
	if !m.differs() || m.state.ObservedAt == nil {
		return nil
	}
	if _, err := m.tx.Exec(ctx, note, pgx.NamedArgs{"customer_id": m.list.customerID, "at": m.observedAt}); err != nil {
		return fmt.Errorf("noting when the customer changed: %w", err)
	}
	return nil
}

// noteLists notes which of a customer's lists failed in its turn and, if its device lists were gone through, when the
// first of them is due.
func noteLists(ctx context.Context, tx pgx.Tx, r Result) error {
	const fail = `
		INSERT INTO partnersync.list_state AS l (customer_id, resource, batch_id, stale_at, last_run, refusals, error)
		SELECT @customer_id::uuid, i.resource, i.batch_id, clock_timestamp(), @run, i.refused::integer, nullif(i.error, '')
		FROM unnest(@resources::text[], @batch_ids::text[], @refused::boolean[], @errors::text[])
		     AS i (resource, batch_id, refused, error)
		ON CONFLICT (customer_id, resource, batch_id) DO UPDATE
		SET stale_at = excluded.stale_at, last_run = excluded.last_run, error = excluded.error,
		    refusals = CASE WHEN excluded.refusals > 0 THEN l.refusals + 1 ELSE 0 END`
	const schedule = `
		UPDATE partnersync.customer_state
		SET devices_due_at = @due_at, devices_refresh = @refresh, lists_due = @lists_due,
		    lists_failing = @failing, lists_refused = @lists_refused
		WHERE customer_id = @customer_id::uuid`
	args := r.Claim.Run.args()
	args["customer_id"] = r.Claim.CustomerID
	if n := len(r.FailedLists); n > 0 {
		resources, batchIDs, refused, errs := make([]string, n), make([]string, n), make([]bool, n), make([]string, n)
		for i, l := range r.FailedLists {
			resources[i], batchIDs[i], refused[i], errs[i] = l.Resource, l.BatchID, l.Refused, l.Error
		}
		args["resources"], args["batch_ids"], args["refused"], args["errors"] = resources, batchIDs, refused, errs
		if _, err := tx.Exec(ctx, fail, args); err != nil {
			return fmt.Errorf("noting %s that failed: %w", plural.Of(n, "list", "lists"), err)
		}
	}
	if !r.DevicesRead {
		return nil
	}
	lists, now, err := readDeviceLists(ctx, tx, r.Claim.CustomerID)
	if err != nil {
		return err
	}
	due, failing, refused := 0, 0, 0
	var dueAt *time.Time
	for _, l := range lists {
		if at := l.dueAt(r.Claim.Run.Devices.Refresh, now); dueAt == nil || at.Before(*dueAt) {
			dueAt = &at
		}
		if !l.dueAt(r.Claim.Run.Devices.Refresh, now).After(now) {
			due++
		}
		if l.Failing {
			failing++
		}
		if l.Failing && l.RefusedLastingly() {
			refused++
		}
	}
	args["due_at"], args["lists_due"], args["failing"], args["lists_refused"] = dueAt, due, failing, refused
	if _, err := tx.Exec(ctx, schedule, args); err != nil {
		return fmt.Errorf("noting when the device lists of customer %s are due: %w", r.Claim.CustomerID, err)
	}
	return nil
}

// keepReceivedIDs keeps the ids that could not be stored unchanged, for the requests for their devices.
func keepReceivedIDs(ctx context.Context, tx pgx.Tx, customerID string, rows []DeviceBatch) error {
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
