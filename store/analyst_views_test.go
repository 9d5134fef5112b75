package store

import (
	"fmt"
	"testing"
	"time"
)

// version writes one version of a batch; to "" makes it the current one. Times are days of January 2026, noon UTC, as numbers.
func (w *world) version(batchID, status, from, to string, removed bool) {
	w.t.Helper()
	table, columns, values := "device_batches", "", ""
	if to != "" {
		table, columns, values = "device_batch_versions", ", valid_to", fmt.Sprintf(", '2026-01-%sT12:00Z'", to)
	}
	w.exec(fmt.Sprintf(`INSERT INTO partner_center.%[1]s (customer_id, batch_id, status, creation_date, devices_count, valid_from, removed_at%[2]s)
		VALUES ($1::uuid, $2, nullif($3, ''), '2026-01-01T00:00Z', 5, '2026-01-%[4]sT12:00Z', CASE WHEN $4::boolean THEN '2026-01-%[4]sT12:00Z'::timestamptz END%[3]s)`,
		table, columns, values, from), w.customer, batchID, status, removed)
}

// known makes the customer one that is known since a day.
func (w *world) known(since string) {
	w.t.Helper()
	w.exec("INSERT INTO partner_center.customers (customer_id, partner, first_seen_at) VALUES ($1, 'contoso', $2::date)",
		w.customer, since)
}

func TestDailyStatuses_areThoseOfTheEndOfEachDay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.known("2026-01-01")
	w.version("a", "queued", "02", "04", false)
	w.version("a", "finished", "04", "06", false)
	w.version("a", "finished", "06", "08", true) // absent
	w.version("a", "finished", "08", "", false)
	w.version("b", "queued", "03", "", false)
	w.want(`
		02|queued|1
		03|queued|2
		04|finished|1
		04|queued|1
		05|finished|1
		05|queued|1
		06|queued|1
		07|queued|1
		08|finished|1
		08|queued|1`,
		`SELECT concat_ws('|', to_char(day, 'DD'), status, batches) FROM partner_center.daily_device_batch_statuses WHERE day < '2026-01-09' ORDER BY day, status`)
	w.want("t|2", `SELECT concat_ws('|', bool_and(batches = 1), count(*)) FROM partner_center.daily_device_batch_statuses WHERE day = (now() AT TIME ZONE 'UTC')::date`)
}

func TestDailyStatuses_daysThatAreKnownOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want("0", "SELECT concat_ws('|', count(*)) FROM partner_center.daily_device_batch_statuses")
	w.exec(`INSERT INTO partner_center.device_batches (customer_id, batch_id, status, valid_from)
		SELECT $1, 'b', 'queued', now() - interval '72 hours'`, w.customer)
	w.known(time.Now().AddDate(0, 0, -5).Format(time.DateOnly))
	w.want("4|4|t", `SELECT concat_ws('|', count(DISTINCT day), max(day) - min(day) + 1, max(day) = (now() AT TIME ZONE 'UTC')::date)
		FROM partner_center.daily_device_batch_statuses`)
}

func TestDays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const days = "SELECT concat_ws('|', count(*), min(day), max(day)) FROM partner_center.days($1, $2) day"
	date := func(day int) time.Time { return time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC) }
	w.want("4|2026-01-30|2026-02-02", days, date(30), date(33))
	w.want("1|2026-01-01|2026-01-01", days, date(1), date(1))
	w.want("0", days, date(2), date(1))
	w.want("0", days, nil, date(1))
}

func TestDailyStatuses_customerThatLeavesAndReturns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.known("2026-01-01")
	w.version("a", "queued", "02", "", false)
	const version = `INSERT INTO partner_center.customer_versions (customer_id, partner, valid_from, removed_at, valid_to) VALUES ($1, 'contoso', $2, $3, $4)`
	noon := func(day int) time.Time { return time.Date(2026, 1, day, 12, 0, 0, 0, time.UTC) }
	w.exec(version, w.customer, noon(1), nil, noon(4))
	w.exec(version, w.customer, noon(4), noon(4), noon(6))
	w.exec(version, w.customer, noon(6), nil, noon(8))
	w.exec(version, w.customer, noon(8), noon(8), noon(8).Add(time.Hour)) // gone and back within a day
	w.exec("UPDATE partner_center.customers SET valid_from = $1", noon(8).Add(time.Hour))
	w.want("02, 03, 06, 07, 08, 09", `SELECT string_agg(to_char(day, 'DD'), ', ' ORDER BY day) FROM partner_center.daily_device_batch_statuses WHERE day < '2026-01-10'`)
}

func TestDailyDevices_followTheStatusOfTheirBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.known("2026-01-01")
	w.version("a", "queued", "02", "04", false)
	w.version("a", "finished", "04", "06", false)
	w.version("a", "finished", "06", "08", true) // absent
	w.version("a", "finished", "08", "09", false)
	w.version("a", "", "09", "", false)
	w.version("b", "queued", "03", "", false)
	const device = `INSERT INTO partner_center.device_versions (customer_id, batch_id, device_id, valid_from, removed_at, valid_to)
		VALUES ($1::uuid, $2, $3, $4, CASE WHEN $5 THEN $4::timestamptz END, $6)`
	noon := func(day int) time.Time { return time.Date(2026, 1, day, 12, 0, 0, 0, time.UTC) }
	w.exec(device, w.customer, "a", "1", noon(3), false, noon(5)) // a later version of it
	w.exec(device, w.customer, "a", "1", noon(5), false, noon(6))
	w.exec(device, w.customer, "a", "1", noon(6), true, noon(8))
	w.exec(device, w.customer, "a", "1", noon(8), false, noon(30))
	w.exec(device, w.customer, "a", "2", noon(5), false, noon(6))
	w.exec(device, w.customer, "a", "3", noon(5), false, noon(5).Add(time.Hour)) // within a day
	w.exec(device, w.customer, "b", "1", noon(7), false, noon(30))
	w.want(`
		02|queued|1|-
		03|queued|2|1
		04|finished|1|1
		04|queued|1|0
		05|finished|1|2
		05|queued|1|0
		06|queued|1|0
		07|queued|1|1
		08|finished|1|1
		08|queued|1|1
		09|-|1|1
		09|queued|1|1`,
		`SELECT concat_ws('|', to_char(day, 'DD'), coalesce(status, '-'), batches, coalesce(devices::text, '-'))
		FROM partner_center.daily_device_batch_statuses WHERE day < '2026-01-10' ORDER BY day, status NULLS FIRST`)
	w.exec("UPDATE partner_center.customers SET devices_first_listed_at = $1", noon(4))
	w.want("02|-\n03|1\n04|0\n05|0\n06|0\n07|1", `SELECT concat_ws('|', to_char(day, 'DD'), coalesce(devices::text, '-'))
		FROM partner_center.daily_devices WHERE batch_status = 'queued' AND day < '2026-01-08' ORDER BY day`)
}
