package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// versions creates superseded versions of the customer's batches b1 to bN, of a device in each and of policies: n of each,
// a minute apart, the last of which is superseded at minute n+1.
func (w *world) versions(customer string, keys, n int) {
	w.t.Helper()
	w.exec(`INSERT INTO partner_center.device_batch_versions (customer_id, batch_id, valid_from, not_before, valid_to)
		SELECT $1::uuid, 'b' || k, $2::timestamptz + m * interval '1 minute',
		       CASE WHEN m > 1 THEN $2::timestamptz + (m - 1) * interval '1 minute' END,
		       $2::timestamptz + (m + 1) * interval '1 minute'
		FROM generate_series(1, $3::integer) k, generate_series(1, $4::integer) m`, customer, minute(0), keys, n)
	w.exec(`INSERT INTO partner_center.device_versions (customer_id, batch_id, device_id, valid_from, not_before, valid_to)
		SELECT customer_id, batch_id, 'd', valid_from, not_before, valid_to
		FROM partner_center.device_batch_versions WHERE customer_id = $1`, customer)
	w.exec(`INSERT INTO partner_center.configuration_policy_versions (customer_id, policy_id, valid_from, not_before, valid_to)
		SELECT customer_id, batch_id, valid_from, not_before, valid_to
		FROM partner_center.device_batch_versions WHERE customer_id = $1`, customer)
}

// kept are the oldest and the newest version of each batch, and how many there are.
const kept = `SELECT concat_ws('|', customer_id, batch_id, to_char(min(valid_to) AT TIME ZONE 'UTC', 'HH24:MI'), to_char(max(valid_to) AT TIME ZONE 'UTC', 'HH24:MI'), count(*))
	FROM partner_center.device_batch_versions GROUP BY customer_id, batch_id ORDER BY customer_id, batch_id`

func pruned(batches, devices, policies int64) []Pruned {
	return []Pruned{
		{"partner_center.device_batch_versions", batches}, {"partner_center.device_versions", devices},
		{"partner_center.configuration_policy_versions", policies}, {"partner_center.customer_versions", 0},
	}
}

func (w *world) wantPruned(p Pruning, want []Pruned) {
	w.t.Helper()
	counted, err := w.CountVersions(w.t.Context(), p)
	w.ok(err)
	if diff := cmp.Diff(want, counted); diff != "" {
		w.t.Errorf("counted: (-want +got)\n%s", diff)
	}
	got, err := w.PruneVersions(w.t.Context(), p)
	w.ok(err)
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("removed: (-want +got)\n%s", diff)
	}
}

func TestPruneVersions_removesWhatEndedBefore(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 4, 5, 12,
		0} { // smaller than one row's versions, across rows, the very number, all at once
		t.Run(fmt.Sprint(size, " at a time"), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.versions(alpha, 3, 5)
			w.versions(beta, 1, 5)
			w.wantPruned(Pruning{Before: minute(6), Batch: size}, pruned(16, 16, 16))
			w.want(alpha+`|b1|00:06|00:06|1
				`+alpha+`|b2|00:06|00:06|1
				`+alpha+`|b3|00:06|00:06|1
				`+beta+`|b1|00:06|00:06|1`, kept)
			w.wantPruned(Pruning{Before: minute(6), Batch: size}, pruned(0, 0, 0))
		})
	}
}

func TestPruneVersions_ofSomeCustomersOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.versions(alpha, 1, 3)
	w.versions(beta, 1, 3)
	w.wantPruned(Pruning{Before: minute(4), Customers: []string{}}, pruned(0, 0, 0))
	w.wantPruned(Pruning{Before: minute(4), Customers: []string{beta}}, pruned(2, 2, 2))
	w.want(alpha+"|b1|00:02|00:04|3\n"+beta+"|b1|00:04|00:04|1", kept)
}

func TestPruneVersions_interruptedLeavesNoGap(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.versions(alpha, 1, 9)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// The third transaction waits for a row when the context is cancelled.
	tx, err := w.pool.Begin(t.Context())
	w.ok(err)
	_, err = tx.Exec(t.Context(), `SELECT 1 FROM partner_center.device_batch_versions WHERE valid_to = $1 FOR UPDATE`,
		minute(6))
	w.ok(err)
	type outcome struct {
		removed []Pruned
		err     error
	}
	done := make(chan outcome)
	go func() {
		removed, err := w.PruneVersions(ctx, Pruning{Before: minute(10), Batch: 2})
		done <- outcome{removed, err}
	}()
	w.untilLocked()
	cancel()
	got := <-done
	w.ok(tx.Rollback(t.Context()))
	if !errors.Is(got.err, context.Canceled) {
		t.Errorf("error %v, want the context's", got.err)
	}
	if diff := cmp.Diff(pruned(4, 0, 0), got.removed); diff != "" {
		t.Errorf("removed: (-want +got)\n%s", diff)
	}
	w.want(alpha+"|b1|00:06|00:10|5", kept)
	w.wantPruned(Pruning{Before: minute(10)}, pruned(4, 8, 8))
}

