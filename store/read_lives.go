package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Life is a batch as it is now, with its versions.
type Life struct {
	BatchID      string     `db:"batch_id"`
	Status       *string    `db:"status"`
	CreatedBy    *string    `db:"created_by"`
	CreationDate *time.Time `db:"creation_date"`
	DevicesCount *int       `db:"devices_count"`
	RemovedAt    *time.Time `db:"removed_at"`
	Found        int        `db:"found"` // batches that the search found, on all pages

	Versions []Version `db:"-"` // the oldest first
	Cut      bool      `db:"-"` // there are older versions than these
}

// Version is what a batch was from one time to another.
type Version struct {
	BatchID      string     `db:"batch_id"`
	Status       *string    `db:"status"`
	DevicesCount *int       `db:"devices_count"`
	ValidFrom    time.Time  `db:"valid_from"`
	NotBefore    *time.Time `db:"not_before"`
	ValidTo      *time.Time `db:"valid_to"` // nil: to this day
	Removed      bool       `db:"removed"`
}

// LifeSearch says which of a customer's batches are asked for.
type LifeSearch struct {
	CustomerID    string // a UUID
	BatchID       string // "": any
	Text          string // in the batch's name, case apart; "": any
	Limit, Offset int
	Versions      int // of each batch, the newest so many
}

// Lives returns one page of what the search finds, the batches that changed last first.
func (r *Reader) Lives(ctx context.Context, s LifeSearch) (all []Life, err error) {
	const batches = `
		SELECT batch_id, status, created_by, creation_date, devices_count, removed_at, count(*) OVER ()::integer AS found
		FROM partner_center.device_batches
		WHERE customer_id = @customer::uuid
		  AND (@batch = '' OR batch_id = @batch)
		  AND (@text = '' OR strpos(lower(batch_id), lower(@text)) > 0)
		ORDER BY valid_from DESC, batch_id
		LIMIT @limit
		OFFSET @offset`
	args := pgx.NamedArgs{"customer": s.CustomerID, "batch": s.BatchID, "text": s.Text, "limit": s.Limit, "offset": s.Offset}
	err = r.read(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if all, err = query[Life](ctx, tx, "the batches of customer "+s.CustomerID, batches, args); err != nil {
			return err
		}
		return addVersions(ctx, tx, s, all)
	})
	return all, err
}

// addVersions gives each batch its versions.
func addVersions(ctx context.Context, tx pgx.Tx, s LifeSearch, all []Life) error {
	const sql = `
		SELECT h.batch_id, h.status, h.devices_count, h.valid_from, h.not_before,
		       nullif(h.valid_to, 'infinity') AS valid_to, h.removed_at IS NOT NULL AS removed
		FROM unnest(@batches::text[]) b (batch_id)
		CROSS JOIN LATERAL (
		    SELECT h.*
		    FROM partner_center.device_batch_history h
		    WHERE h.customer_id = @customer::uuid AND h.batch_id = b.batch_id
		    ORDER BY h.valid_from DESC
		    LIMIT @versions::bigint + 1
		) h
		ORDER BY h.batch_id, h.valid_from`
	ids := make([]string, len(all))
	at := make(map[string]*Life, len(all))
	for i := range all {
		ids[i] = all[i].BatchID
		at[ids[i]] = &all[i]
	}
	args := pgx.NamedArgs{"customer": s.CustomerID, "batches": ids, "versions": s.Versions}
	versions, err := query[Version](ctx, tx, "the history of customer "+s.CustomerID, sql, args)
	for _, v := range versions {
		life := at[v.BatchID]
		life.Versions = append(life.Versions, v)
	}
	for _, life := range at {
		if len(life.Versions) > s.Versions {
			life.Versions, life.Cut = life.Versions[1:], true
		}
	}
	return err
}
