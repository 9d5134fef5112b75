package store

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// deviceVersion is a version of a device. Times are days of January 2026, noon UTC, as numbers.
type deviceVersion struct {
	customer, batch, id string // "": alpha, b and d
	serial, policies    string
	after, from, to     string // "": not_before is null; the version is the current one
	removed             bool
}

// device writes a version of a device behind the Store's back.
func (w *world) device(v deviceVersion) {
	w.t.Helper()
	table, columns, values := "devices", "", ""
	if v.to != "" {
		table, columns, values = "device_versions", ", valid_to", fmt.Sprintf(", '2026-01-%sT12:00Z'", v.to)
	}
	w.exec(fmt.Sprintf(`INSERT INTO partner_center.%s (customer_id, batch_id, device_id, serial_number, policies, not_before, valid_from, removed_at%s)
		VALUES ($1, $2, $3, nullif($4, '-'), $5::jsonb, CASE WHEN $6 <> '' THEN ('2026-01-' || $6 || 'T12:00Z')::timestamptz END,
			('2026-01-' || $7 || 'T12:00Z')::timestamptz, CASE WHEN $8 THEN ('2026-01-' || $7 || 'T12:00Z')::timestamptz END%s)`,
		table, columns, values), cmp.Or(v.customer, alpha), cmp.Or(v.batch, "b"), cmp.Or(v.id, "d"), v.serial,
		cmp.Or(v.policies, "[]"), v.after, v.from, v.removed)
}

// assigned are policies as a device has them; each is given as key=value, or as a key alone.
func assigned(policies ...string) string {
	all := make([]string, len(policies))
	for i, p := range policies {
		if key, value, ok := strings.Cut(p, "="); ok {
			all[i] = fmt.Sprintf(`{"key": %q, "value": %q}`, key, value)
		} else {
			all[i] = fmt.Sprintf(`{"key": %q, "value": null}`, key)
		}
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// The ids of policies in the tests' worlds.
const (
	standard     = "8c7d25aa-2dbb-409c-a1f0-f55bd9108fa9"
	oldStandard  = "1111111a-2dbb-409c-a1f0-f55bd9108fa9"
	shared1      = "2222222a-2dbb-409c-a1f0-f55bd9108fa9"
	shared2      = "3333333a-2dbb-409c-a1f0-f55bd9108fa9"
	withdrawn    = "44444444-2dbb-409c-a1f0-f55bd9108fa9"
	nameless     = "55555555-2dbb-409c-a1f0-f55bd9108fa9"
	unknown      = "66666666-2dbb-409c-a1f0-f55bd9108fa9"
	ofAnotherOne = "77777777-2dbb-409c-a1f0-f55bd9108fa9"
)

// policies gives alpha some, of which two have one name, and of which some were removed; and beta one.
func (w *world) policies() {
	w.t.Helper()
	const insert = `INSERT INTO partner_center.configuration_policies (customer_id, policy_id, name, valid_from, removed_at)
		VALUES ($1, $2, nullif($3, ''), '2026-01-01T12:00Z', CASE WHEN $4 THEN '2026-01-01T12:00Z'::timestamptz END)`
	w.exec(insert, alpha, standard, "Standard", false)
	w.exec(insert, alpha, oldStandard, "Standard", true)
	w.exec(insert, alpha, shared1, "Shared", false)
	w.exec(insert, alpha, shared2, "Shared", false)
	w.exec(insert, alpha, strings.ToUpper(shared2), "Written otherwise", true)
	w.exec(insert, alpha, withdrawn, "Withdrawn", true)
	w.exec(insert, alpha, nameless, "", false)
	w.exec(insert, beta, ofAnotherOne, "Elsewhere", false)
	for _, c := range []string{alpha, beta} {
		w.exec("INSERT INTO partner_center.customers (customer_id, partner, company_name, first_seen_at) VALUES ($1, 'contoso', 'Company', '2026-01-01T12:00Z')", c)
	}
}

func TestDevicePolicies(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		policies []string
		want     string // key, policy, name
		listed   string // as the inventory has it
	}{
		{"none", nil, "", "-"},
		{"no value", []string{"o", "p="}, "", "-"},
		{"id", []string{"o=" + standard}, "o|" + standard + "|Standard", "Standard"},
		{"id in upper case", []string{"o=" + strings.ToUpper(standard)}, "o|" + standard + "|Standard", "Standard"},
		{"name", []string{"o=Standard"}, "o|" + standard + "|Standard", "Standard"},
		{"name in another case", []string{"o=standard"}, "o|-|standard", "standard"},
		{"id of one of two of the same name", []string{"o=" + shared2}, "o|" + shared2 + "|Shared", "Shared"},
		{"id of which there was one in another case", []string{"o=" + strings.ToUpper(shared2)}, "o|" + shared2 + "|Shared", "Shared"},
		{"name of two", []string{"o=Shared"}, "o|-|Shared", "Shared"},
		{"id of a removed one", []string{"o=" + oldStandard}, "o|" + oldStandard + "|Standard", "Standard"},
		{"name of a removed one", []string{"o=Withdrawn"}, "o|" + withdrawn + "|Withdrawn", "Withdrawn"},
		{"id without a name", []string{"o=" + nameless}, "o|" + nameless + "|" + nameless, nameless},
		{"unknown id", []string{"o=" + unknown}, "o|-|" + unknown, unknown},
		{"another customer's", []string{"o=" + ofAnotherOne, "p=Elsewhere"},
			"o|-|" + ofAnotherOne + "\np|-|Elsewhere", ofAnotherOne + ", Elsewhere"},
		{"the same twice", []string{"o=" + standard, "o=Standard"}, "o|" + standard + "|Standard", "Standard"},
		{"several", []string{"p=Withdrawn", "o=Standard", "o=Shared", "n"},
			"o|-|Shared\no|" + standard + "|Standard\np|" + withdrawn + "|Withdrawn", "Shared, Standard, Withdrawn"},
	}
	w := newWorld(t)
	w.policies()
	for _, test := range tests {
		w.device(deviceVersion{id: test.name, policies: assigned(test.policies...), from: "02"})
	}
	for _, test := range tests {
		w.want(test.want, `SELECT concat_ws('|', policy_key, coalesce(policy_id, '-'), policy_name)
			FROM partner_center.device_policies WHERE device_id = $1 ORDER BY policy_key, policy_name`, test.name)
		w.want(test.listed, `SELECT coalesce(policies, '-') FROM partner_center.device_inventory WHERE device_id = $1`, test.name)
	}
}

func TestDevicePolicies_ofWhatIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policies()
	w.device(deviceVersion{id: "there", policies: assigned("o=Standard"), from: "02"})
	w.device(deviceVersion{id: "gone", policies: assigned("o=Standard"), from: "02", removed: true})
	w.device(deviceVersion{customer: beta, id: "elsewhere", policies: assigned("o=Elsewhere"), from: "02"})
	const devices = "SELECT concat_ws('|', device_id, policy_name, device_key) FROM partner_center.device_policies ORDER BY 1"
	w.want("elsewhere|Elsewhere|"+beta+"/b/elsewhere\nthere|Standard|"+alpha+"/b/there", devices)
	w.exec("UPDATE partner_center.customers SET removed_at = now() WHERE customer_id = $1", beta)
	w.want("there|Standard|"+alpha+"/b/there", devices)
}

