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

func TestDailyStatusesBetween_daysThatAreKnownOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want("0", "SELECT concat_ws('|', count(*)) FROM partner_center.daily_device_batch_statuses_between('-infinity', 'infinity')")
	const days = `SELECT concat_ws('|', count(DISTINCT day), max(day) - min(day) + 1, max(day) <= (now() AT TIME ZONE 'UTC')::date)
		FROM partner_center.daily_device_batch_statuses_between(%s, %s)`
	w.exec(`INSERT INTO partner_center.device_batches (customer_id, batch_id, status, valid_from)
		SELECT $1, 'b', 'queued', now() - interval '72 hours'`, w.customer)
	w.known(time.Now().AddDate(0, 0, -5).Format(time.DateOnly))
	for between, want := range map[[2]string]string{
		{"'-infinity'", "'infinity'"}:                        "4|4|t",
		{"'2000-01-01'", "'infinity'"}:                       "4|4|t",
		{"'infinity'", "'infinity'"}:                         "0",
		{"'-infinity'", "'-infinity'"}:                       "0",
		{"'2999-01-01'", "'2999-01-31'"}:                     "0",
		{"NULL", "'infinity'"}:                               "0",
		{"'2000-01-01'", "NULL"}:                             "0",
		{"(now() AT TIME ZONE 'UTC')::date", "'2999-01-01'"}: "1|1|t",
	} {
		w.want(want, fmt.Sprintf(days, between[0], between[1]))
	}
}

func TestDevicePolicyChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.known("2026-01-01")
	const policy = "8c7d25aa-2dbb-409c-a1f0-f55bd9108fa9"
	w.exec(`INSERT INTO partner_center.configuration_policies (customer_id, policy_id, name, valid_from) VALUES ($1::uuid, $2, 'Default', now())`, w.customer, policy)
	device := func(from, to, policies string, removed bool) {
		t.Helper()
		table, columns, values := "devices", "", ""
		if to != "" {
			table, columns, values = "device_versions", ", valid_to", fmt.Sprintf(", '2026-01-%sT12:00Z'", to)
		}
		w.exec(fmt.Sprintf(`INSERT INTO partner_center.%[1]s (customer_id, batch_id, device_id, policies, valid_from, removed_at%[2]s)
			VALUES ($1::uuid, 'b', 'd', $2::jsonb, '2026-01-%[4]sT12:00Z', CASE WHEN $3::boolean THEN '2026-01-%[4]sT12:00Z'::timestamptz END%[3]s)`,
			table, columns, values, from), w.customer, policies, removed)
	}
	device("02", "03", `[{"key": "o_o_b_e", "value": null}]`, false)
	device("03", "04", `[{"key": "o_o_b_e", "value": "`+policy+`"}]`, false)
	device("04", "05", `[{"key": "o_o_b_e", "value": "`+policy+`"}]`, true)
	device("05", "06", `[{"key": "o_o_b_e", "value": "Shared devices"}, {"key": "none", "value": "x"}]`, false)
	device("06", "", `[{"key": "none", "value": "x"}]`, false)
	w.want(`
		03|o_o_b_e|-|-|8c7d25aa-2dbb-409c-a1f0-f55bd9108fa9|Default
		05|none|-|-|x|x
		05|o_o_b_e|8c7d25aa-2dbb-409c-a1f0-f55bd9108fa9|Default|Shared devices|Shared devices
		06|o_o_b_e|Shared devices|Shared devices|-|-`,
		`SELECT concat_ws('|', to_char(changed_by AT TIME ZONE 'UTC', 'DD'), policy_key, coalesce(from_value, '-'), coalesce(from_policy_name, '-'), coalesce(to_value, '-'), coalesce(to_policy_name, '-'))
		FROM partner_center.device_policy_changes ORDER BY changed_by, policy_key`)
	w.want("b|d|05", `SELECT concat_ws('|', batch_id, device_id, to_char(valid_from AT TIME ZONE 'UTC', 'DD')) FROM partner_center.devices_as_of('2026-01-06T11:59Z')`)
	w.want("0", `SELECT concat_ws('|', count(*)) FROM partner_center.devices_as_of('2026-01-04T12:00Z')`)
}
