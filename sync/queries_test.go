package sync

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"partnersync/store"
	"partnersync/store/storetest"
	"partnersync/sync/partnercenter/partnercentertest"
)

// Further customers of the cookbook's tests.
const (
	beta  = "b44bb1fb-c595-45b0-9e09-d657365580bf"
	gamma = "c6a1f1d0-8c9e-4d5b-9a1e-3c2b1a0f9e8d"
	delta = "de17a000-3c55-4c0b-8f43-1b2d5f6a7c88" // leaves
)

// later lets days pass between two passes: whatever the passes have written so far becomes older by that.
func (w *world) later(days int) {
	w.t.Helper()
	_, err := w.pool.Exec(w.t.Context(), fmt.Sprintf(`
		DO $$
		DECLARE
		    aged record;
		BEGIN
		    FOR aged IN
		        SELECT c.oid::regclass AS name, string_agg(format('%%1$I = (%%1$I AT TIME ZONE ''UTC'' - interval ''%d hours'') AT TIME ZONE ''UTC''', a.attname), ', ') AS older
		        FROM pg_class c
		        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		        WHERE c.relnamespace IN ('partner_center'::regnamespace, 'partnersync'::regnamespace) AND c.relkind = 'r'
		          AND a.atttypid = 'timestamptz'::regtype
		          AND a.attname NOT IN ('creation_date', 'created_date', 'last_modified_date', 'uploaded_date') -- the API's
		        GROUP BY c.oid
		    LOOP
		        EXECUTE format('UPDATE %%s SET %%s', aged.name, aged.older);
		    END LOOP;
		END
		$$`, 24*days)) // a day may have 23 hours
	w.ok(err)
}

// uploaded is when the devices of the cookbook's tests were uploaded.
func uploaded() time.Time { return time.Now().UTC().Truncate(24 * time.Hour).Add(-36 * time.Hour) }

// cookbookWorld is 13 days in the life of four customers, the last of which leaves: what stands there today is not shown.
func cookbookWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, partnercentertest.Options{}).reading()
	end := time.Now()
	created := map[string]time.Time{"Sales": end.AddDate(0, 0, -14), "Office": end.AddDate(0, 0, -14),
		"Desktops": end.AddDate(0, 0, -12)}
	batch := func(customerID, batchID, status string) {
		w.api.PutBatch(customerID, partnercentertest.Batch{ID: batchID, Status: status, Created: created[batchID]})
	}
	device := func(customerID, batchID, id, serial string, policies ...partnercentertest.PolicyAssignment) {
		w.api.PutDevice(customerID, batchID,
			partnercentertest.Device{ID: id, SerialNumber: serial, Uploaded: uploaded(), Policies: policies})
	}
	policy := func(value string) partnercentertest.PolicyAssignment {
		return partnercentertest.PolicyAssignment{Key: "o_o_b_e", Value: value}
	}
	for id, name := range map[string]string{alpha: "Contoso Bakery", beta: "Fabrikam Logistics", gamma: "Wide World", delta: "Northwind Traders"} {
		w.api.AddCustomer(partnercentertest.Customer{ID: id, CompanyName: name})
	}
	w.api.PutPolicy(alpha, partnercentertest.Policy{ID: "p1", Name: "Standard users"})
	w.api.PutPolicy(alpha, partnercentertest.Policy{ID: "p2", Name: "Shared devices", DevicesAssigned: 7})
	w.api.Fail(partnercentertest.Fault{Path: gamma, Status: 403, Code: "20002", Description: "no relationship"})

	batch(alpha, "Sales", "queued")
	device(alpha, "Sales", "d1", "2R9-ZNP67", policy("p1"))
	device(alpha, "Sales", "d2", "S2")
	device(alpha, "Sales", "d6", "S6", policy("p1"))
	batch(alpha, "Stuck", "queued")
	batch(beta, "Office", "queued")
	device(beta, "Office", "d3", "S2", policy("Elsewhere"))
	device(beta, "Office", "d4", "S4", policy("Elsewhere"))
	batch(beta, "Old", "finished")
	device(beta, "Old", "d5", "S5", policy("Elsewhere"))
	batch(delta, "Kiosks", "queued")
	batch(delta, "Broken", "finished_with_errors")
	device(delta, "Kiosks", "d6", "S2")
	w.once()
	w.later(2)
	batch(alpha, "Desktops", "queued")
	batch(beta, "Office", "processing")
	w.once()
	w.later(2)
	batch(alpha, "Sales", "finished")
	batch(alpha, "Desktops", "Finished")
	batch(beta, "Office", "finished-with-errors")
	w.once()
	w.later(4)
	batch(alpha, "Desktops", "processing")
	w.api.PutBatch(alpha, partnercentertest.Batch{ID: "Stuck", Status: "queued", DevicesCount: 3})
	device(alpha, "Sales", "d1", "2R9-ZNP67", policy("Shared devices"))
	w.api.RemoveDevice(beta, "Office", "d4")
	w.api.RemoveDevice(alpha, "Sales", "d6")
	device(alpha, "Desktops", "d7", "s6", policy("p1"))
	w.once()
	w.later(3)
	w.api.RemoveBatch(beta, "Old")
	w.api.RemoveCustomer(delta)
	w.once()
	w.later(2)
	batch(alpha, "Tablets", "queued")
	w.api.Fail(partnercentertest.Fault{Path: beta, Status: 404, Code: "1000", Description: "not found"})
	w.once()
	return w
}

