package store

import "testing"

const weeklyReport = `SELECT concat_ws('|', CASE customer_id WHEN $2 THEN 'alpha' WHEN $3 THEN 'beta' ELSE 'gamma' END, partner, coalesce(company_name, '-'),
	batches_begun, batches_finished, batches_finished_with_errors, batches_unfinished, devices_added, devices_moved, devices_gone,
	coalesce(time_to_finish_median::text, '-'), coalesce(time_to_finish_p90::text, '-'), coalesce(to_char(last_success_at AT TIME ZONE 'UTC', 'DD HH24:MI'), '-'))
	FROM partner_center.weekly_customer_report($1::date) ORDER BY customer_id`

// weeks are two weeks from Thursday, 1 January 2026, on, in which alpha's batches are first listed on the second.
func weeks(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.exec(`INSERT INTO partner_center.customers (customer_id, partner, company_name, first_seen_at, first_listed_at, valid_from, not_before, removed_at)
		VALUES ($1, 'contoso', 'Alpha GmbH', '2026-01-01Z', '2026-01-02T12:00Z', '2026-01-13Z', '2026-01-12Z', NULL),
		       ($2, 'fabrikam', NULL, '2026-01-20Z', NULL, NULL, NULL, NULL),
		       ($3, 'contoso', 'Gamma', '2026-01-01Z', '2026-01-01Z', '2026-01-06Z', '2026-01-05Z', '2026-01-06Z')`, alpha, beta, gamma)
	w.exec(`INSERT INTO partner_center.customer_versions (customer_id, partner, company_name, valid_from, not_before, valid_to)
		VALUES ($1, 'contoso', 'Alpha', '2026-01-01Z', NULL, '2026-01-08Z'), ($1, 'contoso', 'Alpha Ltd', '2026-01-08Z', '2026-01-07Z', '2026-01-13Z'),
		       ($2, 'contoso', 'Gamma', '2026-01-01Z', NULL, '2026-01-06Z')`, alpha, gamma)
	w.exec(`INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, finished_at, state, read_all_customers)
		SELECT 'contoso', 'scheduled', t, t, t, 'complete', true FROM unnest('{2026-01-04T20:00Z, 2026-01-11T20:00Z, 2026-01-13T20:00Z}'::timestamptz[]) t`)

	w.version("old", "queued", "02", "06", false)
	w.version("old", "finished", "06", "", false)
	w.version("new", "queued", "05", "07", false)
	w.version("new", "Finished-With-Errors", "07", "", false)
	w.version("slow", "queued", "03", "11", false)
	w.version("slow", "finished", "11", "", false)
	w.version("open", "queued", "08", "", false)
	w.version("gone", "queued", "04", "08", false)
	w.version("gone", "queued", "08", "", true)
	w.version("after", "queued", "09", "13", false)
	w.version("after", "finished", "13", "", false)
	w.version("later", "queued", "12", "", false)
	for _, table := range []string{"device_batches", "device_batch_versions"} {
		w.exec(`UPDATE partner_center.` + table + ` b SET not_before = v.valid_from FROM partner_center.device_batch_versions v
			WHERE v.customer_id = b.customer_id AND v.batch_id = b.batch_id AND v.valid_to = b.valid_from`)
	}

	w.version("read in parts", "finished", "02", "", false)
	w.exec(`INSERT INTO partnersync.list_state (customer_id, resource, batch_id, first_confirmed_at)
		VALUES ($1, 'devices', 'old', '2026-01-02T12:00Z'), ($1, 'devices', 'read in parts', '2026-01-04T12:00Z'), ($1, 'devices', 'new', '2026-01-05T12:00Z')`, alpha)

	w.stays(stay{batch: "read in parts", id: "there at first", serial: "S9", by: 2})
	w.stays(stay{batch: "read in parts", id: "also there", serial: "S10", by: 4})
	w.stays(stay{batch: "old", id: "there at first", serial: "S1", by: 2})
	w.stays(stay{batch: "old", id: "added at once", serial: "S2", by: 3})
	w.stays(stay{batch: "old", id: "added", serial: "S3", by: 6})
	w.stays(stay{batch: "new", id: "with its batch", serial: "S4", by: 5})
	w.stays(stay{batch: "old", id: "moves", serial: "S5", by: 2, left: 6, goneBy: 7})
	w.stays(stay{batch: "new", id: "moved", serial: "s5 ", by: 8})
	w.stays(stay{batch: "old", id: "n", serial: "-", by: 2, left: 7, goneBy: 8})
	w.stays(stay{batch: "open", id: "n", serial: "-", by: 9})
	w.stays(stay{batch: "old", id: "goes", serial: "S6", by: 2, left: 8, goneBy: 9})
	w.stays(stay{batch: "old", id: "moves late", serial: "S7", by: 2, left: 9, goneBy: 10})
	w.stays(stay{batch: "open", id: "moved late", serial: "S7", by: 14})
	w.stays(stay{batch: "old", id: "back", serial: "S8", by: 2, left: 3, goneBy: 4}, stay{batch: "old", id: "back", serial: "S8", came: 7, by: 8})
	return w
}

func TestWeeklyCustomerReport(t *testing.T) {
	t.Parallel()
	w := weeks(t)
	for day, want := range map[string]string{
		"2025-12-28": "",
		"2026-01-01": `
			alpha|contoso|Alpha|2|0|0|3|1|0|1|-|-|04 20:00
			gamma|contoso|Gamma|0|0|0|0|0|0|0|-|-|04 20:00`,
		"2026-01-05": `
			alpha|contoso|Alpha Ltd|3|3|1|3|2|2|1|5 days|7 days 09:36:00|11 20:00
			gamma|contoso|Gamma|0|0|0|0|0|0|0|-|-|-`,
		"2026-01-12": "alpha|contoso|Alpha GmbH|1|1|0|3|0|1|0|4 days|4 days|13 20:00",
	} {
		w.want(want, weeklyReport, day, alpha, beta)
	}
	for _, day := range []string{"2026-01-05", "2026-01-11"} { // Monday to Sunday
		w.want("3|3|432000", `SELECT concat_ws('|', batches_begun, batches_finished, time_to_finish_median_seconds)
			FROM partner_center.weekly_customer_report($1::date) WHERE customer_id = $2`, day, alpha)
	}
	w.want("4", `SELECT concat_ws('|', batches_finished) FROM partner_center.customer_report_between('2026-01-01Z', '2026-02-01Z') WHERE customer_id = $1`, alpha)
	w.want("0", "SELECT concat_ws('|', count(*)) FROM partner_center.weekly_customer_report(NULL)")
}

func TestPruneVersions_noReportOfWeeksThatBeganBefore(t *testing.T) {
	t.Parallel()
	w := weeks(t)
	_, err := w.PruneVersions(t.Context(), Pruning{Before: minute(0).AddDate(0, 0, 11)}) // in the evening of the second Sunday
	w.ok(err)
	w.want("", weeklyReport, "2026-01-05", alpha, beta)
	// A device that had left its batch by then has not moved, as far as it is known.
	w.want("alpha|contoso|Alpha GmbH|1|1|0|3|1|0|0|4 days|4 days|13 20:00", weeklyReport, "2026-01-12", alpha, beta)
}