func TestPruneVersions_currentRowsAndMergesAreAsBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fiveVersions()
	w.wantPruned(Pruning{Before: minute(60)}, pruned(4, 0, 0))
	w.want("b|finished|00:06|-|00:05|-", history, alpha, "b")
	w.pass(minute(8), complete("8"), batch("stays", "finished"), batch("stays too", "finished"), batch("b", "queued"))
	w.want("b|finished|00:06|00:08|00:05|-\nb|queued|00:08|-|00:07|-", history, alpha, "b")
}

// The oldest version that is kept does not count as the first one.
func TestPruneVersions_viewsDoNotTakeTheOldestVersionForTheFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fiveVersions()
	w.wantPruned(Pruning{Before: minute(3)}, pruned(1, 0, 0))
	w.want("b|processing|finished|-\nstays|-|finished|-\nstays too|-|finished|-", `SELECT concat_ws('|', batch_id, coalesce(from_status, '-'), to_status,
		coalesce(time_in_from_status::text, '-')) FROM partner_center.device_batch_status_changes
		ORDER BY batch_id, changed_by`)
	w.wantPruned(Pruning{Before: minute(60)}, pruned(3, 0, 0))
	w.want("stays\nstays too",
		`SELECT concat_ws('|', batch_id) FROM partner_center.device_batch_status_changes ORDER BY batch_id`)
}

// since are the times since when batches have had their status, and how long they had the one before.
const since = `SELECT concat_ws('|', u.batch_id, coalesce(to_char(u.status_since AT TIME ZONE 'UTC', 'HH24:MI'), '-'),
		coalesce(s.changes, '-'))
	FROM partner_center.unfinished_device_batches u
	LEFT JOIN (
	    SELECT batch_id, string_agg(coalesce(time_in_from_status::text, '-'), ' ' ORDER BY changed_by) AS changes
	    FROM partner_center.device_batch_status_changes
	    GROUP BY batch_id
	) s USING (batch_id)
	WHERE u.batch_id NOT LIKE 'b0%' ORDER BY u.batch_id`

func TestPruneVersions_aStatusThatBeganWithAPrunedVersionIsOfUnknownAge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stories(map[string][]string{
		"never changed": {"queued"},
		"long ago":      {"queued", "processing", absent, "processing", absent, "processing", absent, "processing"},
		"of late":       {"queued", absent, "queued", absent, "queued", absent, "queued", absent, "processing"},
		"twice":         {"queued", "processing", absent, "processing", absent, "processing", "queued", "processing"},
	})
	w.want(`
		long ago|00:02|- 00:01:00
		never changed|00:01|-
		of late|00:09|- 00:08:00
		twice|00:08|- 00:01:00 00:05:00 00:01:00`, since)
	for m := 3; m <= 8; m++ {
		_, err := w.PruneVersions(t.Context(), Pruning{Before: minute(m)})
		w.ok(err)
		twice := "- 00:01:00"
		if m == 8 { // nor is it known how long it was queued
			twice = "-"
		}
		w.want(`
			long ago|-|-
			never changed|00:01|-
			of late|00:09|-
			twice|00:08|`+twice, since)
	}
}

func TestPruneVersions_nothingIsSaidOfTimesBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.known("2026-01-01")
	w.version("a", "queued", "02", "04", false)
	w.version("a", "finished", "04", "", false)
	w.version("old", "finished", "01", "", false)
	w.exec(`INSERT INTO partner_center.devices (customer_id, batch_id, device_id, valid_from)
		VALUES ($1, 'old', 'd', '2026-01-01T12:00Z')`, w.customer)
	const daily = `SELECT concat_ws('|', to_char(day, 'DD'), status, batches)
		FROM partner_center.daily_device_batch_statuses WHERE day BETWEEN '2026-01-02' AND '2026-01-04' ORDER BY day, status`
	const asOf = `SELECT concat_ws('|', (SELECT count(*) FROM partner_center.device_batches_as_of($1)),
		(SELECT count(*) FROM partner_center.devices_as_of($1)))`
	w.want("02|finished|1\n02|queued|1\n03|finished|1\n03|queued|1\n04|finished|2", daily)
	before := time.Date(2026, 1, 4, 13, 0, 0, 0, time.UTC)
	w.want("2|1", asOf, before.Add(-time.Second))
	_, err := w.PruneVersions(t.Context(), Pruning{Before: before})
	w.ok(err)
	w.want("04|finished|2", daily)
	w.want("0|0", asOf, before.Add(-time.Second))
	w.want("2|1", asOf, before)
	w.wantPruned(Pruning{Before: before.AddDate(0, 0, -2)}, pruned(0, 0, 0))
	w.want("2|1", asOf, before)
}

