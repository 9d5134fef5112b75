package report

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// BatchChange is what changed in one batch and its devices.
type BatchChange struct {
	CompanyName string    `db:"company_name"`
	BatchID     string    `db:"batch_id"`
	What        string    `db:"what"` // in words
	ValidFrom   time.Time `db:"valid_from"`
}

// BatchChanges returns what changed in each batch after the given time, by customer and batch.
func BatchChanges(ctx context.Context, pool *pgxpool.Pool, after time.Time) ([]BatchChange, error) {
	const query = `
		WITH batches AS (
		    SELECT h.customer_id, h.batch_id, h.valid_from,
		           CASE WHEN p.batch_id IS NULL THEN 'new: ' || h.status
		                WHEN h.removed_at IS NOT NULL THEN 'gone; was ' || h.status
		                WHEN p.removed_at IS NOT NULL THEN 'back: ' || h.status
		                WHEN p.status IS DISTINCT FROM h.status THEN p.status || ' -> ' || h.status
		                ELSE p.devices_count || ' -> ' || h.devices_count || ' devices' END AS what
		    FROM partner_center.device_batch_history h
		    LEFT JOIN partner_center.device_batch_versions p
		           ON p.customer_id = h.customer_id AND p.batch_id = h.batch_id AND p.valid_to = h.valid_from
		    WHERE h.valid_from > @after
		), devices AS (
		    SELECT h.customer_id, h.batch_id, h.valid_from,
		           CASE WHEN p.device_id IS NULL THEN 'new'
		                WHEN h.removed_at IS NOT NULL THEN 'gone'
		                WHEN p.removed_at IS NOT NULL THEN 'back'
		                WHEN p.policies <> h.policies THEN 'given another policy'
		                ELSE 'changed' END AS what
		    FROM partner_center.device_history h
		    LEFT JOIN partner_center.device_versions p
		           ON p.customer_id = h.customer_id AND p.batch_id = h.batch_id
		          AND p.device_id = h.device_id AND p.valid_to = h.valid_from
		    WHERE h.valid_from > @after
		), changes AS (
		    SELECT customer_id, batch_id, valid_from, what, 1 AS position
		    FROM batches
		    UNION ALL
		    SELECT customer_id, batch_id, max(valid_from),
		           count(*) || CASE count(*) WHEN 1 THEN ' device ' ELSE ' devices ' END || what, 2
		    FROM devices
		    GROUP BY customer_id, batch_id, what
		)
		SELECT c.company_name, n.batch_id, string_agg(n.what, '; ' ORDER BY n.position, n.what) AS what,
		       max(n.valid_from) AS valid_from
		FROM changes n
		JOIN partner_center.customers c ON c.customer_id = n.customer_id
		GROUP BY c.company_name, n.batch_id
		ORDER BY c.company_name, n.batch_id`
	rows, _ := pool.Query(ctx, query, pgx.NamedArgs{"after": after}) // CollectRows returns its error
	changes, err := pgx.CollectRows(rows, pgx.RowToStructByName[BatchChange])
	if err != nil {
		return nil, fmt.Errorf("reading what changed: %w", err)
	}
	return changes, nil
}

// BatchVersion is one version of a batch.
type BatchVersion struct {
	BatchID     string     `db:"batch_id"`
	CompanyName string     `db:"company_name"`
	Status      *string    `db:"status"`
	ValidFrom   time.Time  `db:"valid_from"`
	ValidTo     *time.Time `db:"valid_to"`   // nil: it is the current version
	NotBefore   *time.Time `db:"not_before"` // nil: it was there when the batch was first seen
	Removed     bool       `db:"removed"`
}

// LongestHistory returns the versions of the batch that had the most statuses, the oldest first; none if there is no
// batch.
func LongestHistory(ctx context.Context, pool *pgxpool.Pool) ([]BatchVersion, error) {
	const query = `
		SELECT h.batch_id, c.company_name, h.status, h.valid_from, nullif(h.valid_to, 'infinity') AS valid_to,
		       h.not_before, h.removed_at IS NOT NULL AS removed
		FROM partner_center.device_batch_history h
		JOIN partner_center.customers c ON c.customer_id = h.customer_id
		WHERE (h.customer_id, h.batch_id) = (
		    SELECT customer_id, batch_id
		    FROM partner_center.device_batch_history
		    GROUP BY customer_id, batch_id
		    ORDER BY count(DISTINCT status) DESC, count(*) DESC, max(valid_from) DESC, batch_id
		    LIMIT 1)
		ORDER BY h.valid_from`
	rows, _ := pool.Query(ctx, query) // CollectRows returns its error
	versions, err := pgx.CollectRows(rows, pgx.RowToStructByName[BatchVersion])
	if err != nil {
		return nil, fmt.Errorf("reading a batch's history: %w", err)
	}
	return versions, nil
}
