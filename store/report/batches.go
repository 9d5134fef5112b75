package report

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// StatusDay is how many batches were in a status at the end of a day.
type StatusDay struct {
	Status  string    `db:"status"` // one of BatchStatuses
	Day     time.Time `db:"day"`    // UTC
	Batches int64     `db:"batches"`
}

// BatchStatuses are the statuses that batches are counted by: the API's words in lower case with _ for -, and "other"
// for any further status or none, since statuses are free text.
var BatchStatuses = []string{"queued", "processing", "finished", "finished_with_errors", "other"}

// AgeGroup counts the unfinished batches whose age lies from From to below the From of the next group.
type AgeGroup struct {
	From    *time.Duration `db:"from_age"` // nil: creation_date is unknown
	Batches int            `db:"batches"`
}

// UnfinishedBatch is a row of unfinished_device_batches.
type UnfinishedBatch struct {
	CustomerID   string     `db:"customer_id"`
	CompanyName  *string    `db:"company_name"`
	BatchID      string     `db:"batch_id"`
	Status       *string    `db:"status"`
	StatusSince  *time.Time `db:"status_since"` // nil: pruned
	CreationDate *time.Time `db:"creation_date"`
	DevicesCount *int       `db:"devices_count"`
}

// StatusChange is a row of device_batch_status_changes.
type StatusChange struct {
	CustomerID       string         `db:"customer_id"`
	CompanyName      *string        `db:"company_name"`
	BatchID          string         `db:"batch_id"`
	FromStatus       *string        `db:"from_status"`
	ToStatus         *string        `db:"to_status"`
	ChangedAfter     *time.Time     `db:"changed_after"` // nil: the batch was first seen
	ChangedBy        time.Time      `db:"changed_by"`
	TimeInFromStatus *time.Duration `db:"time_in_from_status"` // nil: it was first seen, or that version was pruned
}

// Batches is how the batches of all customers stand.
type Batches struct {
	Days     []StatusDay // since the first day asked for
	Ages     []AgeGroup
	Oldest   []UnfinishedBatch // the oldest unfinished batches, by creation_date
	Changes  []StatusChange    // the latest, newest first
	AsOf     time.Time
	FirstDay time.Time // of Days
	Today    time.Time // the last of Days
	KnownDay time.Time // the first of them whose history no customer lacks, since it was pruned
}

// Batches reads how the batches stand, and how they stood on each of the days up to today (UTC); limit is that of the
// lists. It goes through all current batches several times: a second or two for a million.
func (r *Reader) Batches(ctx context.Context, days, limit int) (b Batches, err error) {
	err = r.read(ctx, surveyTimeout, func(ctx context.Context, tx pgx.Tx) (err error) {
		const now = `
			SELECT now(), f.day, f.day + @days::integer - 1, greatest(f.day, c.pruned)
			FROM (SELECT (now() AT TIME ZONE 'UTC')::date - @days::integer + 1) f (day),
			     (SELECT (max(pruned_before) AT TIME ZONE 'UTC')::date FROM partner_center.customers) c (pruned)`
		if err := tx.QueryRow(ctx, now, pgx.NamedArgs{"days": days}).Scan(&b.AsOf, &b.FirstDay, &b.Today, &b.KnownDay); err != nil {
			return err
		}
		if b.Days, err = statusDays(ctx, tx, b.FirstDay); err != nil {
			return err
		}
		if b.Ages, err = unfinishedByAge(ctx, tx); err != nil {
			return err
		}
		if b.Oldest, err = oldestUnfinished(ctx, tx, limit); err != nil {
			return err
		}
		b.Changes, err = latestChanges(ctx, tx, limit)
		return err
	})
	return b, err
}

