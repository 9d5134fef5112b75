package report

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// BatchChange is what has happened to a batch and to its devices, in words.
type BatchChange struct {
	CompanyName *string   `db:"company_name"`
	BatchID     string    `db:"batch_id"`
	What        string    `db:"what"`
	ValidFrom   time.Time `db:"valid_from"` // of the newest version
}

// Changes returns what has happened since the time, by company and batch.
func (r *Reader) Changes(ctx context.Context, since time.Time) ([]BatchChange, error) {
	const sql = `
		WITH batches AS (
		    SELECT h.customer_id, h.batch_id, h.valid_from,
		           CASE WHEN p.batch_id IS NULL THEN 'new: ' || h.status
		                WHEN h.removed_at IS NOT NULL THEN 'gone; was ' || h.status
		                WHEN p.removed_at IS NOT NULL THEN 'back: ' || h.status
		                WHEN p.status IS DISTINCT FROM h.status THEN p.status || ' -> ' || h.status
		                ELSE p.devices_count || ' -> ' || h.devices_count ||
		                     CASE h.devices_count WHEN 1 THEN ' device' ELSE ' devices' END
		           END AS what
		    FROM partner_center.device_batch_history h
		    LEFT JOIN partner_center.device_batch_versions p
		           ON p.customer_id = h.customer_id AND p.batch_id = h.batch_id AND p.valid_to = h.valid_from
		    WHERE h.valid_from > @since
		), devices AS (
		    SELECT h.customer_id, h.batch_id, h.valid_from,
		           CASE WHEN p.device_id IS NULL THEN 'new'
		                WHEN h.removed_at IS NOT NULL THEN 'gone'
		                WHEN p.removed_at IS NOT NULL THEN 'back'
		                WHEN p.policies <> h.policies THEN 'given another policy'
		                ELSE 'changed' END AS what
		    FROM partner_center.device_history h
		    LEFT JOIN partner_center.device_versions p
		           ON p.customer_id = h.customer_id AND p.batch_id = h.batch_id AND p.device_id = h.device_id
		          AND p.valid_to = h.valid_from
		    WHERE h.valid_from > @since
		), changes AS (
		    SELECT customer_id, batch_id, valid_from, what, 1 AS place
		    FROM batches
		    UNION ALL
		    SELECT customer_id, batch_id, max(valid_from),
		           count(*) || CASE count(*) WHEN 1 THEN ' device ' ELSE ' devices ' END || what, 2
		    FROM devices
		    GROUP BY customer_id, batch_id, what
		)
		SELECT c.company_name, n.batch_id, string_agg(n.what, '; ' ORDER BY n.place, n.what) AS what,
		       max(n.valid_from) AS valid_from
		FROM changes n
		JOIN partner_center.customers c ON c.customer_id = n.customer_id
		GROUP BY c.company_name, n.batch_id
		ORDER BY c.company_name, n.batch_id`
	return readAll[BatchChange](ctx, r, "what changed", sql, pgx.NamedArgs{"since": since})
}

// BatchWithMostStatuses returns the batch that has had the most statuses; ok is false if there are no batches.
func (r *Reader) BatchWithMostStatuses(ctx context.Context) (customerID, batchID string, ok bool, err error) {
	const sql = `
		SELECT customer_id::text, batch_id
		FROM partner_center.device_batch_history
		GROUP BY customer_id, batch_id
		ORDER BY count(DISTINCT status) DESC, count(*) DESC, max(valid_from) DESC, batch_id
		LIMIT 1`
	type key struct {
		CustomerID string `db:"customer_id"`
		BatchID    string `db:"batch_id"`
	}
	keys, err := readAll[key](ctx, r, "which batch has had the most statuses", sql, nil)
	if err != nil || len(keys) == 0 {
		return "", "", false, err
	}
	return keys[0].CustomerID, keys[0].BatchID, true, nil
}