// answers are those to the questions, by the names of the files: of each the columns that are the same each time.
var answers = map[string]struct {
	literal, instead string // a value to be changed, and what it is changed to
	columns          string
	order            string // where the query's own depends on which customer came first
	want             string
}{
	"stuck_batches": {columns: "company_name, batch_id, status, devices_count, date_trunc('day', in_status_for)",
		want: `
		Contoso Bakery|Stuck|queued|3|13 days
		Contoso Bakery|Desktops|processing|1|5 days`},
	"time_to_finish": {columns: "company_name, rounds, date_trunc('hour', justify_hours(median)), date_trunc('hour', justify_hours(percentile_95))", want: `
		Contoso Bakery|1|2 days|2 days`},
	"time_per_status": {columns: "company_name, status, batches, date_trunc('day', total), date_trunc('day', median)",
		order: ` ORDER BY company_name, status COLLATE "C"`, want: `
		Contoso Bakery|Finished|1|4 days|4 days
		Contoso Bakery|finished|1|9 days|9 days
		Contoso Bakery|processing|1|5 days|5 days
		Contoso Bakery|queued|4|19 days|3 days
		Fabrikam Logistics|finished|1|11 days|11 days
		Fabrikam Logistics|finished-with-errors|1|9 days|9 days
		Fabrikam Logistics|processing|1|2 days|2 days
		Fabrikam Logistics|queued|1|2 days|2 days
		Northwind Traders|finished_with_errors|1|11 days|11 days
		Northwind Traders|queued|1|11 days|11 days`},
	"changes_of_the_last_week": {columns: "company_name, batch_id, what, date_trunc('day', now() - changed_by)",
		order: " ORDER BY date_trunc('day', now() - changed_by) DESC, company_name, batch_id", want: `
		Contoso Bakery|Desktops|Finished -> processing, 0 -> 1 device|5 days
		Contoso Bakery|Sales|3 -> 2 devices|5 days
		Contoso Bakery|Stuck|0 -> 3 devices|5 days
		Fabrikam Logistics|Office|2 -> 1 device|5 days
		Fabrikam Logistics|Old|gone|2 days
		Contoso Bakery|Tablets|new, queued|00:00:00`},
	"batches_at_a_time": {literal: "2026-01-31 18:00Z",
		instead: time.Now().Add(-6 * 24 * time.Hour).UTC().Format("2006-01-02 15:04Z"), columns: "company_name, batch_id, status, devices_count", want: `
		Contoso Bakery|Desktops|Finished|0
		Contoso Bakery|Sales|finished|3
		Contoso Bakery|Stuck|queued|0
		Fabrikam Logistics|Office|finished-with-errors|2
		Fabrikam Logistics|Old|finished|1
		Northwind Traders|Broken|finished_with_errors|0
		Northwind Traders|Kiosks|queued|1`},
	"batches_with_errors": {columns: "company_name, batch_id, devices_count, date_trunc('day', now() - finished_by)",
		want: `
		Fabrikam Logistics|Office|1|9 days`},
	"vanished_devices": {columns: "company_name, batch_id, device_id, serial_number, batch_is_gone, gone_after < gone_by", want: `
		Fabrikam Logistics|Old|d5|S5|t|t
		Fabrikam Logistics|Office|d4|S4|f|t`},
	"moved_devices": {columns: "company_name, batch_id, device_id, serial_number, to_company_name, to_batch_id, to_device_id, left_after < left_by, arrived_after IS NULL", want: `
		Contoso Bakery|Sales|d6|S6|Contoso Bakery|Desktops|d7|t|t`},
	"devices_without_policy": {columns: "company_name, batch_id, device_id, serial_number", want: `
		Contoso Bakery|Sales|d2|S2`},
	"repeated_serial_numbers": {columns: "serial_number, customers, places, found_in", want: `
		S2|2|2|Contoso Bakery: Sales, Fabrikam Logistics: Office`},
	"uploads_by_day": {columns: "day, company_name, devices", want: strings.ReplaceAll(`
		DAY|Contoso Bakery|3
		DAY|Fabrikam Logistics|3
		DAY|Northwind Traders|1`, "DAY", uploaded().Format(time.DateOnly))},
	"stale_customers": {columns: "partner, company_name, date_trunc('day', age), consecutive_failures, last_error_code, length(last_request_id)", want: `
		contoso|Wide World|6|20002|36
		contoso|Fabrikam Logistics|2 days|1|1000|36`},
	"failures_of_the_last_month": {columns: "partner, company_name, failing_until IS NULL, recovered, date_trunc('day', failed_for), passes, error_code, last_request_id <> first_request_id",
		want: `
		contoso|Fabrikam Logistics|t|f|00:00:00|1|1000|f
		contoso|Wide World|t|f|13 days|6|20002|t`},
	"freshness_at_a_time": {literal: "2026-01-31 18:00Z",
		instead: time.Now().Add(-6 * 24 * time.Hour).UTC().Format("2006-01-02 15:04Z"), columns: "partner, company_name, date_trunc('day', age), error_code", want: `
		contoso|Wide World|20002
		contoso|Contoso Bakery|2 days
		contoso|Fabrikam Logistics|2 days
		contoso|Northwind Traders|2 days`},
	"weekly_report": {columns: "company_name", want: `
		Contoso Bakery
		Fabrikam Logistics
		Northwind Traders
		Wide World`},
	"reopened_batches": {columns: "company_name, batch_id, from_status, to_status, date_trunc('day', was_finished_for)",
		want: `
		Contoso Bakery|Desktops|Finished|processing|4 days`},
	"life_of_a_device": {literal: "CR3-OWG684", instead: "S4",
		columns: "company_name, batch_id, device_id, state, date_trunc('day', now() - valid_from), valid_to IS NULL", want: `
		Fabrikam Logistics|Office|d4|listed|13 days|f
		Fabrikam Logistics|Office|d4|gone|5 days|t`},
	"policy_changes_of_the_last_week": {columns: "company_name, batch_id, device_id, serial_number, policy_key, from_policy, to_policy", want: `
		Contoso Bakery|Sales|d1|2R9-ZNP67|o_o_b_e|Standard users|Shared devices`},
	"devices_per_policy": {columns: "company_name, category, name, devices, devices_assigned_count", want: `
		Contoso Bakery|o_o_b_e|Shared devices|1|7
		Contoso Bakery|o_o_b_e|Standard users|1|1`},
	"where_a_device_is": {literal: "cr3-owg684", instead: " s2 ", columns: "company_name, batch_id, batch_status, device_id, serial_number, policies", want: `
		Contoso Bakery|Sales|finished|d2|S2
		Fabrikam Logistics|Office|finished-with-errors|d3|S2|Elsewhere`},
	"batches_that_lack_devices": {columns: "company_name, batch_id, devices_count, listed", want: `
		Contoso Bakery|Stuck|3|0`},
	"device_lists_that_are_old": {columns: "company_name, batch_id, listed_at IS NULL, devices", want: `
		Fabrikam Logistics|Office|f|1`},
	"policies_at_a_time": {literal: "2026-01-31 18:00Z",
		instead: time.Now().Add(-6 * 24 * time.Hour).UTC().Format("2006-01-02 15:04Z"), columns: "company_name, category, name", want: `
		Contoso Bakery|o_o_b_e|Shared devices
		Contoso Bakery|o_o_b_e|Standard users`},
	"passes_that_went_wrong": {columns: "partner, kind, state, customers_failed, customers_total, took > '0'", want: `
		contoso|once|partial|2|3|t`},
}