func TestDevicePolicyChanges(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		versions [][]string // day by day, the first on the second; nil is a removal
		want     string     // day, key, from, its name, to, its name
	}{
		{"the first ones", [][]string{{"o=" + standard, "p=x", "q"}}, `
			02|o|-|-|` + standard + `|Standard
			02|p|-|-|x|x`},
		{"given and taken", [][]string{{"o"}, {"o=" + standard}, {"o="}}, `
			03|o|-|-|` + standard + `|Standard
			04|o|` + standard + `|Standard|-|-`},
		{"another one", [][]string{{"o=x"}, {"o=" + standard}}, `
			02|o|-|-|x|x
			03|o|x|x|` + standard + `|Standard`},
		{"a missing key and one without a value", [][]string{{"o"}, {}, {"o", "p"}}, ""},
		{"removal and return", [][]string{{"o=x"}, nil, {"o=x"}, nil, {"o=y"}}, `
			02|o|-|-|x|x
			06|o|x|x|y|y`},
		{"an id that becomes its name", [][]string{{"o=" + standard}, {"o=Standard"}, {"o=" + strings.ToUpper(standard)}}, `
			02|o|-|-|` + standard + `|Standard`},
		{"an id that becomes its name, which it shares", [][]string{{"o=" + shared1}, {"o=Shared"}}, `
			02|o|-|-|` + shared1 + `|Shared`},
		{"another policy of the same name", [][]string{{"o=" + shared1}, {"o=" + shared2}}, `
			02|o|-|-|` + shared1 + `|Shared
			03|o|` + shared1 + `|Shared|` + shared2 + `|Shared`},
		{"unknown ids", [][]string{{"o=" + unknown}, {"o=" + strings.ToUpper(unknown)}}, `
			02|o|-|-|` + unknown + `|` + unknown + `
			03|o|` + unknown + `|` + unknown + `|` + strings.ToUpper(unknown) + `|` + strings.ToUpper(unknown)},
		{"a repeated key", [][]string{{"o=a", "o=b"}, {"o=b", "o=a"}, {"o=a", "o=c"}, {"o=d", "o=e"}, {"o=e"}}, `
			02|o|-|-|a|a
			02|o|-|-|b|b
			04|o|b|b|c|c
			05|o|a|a|d|d
			05|o|c|c|e|e
			06|o|d|d|-|-`},
		{"a repeated value", [][]string{{"o=a"}, {"o=a", "o=a"}, {"o=Standard", "o=a"}, {"o=" + standard, "o=Standard"}}, `
			02|o|-|-|a|a
			04|o|-|-|Standard|Standard
			05|o|a|a|-|-`},
		{"from key to key", [][]string{{"o=a"}, {"p=a"}}, `
			02|o|-|-|a|a
			03|o|a|a|-|-
			03|p|-|-|a|a`},
	}
	w := newWorld(t)
	w.policies()
	for _, test := range tests {
		last := assigned()
		for i, policies := range test.versions {
			v := deviceVersion{id: test.name, policies: last, from: fmt.Sprintf("%02d", i+2), removed: policies == nil}
			if policies != nil {
				last = assigned(policies...)
				v.policies = last
			}
			if i > 0 {
				v.after = fmt.Sprintf("%02d", i+1)
			}
			if i < len(test.versions)-1 {
				v.to = fmt.Sprintf("%02d", i+3)
			}
			w.device(v)
		}
	}
	const changes = `SELECT concat_ws('|', to_char(changed_by AT TIME ZONE 'UTC', 'DD'), policy_key, coalesce(from_value, '-'), coalesce(from_policy_name, '-'),
		coalesce(to_value, '-'), coalesce(to_policy_name, '-')) FROM partner_center.device_policy_changes WHERE device_id = $1
		ORDER BY changed_by, policy_key, from_value, to_value`
	for _, test := range tests {
		w.want(test.want, changes, test.name)
	}
	w.want("t", `SELECT concat_ws('|', bool_and(changed_after < changed_by OR changed_after IS NULL)) FROM partner_center.device_policy_changes`)
	w.exec("DELETE FROM partner_center.device_versions WHERE valid_to <= '2026-01-04T12:00Z'")
	w.want(`
		05|o|a|a|d|d
		05|o|c|c|e|e
		06|o|d|d|-|-`, changes, "a repeated key")
}

