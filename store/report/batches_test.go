package report

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// wanderingBatches are 300 batches of two customers over the last 60 days, whose statuses change at any time.
const wanderingBatches = `
	WITH v AS (
	    SELECT md5('customer ' || b % 2)::uuid AS customer_id, 'Batch ' || b AS batch_id, valid_from, n,
	           (ARRAY['queued', 'Processing', 'finished', 'finished-with-errors',
	                  'archived', NULL])[1 + (b * 7 + n * 5) % 6] AS status,
	           CASE WHEN (b + n) % 9 = 0 THEN valid_from END AS removed_at,
	           lead(valid_from) OVER (PARTITION BY b ORDER BY valid_from) AS valid_to
	    FROM (
	        SELECT b, n,
	               now() - interval '60 days' + interval '1 second' * (abs(hashint4(b * 10 + n)) % 5184000) AS valid_from
	        FROM generate_series(1, 300) b, generate_series(1, 6) n
	    ) t
	), customers AS (
	    INSERT INTO partner_center.customers (customer_id, partner, first_seen_at)
	    SELECT customer_id, 'contoso', min(valid_from) FROM v GROUP BY customer_id
	), old AS (
	    INSERT INTO partner_center.device_batch_versions (customer_id, batch_id, status, valid_from, removed_at, valid_to)
	    SELECT customer_id, batch_id, status, valid_from, removed_at, valid_to FROM v WHERE valid_to IS NOT NULL
	)
	INSERT INTO partner_center.device_batches (customer_id, batch_id, status, valid_from, removed_at, creation_date)
	SELECT customer_id, batch_id, status, valid_from, removed_at, CASE WHEN n > 1 THEN valid_from - interval '1 day' END
	FROM v
	WHERE valid_to IS NULL`

func TestBatches_daysAddUpToTheViewOfDailyStatuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(wanderingBatches)
	b, err := w.Batches(t.Context(), 30, 10)
	w.ok(err)
	type key struct {
		day    time.Time
		status string
	}
	got := map[key]int64{}
	for _, d := range b.Days {
		got[key{d.Day, d.Status}] = d.Batches
	}
	want := map[key]int64{}
	rows, err := w.pool.Query(t.Context(), `
		SELECT day, coalesce(lower(replace(status, '-', '_')), ''), sum(batches)::bigint
		FROM partner_center.daily_device_batch_statuses
		WHERE day > (now() AT TIME ZONE 'UTC')::date - 30
		GROUP BY 1, 2`)
	w.ok(err)
	for rows.Next() {
		var k key
		var batches int64
		w.ok(rows.Scan(&k.day, &k.status, &batches))
		if !slices.Contains(BatchStatuses, k.status) {
			k.status = "other"
		}
		want[k] += batches
	}
	w.ok(rows.Err())
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(key{})); diff != "" || len(want) < 100 {
		t.Errorf("%d days and statuses: (-want +got)\n%s", len(want), diff)
	}
}

func TestBatches_unfinishedAndChangesAreThoseOfTheViews(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(wanderingBatches)
	b, err := w.Batches(t.Context(), 30, 7)
	w.ok(err)
	var unfinished, counted int
	w.ok(w.pool.QueryRow(t.Context(), `SELECT count(*) FROM partner_center.unfinished_device_batches`).Scan(&unfinished))
	for _, a := range b.Ages {
		counted += a.Batches
	}
	if counted != unfinished || unfinished == 0 || len(b.Ages) != 7 {
		t.Errorf("%d by age, want %d: %+v", counted, unfinished, b.Ages)
	}
	var oldest, changes []string
	for _, u := range b.Oldest {
		oldest = append(oldest, u.BatchID)
	}
	for _, c := range b.Changes {
		changes = append(changes, c.BatchID)
	}
	want := w.column(`SELECT batch_id FROM partner_center.unfinished_device_batches ORDER BY creation_date,
		customer_id LIMIT 7`)
	if diff := cmp.Diff(want, oldest); diff != "" {
		t.Errorf("the oldest: (-want +got)\n%s", diff)
	}
	want = w.column(`SELECT batch_id FROM partner_center.device_batch_status_changes ORDER BY changed_by DESC LIMIT 7`)
	if diff := cmp.Diff(want, changes); diff != "" {
		t.Errorf("the latest changes: (-want +got)\n%s", diff)
	}
}

func TestBatches_daysBeforeAPruneAreNotKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(wanderingBatches)
	for prune, want := range map[string]int{"40 days": 0, "10 days": 19, "0": 29} {
		w.exec(`UPDATE partner_center.customers SET pruned_before = now() - $1::interval
			WHERE customer_id = md5('customer 1')::uuid`, prune)
		b, err := w.Batches(t.Context(), 30, 1)
		w.ok(err)
		if got := int(b.KnownDay.Sub(b.FirstDay).Hours() / 24); got != want {
			t.Errorf("pruned %s ago: known from day %d on, want %d", prune, got, want)
		}
	}
}

func TestBatches_ageGroupsBeginWhereTheySay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, age := range []string{"1 minute", "61 minutes", "6 hours 1 minute", "25 hours", "8 days", "31 days"} {
		w.exec(`INSERT INTO partner_center.device_batches (customer_id, batch_id, status, valid_from, creation_date)
			SELECT $1::uuid, $2::text || n, 'queued', now(), now() - $3::interval FROM generate_series(1, $4::integer) n`,
			alpha, age, age, i+1)
	}
	w.exec(`INSERT INTO partner_center.device_batches (customer_id, batch_id, valid_from) VALUES ($1::uuid, 'unknown',
		now())`, alpha)
	b, err := w.Batches(t.Context(), 30, 1)
	w.ok(err)
	hours := func(n int) *time.Duration { return new(time.Duration(n) * time.Hour) }
	want := []AgeGroup{{hours(0), 1}, {hours(1), 2}, {hours(6), 3}, {hours(24), 4}, {hours(168), 5}, {hours(720), 6},
		{nil, 1}}
	if diff := cmp.Diff(want, b.Ages); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