// TestQueries runs the cookbook, deploy/queries.
func TestQueries(t *testing.T) {
	t.Parallel()
	w := cookbookWorld(t)
	queries := cookbook(t)
	for name, test := range answers {
		query := queries[name]
		delete(queries, name)
		if test.literal != "" && strings.Count(query, test.literal) != 1 {
			t.Errorf("%s has %q %d times, want it once", name, test.literal, strings.Count(query, test.literal))
		}
		query = strings.ReplaceAll(query, test.literal+"'", test.instead+"'")
		w.wantAnswer(test.want, "SELECT "+test.columns+" FROM ("+query+") AS answer"+test.order, storetest.IsCitus())
	}
	for name := range queries {
		t.Errorf("nobody knows what %s answers", name)
	}
	w.wantOncePruned(cookbook(t))
}

// wantOncePruned prunes all there is to: no batch is lost, but what is not known any more is null.
func (w *world) wantOncePruned(queries map[string]string) {
	w.t.Helper()
	_, err := w.store.PruneVersions(w.t.Context(), store.Pruning{Before: time.Now()})
	w.ok(err)
	for name, answer := range map[string]struct{ columns, want string }{
		"stuck_batches": {"company_name, batch_id, status, in_status_for IS NULL", `
			Contoso Bakery|Desktops|processing|t
			Contoso Bakery|Stuck|queued|t`},
		"batches_with_errors": {"company_name, batch_id, finished_by IS NULL", `
			Fabrikam Logistics|Office|t`},
		"changes_of_the_last_week": {"company_name, batch_id, what", `
			Contoso Bakery|Desktops|processing
			Contoso Bakery|Sales|finished
			Contoso Bakery|Stuck|queued
			Contoso Bakery|Tablets|new, queued
			Fabrikam Logistics|Office|finished-with-errors
			Fabrikam Logistics|Old|gone, finished`},
		"time_to_finish":    {"rounds", ""},
		"time_per_status":   {"company_name, status, batches", "Contoso Bakery|queued|1"},
		"batches_at_a_time": {"batch_id", ""},
	} {
		w.wantAnswer(answer.want, "SELECT "+answer.columns+" FROM ("+queries[name]+") a", true)
	}
}

