package report

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// BatchHistory is a batch as it is now, with its versions.
type BatchHistory struct {
	BatchID      string     `db:"batch_id"`
	Status       *string    `db:"status"`
	CreatedBy    *string    `db:"created_by"`
	CreationDate *time.Time `db:"creation_date"`
	DevicesCount *int       `db:"devices_count"`
	RemovedAt    *time.Time `db:"removed_at"`
	Found        int        `db:"found"` // batches that the search found, on all pages

	Versions []BatchVersion `db:"-"` // the oldest first
	Cut      bool           `db:"-"` // there are older versions, which were not asked for, or were pruned
}

// BatchVersion is what a batch was from one time to another.
type BatchVersion struct {
	BatchID      string     `db:"batch_id"`
	Status       *string    `db:"status"`
	DevicesCount *int       `db:"devices_count"`
	ValidFrom    time.Time  `db:"valid_from"`
	NotBefore    *time.Time `db:"not_before"`
	ValidTo      *time.Time `db:"valid_to"` // nil: to this day
	Removed      bool       `db:"removed"`
}

// BatchSearch says which of a customer's batches to return.
type BatchSearch struct {
	CustomerID    string // a UUID
	BatchID       string // "": any
	Text          string // in the batch's id, in any case; "": any
	Limit, Offset int
	Versions      int // the newest so many of each batch
}

// BatchHistories returns one page of what the search finds, the batches that changed last first.
func (r *Reader) BatchHistories(ctx context.Context, s BatchSearch) (all []BatchHistory, err error) {
	const batches = `
		SELECT batch_id, status, created_by, creation_date, devices_count, removed_at, count(*) OVER ()::integer AS found
		FROM partner_center.device_batches
		WHERE customer_id = @customer::uuid
		  AND (@batch = '' OR batch_id = @batch)
		  AND (@text = '' OR strpos(lower(batch_id), lower(@text)) > 0)
		ORDER BY valid_from DESC, batch_id
		LIMIT @limit
		OFFSET @offset`
	const versions = `
		SELECT h.batch_id, h.status, h.devices_count, h.valid_from, h.not_before, h.valid_to, h.removed_at IS NOT NULL AS removed
		FROM unnest(@batches::text[]) b (batch_id)
		CROSS JOIN LATERAL (
		    SELECT h.*
		    FROM partner_center.device_batch_history h
		    WHERE h.customer_id = @customer::uuid AND h.batch_id = b.batch_id
		    ORDER BY h.valid_from DESC
		    LIMIT @versions::bigint + 1 -- one more than asked for tells whether there are older ones
		) h
		ORDER BY h.batch_id, h.valid_from`
	args := pgx.NamedArgs{
		"customer": s.CustomerID, "batch": s.BatchID, "text": s.Text, "versions": s.Versions,
		"limit": s.Limit, "offset": s.Offset,
	}
	err = r.read(ctx, timeout, func(ctx context.Context, tx pgx.Tx) error {
		if all, err = collect[BatchHistory](ctx, tx, "the batches of customer "+s.CustomerID, batches, args); err != nil {
			return err
		}
		ids := make([]string, len(all))
		for i := range all {
			ids[i] = all[i].BatchID
		}
		args["batches"] = ids
		found, err := collect[BatchVersion](ctx, tx, "the history of customer "+s.CustomerID, versions, args)
		addVersions(all, found, s.Versions)
		return err
	})
	return all, err
}

// addVersions gives each batch its versions, up to the limit.
func addVersions(all []BatchHistory, versions []BatchVersion, limit int) {
	of := make(map[string][]BatchVersion, len(all))
	for _, v := range versions {
		of[v.BatchID] = append(of[v.BatchID], v)
	}
	for i := range all {
		h := &all[i]
		h.Versions = of[h.BatchID]
		if len(h.Versions) > limit {
			h.Versions = h.Versions[1:]
		}
		h.Cut = len(h.Versions) > 0 && h.Versions[0].NotBefore != nil // only the first version of all has none
	}
}