// statusDays adds up the daily statuses of all customers.
func statusDays(ctx context.Context, tx pgx.Tx, first time.Time) ([]StatusDay, error) {
	const sql = `
		SELECT CASE WHEN s.word IN ('queued', 'processing', 'finished', 'finished_with_errors') THEN s.word
		            ELSE 'other' END AS status,
		       s.day, sum(s.batches)::bigint AS batches
		FROM (
		    SELECT replace(lower(status COLLATE "C"), '-', '_') AS word, day, batches
		    FROM partner_center.daily_device_batch_statuses
		    WHERE day >= @first::date
		) s
		GROUP BY 1, 2
		ORDER BY 2, 1`
	return collect[StatusDay](ctx, tx, "the daily statuses of the batches", sql, pgx.NamedArgs{"first": first})
}

func unfinishedByAge(ctx context.Context, tx pgx.Tx) ([]AgeGroup, error) {
	const sql = `
		SELECT g.from_age, count(u.*)::integer AS batches
		FROM (
		    SELECT CASE WHEN age >= '30 days' THEN 6 WHEN age >= '7 days' THEN 5 WHEN age >= '1 day' THEN 4
		                WHEN age >= '6 hours' THEN 3 WHEN age >= '1 hour' THEN 2 WHEN age IS NOT NULL THEN 1 ELSE 0 END AS nth
		    FROM partner_center.unfinished_device_batches
		) u
		RIGHT JOIN (VALUES (1, interval '0'), (2, interval '1 hour'), (3, interval '6 hours'), (4, interval '24 hours'),
		                   (5, interval '168 hours'), (6, interval '720 hours'), (0, NULL)) g (nth, from_age) USING (nth)
		GROUP BY g.nth, g.from_age
		ORDER BY g.from_age NULLS LAST`
	return collect[AgeGroup](ctx, tx, "the ages of the unfinished batches", sql, nil)
}

func oldestUnfinished(ctx context.Context, tx pgx.Tx, limit int) ([]UnfinishedBatch, error) {
	// The keys are looked up first, since status_since is costly.
	const sql = `
		SELECT u.customer_id::text, c.company_name, u.batch_id, u.status, u.status_since, u.creation_date, u.devices_count
		FROM (
		    SELECT customer_id, batch_id
		    FROM partner_center.unfinished_device_batches
		    ORDER BY creation_date, customer_id, batch_id
		    LIMIT @limit
		) o
		JOIN partner_center.unfinished_device_batches u ON u.customer_id = o.customer_id AND u.batch_id = o.batch_id
		LEFT JOIN partner_center.customers c ON c.customer_id = u.customer_id
		ORDER BY u.creation_date, u.customer_id, u.batch_id`
	return collect[UnfinishedBatch](ctx, tx, "the oldest unfinished batches", sql, pgx.NamedArgs{"limit": limit})
}

// latestChanges looks for changes of status among the newest versions, many more than are returned: not each version
// changes the status.
func latestChanges(ctx context.Context, tx pgx.Tx, limit int) ([]StatusChange, error) {
	// A version that is not the first begins where another ends.
	const newest = `
		SELECT coalesce(
		    (SELECT min(valid_to)
		     FROM (SELECT valid_to FROM partner_center.device_batch_versions
		           ORDER BY valid_to DESC LIMIT 50 * @limit::bigint) v),
		    (SELECT min(valid_from)
		     FROM (SELECT valid_from FROM partner_center.device_batches ORDER BY valid_from DESC LIMIT @limit) b))`
	const sql = `
		SELECT s.customer_id::text, c.company_name, s.batch_id, s.from_status, s.to_status,
		       s.changed_after, s.changed_by, s.time_in_from_status
		FROM partner_center.device_batch_status_changes s
		LEFT JOIN partner_center.customers c ON c.customer_id = s.customer_id
		WHERE s.changed_by >= @since
		ORDER BY s.changed_by DESC, s.customer_id, s.batch_id
		LIMIT @limit`
	var since *time.Time
	if err := tx.QueryRow(ctx, newest, pgx.NamedArgs{"limit": limit}).Scan(&since); err != nil || since == nil {
		return nil, err
	}
	args := pgx.NamedArgs{"since": *since, "limit": limit}
	return collect[StatusChange](ctx, tx, "the latest changes of status", sql, args)
}