// wantAnswer is want, but in any order if that is said: a cluster does not keep that of a query within another.
func (w *world) wantAnswer(want, query string, anyOrder bool) {
	w.t.Helper()
	got, lines := w.rows(query), strings.Split(strings.Trim(strings.ReplaceAll(want, "\t", ""), "\n"), "\n")
	if want == "" {
		lines = nil
	}
	if anyOrder {
		slices.Sort(got)
		slices.Sort(lines)
	}
	if diff := cmp.Diff(lines, got, cmpopts.EquateEmpty()); diff != "" {
		w.t.Errorf("%s: (-want +got)\n%s", query, diff)
	}
}

// question is how a query begins: a question in words.
var question = regexp.MustCompile(`\A-- [A-Z][^\n]+\?\n`)

// cookbook returns the queries of deploy/queries by their names.
func cookbook(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../deploy/queries/*.sql")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d queries, %v", len(files), err)
	}
	queries := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !question.Match(text) {
			t.Errorf("%s does not begin with a question", file)
		}
		if strings.Contains(string(text), "partnersync.") {
			t.Errorf("%s reads what is not for analysts", file)
		}
		query, rest, _ := strings.Cut(string(text), ";\n")
		if rest != "" {
			t.Errorf("%s is more than one query", file)
		}
		queries[strings.TrimSuffix(filepath.Base(file), ".sql")] = query
	}
	return queries
}