func TestDeviceInventory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policies()
	w.exec("UPDATE partner_center.customers SET domain = 'alpha.example' WHERE customer_id = $1", alpha)
	w.version("b", "queued", "02", "", false)
	w.device(deviceVersion{id: "d/1", serial: " 2r9-Znp ", policies: assigned("o=Standard"), from: "02"})
	w.device(deviceVersion{id: "gone", serial: "2R9-ZNP", from: "03", removed: true})
	w.device(deviceVersion{id: "without", serial: "-", from: "02"})
	w.device(deviceVersion{customer: beta, serial: "2R9-ZNP", from: "02"})
	w.exec(`UPDATE partner_center.devices SET product_key = 'key', oem_manufacturer_name = 'Fabrikam', model_name = 'Model', uploaded_by = 'Ann',
		uploaded_date = '2026-01-02T03:04:05Z' WHERE device_id = 'd/1'`)
	const inventory = `SELECT concat_ws('|', company_name, domain, batch_id, coalesce(batch_status, '-'), device_id, serial_number, serial_key, product_key,
		oem_manufacturer_name, model_name, uploaded_date AT TIME ZONE 'UTC', uploaded_by, policies, device_key, batch_key)
		FROM partner_center.device_inventory WHERE partner = 'contoso' `
	w.want(`
		Company|alpha.example|b|queued|d/1| 2r9-Znp |2R9-ZNP|key|Fabrikam|Model|2026-01-02 03:04:05|Ann|Standard|`+alpha+`/b/d/1|`+alpha+`/b
		Company|alpha.example|b|queued|without|`+alpha+`/b/without|`+alpha+`/b
		Company|b|-|d|2R9-ZNP|2R9-ZNP|`+beta+`/b/d|`+beta+"/b", inventory+"ORDER BY customer_id, device_id")
	w.want("2", "SELECT count(*)::text FROM partner_center.device_inventory WHERE serial_key = upper(btrim('2r9-znp  '))")
	w.exec("UPDATE partner_center.customers SET removed_at = now() WHERE customer_id = $1", alpha)
	w.want("Company|b|-|d|2R9-ZNP|2R9-ZNP|"+beta+"/b/d|"+beta+"/b", inventory)
}

