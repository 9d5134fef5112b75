package store

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// list is one of the lists that the API gives, and so one row of partnersync.list_state.
type list struct {
	customerID string
	resource   string     // such as DeviceBatches
	devices    DeviceList // of a device list: the batch, as it was known when the list was read
}

// String names the list, for errors.
func (l list) String() string {
	if l.devices.BatchID != "" {
		return fmt.Sprintf("%s of batch %q of customer %s", l.resource, l.devices.BatchID, l.customerID)
	}
	return fmt.Sprintf("%s of customer %s", l.resource, l.customerID)
}

// args are the arguments that every statement of a merge has.
func (l list) args() pgx.NamedArgs {
	return pgx.NamedArgs{"customer_id": l.customerID, "resource": l.resource, "list_batch_id": l.devices.BatchID}
}

// listState is what earlier listings of a list have left behind.
type listState struct {
	ObservedAt  *time.Time // nil: never listed
	ConfirmedAt *time.Time
	// ConfirmedPages is how many pages the listing of ConfirmedAt had.
	ConfirmedPages int
	// HeldBefore are keys that a complete listing in an earlier run lacked and that were kept.
	HeldBefore []string
	Counted    bool // the run has read the list already, and counted its rows
}

const readListStateSQL = `
	SELECT observed_at, confirmed_at, confirmed_pages, CASE WHEN held_run < @run THEN held END,
	       last_run IS NOT DISTINCT FROM @run
	FROM partnersync.list_state
	WHERE customer_id = @customer_id::uuid AND resource = @resource AND batch_id = @list_batch_id`

// Only a complete listing that lacks no row which is kept leaves a digest and a confirmation. Held are the keys of such
// rows, whether the guard keeps them or the listing of several pages is the first to lack them; an incomplete listing
// leaves them as they were.
const writeListStateSQL = `
	INSERT INTO partnersync.list_state AS l (
	    customer_id, resource, batch_id, observed_at, confirmed_at, first_confirmed_at, confirmed_pages, digest, rows, held,
	    held_run, batch_status, batch_devices_count, stale_at, last_run)
	VALUES (
	    @customer_id::uuid, @resource, @list_batch_id, @observed_at, @confirmed_at, @confirmed_at, @pages, @digest, @rows, @held,
	    CASE WHEN @held::text[] IS NOT NULL THEN @run::bigint END, @batch_status, @batch_devices_count,
	    CASE WHEN @stale THEN @observed_at::timestamptz END, @run::bigint)
	ON CONFLICT (customer_id, resource, batch_id) DO UPDATE SET
	    observed_at         = excluded.observed_at,
	    confirmed_at        = coalesce(excluded.confirmed_at, l.confirmed_at),
	    first_confirmed_at  = coalesce(l.first_confirmed_at, excluded.confirmed_at),
	    confirmed_pages     = CASE WHEN excluded.confirmed_at IS NULL THEN l.confirmed_pages ELSE excluded.confirmed_pages END,
	    digest              = excluded.digest,
	    rows                = excluded.rows,
	    held                = CASE WHEN @complete THEN excluded.held ELSE l.held END,
	    held_run            = CASE WHEN @complete THEN excluded.held_run ELSE l.held_run END,
	    batch_status        = CASE WHEN @stale THEN l.batch_status ELSE excluded.batch_status END,
	    batch_devices_count = CASE WHEN @stale THEN l.batch_devices_count ELSE excluded.batch_devices_count END,
	    stale_at            = excluded.stale_at,
	    refusals            = 0,
	    error               = NULL,
	    last_run            = excluded.last_run`

// writeListStateArgs returns the arguments of writeListStateSQL after a listing of so many rows, which lacks some that
// are kept.
func (l list) writeListStateArgs(run int64, listing Listing, observedAt time.Time, rows int, held []string) pgx.NamedArgs {
	confirmed := listing.Complete && len(held) == 0
	args := l.args()
	args["run"], args["observed_at"], args["rows"], args["held"] = run, observedAt, rows, nil
	if len(held) > 0 {
		args["held"] = held
	}
	args["pages"], args["complete"], args["stale"] = listing.Pages, listing.Complete, !confirmed && l.resource != DeviceBatches
	args["batch_status"], args["batch_devices_count"] = l.devices.Status, l.devices.DevicesCount
	args["confirmed_at"], args["digest"] = nil, nil
	if confirmed {
		args["confirmed_at"], args["digest"] = observedAt, listing.Digest
	}
	return args
}

// Confirmation is a complete listing equal to the one that the list's digest stands for.
type Confirmation struct {
	Resource   string     // such as DeviceBatches
	Devices    DeviceList // of a device list: the batch
	ObservedAt time.Time
}

// queueConfirmations has a batch move the confirmation of unchanged lists on, and count how many rows they have together.
// Lists that the run has counted already are left out of that.
func queueConfirmations(batch *pgx.Batch, run int64, results []Result, rows *int) {
	// A time with a zone plus an interval is STABLE, one without is not.
	const confirm = `
		WITH confirmed AS (
		    UPDATE partnersync.list_state l
		    SET observed_at         = greatest(c.observed_at, (l.observed_at AT TIME ZONE 'UTC' + interval '1 microsecond') AT TIME ZONE 'UTC'),
		        confirmed_at        = greatest(c.observed_at, (l.observed_at AT TIME ZONE 'UTC' + interval '1 microsecond') AT TIME ZONE 'UTC'),
		        batch_status        = c.batch_status,
		        batch_devices_count = c.batch_devices_count,
		        stale_at            = NULL,
		        refusals            = 0,
		        error               = NULL,
		        last_run            = @run::bigint
		    FROM unnest(@customer_ids::uuid[], @resources::text[], @batch_ids::text[], @observed::timestamptz[],
		                @statuses::text[], @devices_counts::integer[])
		         AS c (customer_id, resource, batch_id, observed_at, batch_status, batch_devices_count)
		    JOIN partnersync.list_state before
		         ON before.customer_id = c.customer_id AND before.resource = c.resource AND before.batch_id = c.batch_id
		    WHERE l.customer_id = c.customer_id AND l.resource = c.resource AND l.batch_id = c.batch_id
		    RETURNING CASE WHEN before.last_run = @run::bigint THEN 0 ELSE l.rows END AS rows
		)
		SELECT coalesce(sum(rows), 0) FROM confirmed`
	var customerIDs, resources, batchIDs []string
	var observed []time.Time
	var statuses []*string
	var devicesCounts []*int32
	for _, r := range results {
		for _, c := range r.Confirmed {
			customerIDs, resources = append(customerIDs, r.Claim.CustomerID), append(resources, c.Resource)
			batchIDs, observed = append(batchIDs, c.Devices.BatchID), append(observed, c.ObservedAt)
			statuses, devicesCounts = append(statuses, c.Devices.Status), append(devicesCounts, c.Devices.DevicesCount)
		}
	}
	if len(customerIDs) == 0 {
		return
	}
	args := pgx.NamedArgs{
		"run": run, "customer_ids": customerIDs, "resources": resources, "batch_ids": batchIDs,
		"observed": observed, "statuses": statuses, "devices_counts": devicesCounts,
	}
	batch.Queue(confirm, args).QueryRow(func(row pgx.Row) error { return row.Scan(rows) })
}