func TestPruneVersions_policyChangesOfDevicesBeginWithThoseThatAreKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const version = `INSERT INTO partner_center.%s (customer_id, batch_id, device_id, policies, valid_from, not_before%s)
		VALUES ($1, 'b', $2, $3, $4, $5%s)`
	policies := func(value string) string { return fmt.Sprintf(`[{"key": "o_o_b_e", "value": %q}]`, value) }
	w.exec(fmt.Sprintf(version, "device_versions", ", valid_to", ", $6"), alpha, "d", policies("one"), minute(1), nil,
		minute(2))
	w.exec(fmt.Sprintf(version, "devices", "", ""), alpha, "d", policies("two"), minute(2), minute(1))
	w.exec(fmt.Sprintf(version, "devices", "", ""), alpha, "new", policies("one"), minute(2), nil)
	const changes = `SELECT concat_ws('|', device_id, coalesce(from_value, '-'), to_value)
		FROM partner_center.device_policy_changes ORDER BY device_id, changed_by`
	w.want("d|-|one\nd|one|two\nnew|-|one", changes)
	w.wantPruned(Pruning{Before: minute(3)}, pruned(0, 1, 0))
	w.want("new|-|one", changes)
}

func TestPruneRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const run = `INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, finished_at, state)
		VALUES ($1, $2, clock_timestamp(), clock_timestamp() - $3::interval - interval '1 hour', CASE WHEN $4 <> 'running' THEN clock_timestamp() - $3::interval END, $4)`
	for _, r := range []struct {
		partner, kind string
		age           time.Duration
		state         string
	}{
		{"contoso", Scheduled, 30 * day, Complete},  // 1
		{"contoso", Scheduled, 20 * day, Abandoned}, // 2
		{"contoso", Scheduled, 9 * day, Complete},   // 3: young enough
		{"contoso", Scheduled, 30 * day, Running},   // 4: open
		{"contoso", Backfill, 30 * day, Failed},     // 5
		{"contoso", Backfill, 30 * day, Complete},   // 6: the newest of its kind
		{"fabrikam", Scheduled, 30 * day, Complete}, // 7: the newest of its partner
		{"contoso", Once, 30 * day, Running},        // 8: open
		{"contoso", Once, 1 * day, Complete},        // 9
	} {
		w.exec(run, r.partner, r.kind, r.age, r.state)
	}
	w.exec(`INSERT INTO partnersync.run_counts (run_id, shard, inserted) SELECT run_id, 0, 1 FROM partnersync.runs`)
	w.exec(`INSERT INTO partnersync.run_workers (run_id, worker_id) SELECT run_id, $1::uuid FROM partnersync.runs`,
		w.Worker())

	w.ok(w.write(t.Context(), func(tx pgx.Tx) error {
		_, err := pruneRuns(t.Context(), tx, 1000*day) // another worker is at it
		w.wantRunsPruned(10*day, 0)
		return err
	}))

	w.wantRunsPruned(10*day, 3)
	for _, table := range []string{"runs", "run_counts", "run_workers"} {
		w.want("3, 4, 6, 7, 8, 9",
			"SELECT concat_ws('|', string_agg(run_id::text, ', ' ORDER BY run_id)) FROM partnersync."+table)
	}
	w.wantRunsPruned(10*day, 0)
}

func (w *world) wantRunsPruned(keep time.Duration, want int64) {
	w.t.Helper()
	got, err := w.PruneRuns(w.t.Context(), keep)
	if w.ok(err); got != want {
		w.t.Errorf("removed %d runs older than %v, want %d", got, keep, want)
	}
}

func TestPruneRuns_manyInSmallTransactions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, finished_at, state)
		SELECT 'contoso', 'scheduled', '2020-01-01', '2020-01-01', '2020-01-01', 'complete'
		FROM generate_series(1, $1)`, 2*maxPrunedRuns+2)
	w.wantRunsPruned(day, 2*maxPrunedRuns+1)
	w.want("1", "SELECT concat_ws('|', count(*)) FROM partnersync.runs")
}

func TestRoles_ownerPrunesAndWriterForgetsOldRunsOnly(t *testing.T) {
	t.Parallel()
	r := orders[1].open(t)
	r.versions(alpha, 1, 2)
	r.exec(`INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, finished_at, state)
		SELECT 'contoso', 'once', '2020-01-01', '2020-01-01', '2020-01-01', 'complete' FROM generate_series(1, 2)`)
	r.exec(`INSERT INTO partnersync.run_counts (run_id, shard) SELECT run_id, 0 FROM partnersync.runs`)

	w := worldOver(t, r.login("IN ROLE "+writer))
	w.wantRunsPruned(day, 1)
	if err := w.CheckMayPrune(t.Context()); !errors.Is(err, ErrMayNotPrune) {
		t.Errorf("the writer may prune: %v", err)
	}
	if _, err := w.PruneVersions(t.Context(), Pruning{Before: minute(60)}); err == nil {
		t.Error("the writer has pruned")
	}
	o := worldOver(t, r.login("IN ROLE "+owner))
	o.ok(o.CheckMayPrune(t.Context()))
	o.wantPruned(Pruning{Before: minute(60)}, pruned(2, 2, 2))
}