func TestDeviceInventory_findsASerialNumberByItsIndexHoweverLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policies()
	long := strings.Repeat("straße-é-", 10_000)
	w.device(deviceVersion{serial: long, from: "02"})
	const of = "FROM partner_center.device_inventory WHERE serial_key = upper(btrim($1))"
	w.want("d", "SELECT device_id "+of, " "+long)
	w.exec("INSERT INTO partner_center.devices (customer_id, batch_id, device_id, serial_number, valid_from) SELECT $1, 'many', n, 'serial ' || n, now() FROM generate_series(1, 10000) n", alpha)
	w.exec("ANALYZE partner_center.devices")
	if plan := w.lines("EXPLAIN SELECT device_id "+of, "serial 1"); !strings.Contains(plan, "devices_by_serial_key") {
		t.Errorf("the index is not used:\n%s", plan)
	}
}

func TestDeviceListFreshness(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const freshness = `SELECT concat_ws('|', f.batch_id, coalesce(f.devices::text, '-'), CASE WHEN f.listed_at = l.confirmed_at THEN 'read' WHEN f.listed_at IS NULL THEN '-' END)
		FROM partner_center.device_list_freshness f LEFT JOIN partnersync.list_state l ON l.resource = 'devices' AND l.batch_id = f.batch_id ORDER BY f.batch_id`
	batches := []DeviceBatch{batch("a", "finished"), batch("b", "finished"), batch("empty", "finished"), batch("failing", "finished")}
	lists := deviceLists{"a": {device("1"), device("2")}, "b": {device("3")}, "empty": {}}
	w.devicesPass(Scheduled, batches, lists)
	w.want("a|2|read\nb|1|read\nempty|0|read\nfailing|-|-", freshness)
	batches = slices.Delete(batches, 1, 2)
	w.devicesPass(Scheduled, batches, lists)
	w.want("a|2|read\nempty|0|read\nfailing|-|-", freshness)
	batches = append(batches, batch("b", "finished"))
	w.devicesPass(Scheduled, batches, deviceLists{"a": {device("1")}})
	w.want("a|2|read\nb|-|-\nempty|0|read\nfailing|-|-", freshness)
	w.exec("DELETE FROM partner_center.device_batch_versions") // as a prune would
	w.want("a|2|read\nb|-|-\nempty|0|read\nfailing|-|-", freshness)
	w.devicesPass(Scheduled, batches, lists)
	w.want("a|2|read\nb|1|read\nempty|0|read\nfailing|-|-", freshness)
	w.exec("UPDATE partner_center.customers SET removed_at = now()")
	w.want("", freshness)
}

func TestConfigurationPoliciesAsOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.known("2026-01-01")
	w.exec(`INSERT INTO partner_center.configuration_policy_versions (customer_id, policy_id, name, valid_from, not_before, removed_at, valid_to) VALUES
		($1, 'p', 'First', '2026-01-02', NULL, NULL, '2026-01-04'), ($1, 'p', 'First', '2026-01-04', '2026-01-03', '2026-01-04', '2026-01-06')`, alpha)
	w.exec(`INSERT INTO partner_center.configuration_policies (customer_id, policy_id, name, valid_from, not_before) VALUES
		($1, 'p', 'Second', '2026-01-06', '2026-01-05'), ($1, 'q', 'Other', '2026-01-03', NULL)`, alpha)
	const asOf = `SELECT concat_ws('|', name, to_char(valid_to, 'DD')) FROM partner_center.configuration_policies_as_of($1::timestamptz) ORDER BY policy_id`
	for at, want := range map[string]string{
		"2026-01-01": "", "2026-01-02": "First|04", "2026-01-03": "First|04\nOther", "2026-01-04": "Other", "2026-01-06": "Second\nOther", "infinity": "Second\nOther",
	} {
		w.want(want, asOf, at)
	}
	w.exec("UPDATE partner_center.customers SET pruned_before = '2026-01-04'")
	w.want("", asOf, "2026-01-03")
	w.exec("UPDATE partner_center.customers SET removed_at = '2026-01-08', valid_from = '2026-01-08'")
	w.want("", asOf, "infinity")
}
