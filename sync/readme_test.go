package sync

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"partnersync/sync/partnercenter/partnercentertest"
)

var sqlBlock = regexp.MustCompile("(?s)\n([^\n]+)\n\n```sql\n(.*?)```")

// TestReadme_queries runs the queries of README.md against what the emulator's customers went through.
func TestReadme_queries(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	ids := w.customers(1)
	w.api.AddCustomer(partnercentertest.Customer{ID: alpha, CompanyName: "Contoso Bakery"})
	w.put(ids[0], "Kiosks", "finished")
	w.put(alpha, "Desktops", "finished")
	w.put(alpha, "Office", "finished")
	for _, status := range []string{"queued", "processing", "", "processing"} {
		if w.put(alpha, "Sales tablets 2026", status); status == "" {
			w.api.RemoveBatch(alpha, "Sales tablets 2026")
		}
		w.once()
	}
	// A month and a half ago is when all this happened, but for the last pass.
	for _, sql := range []string{
		`UPDATE partner_center.device_batch_versions
			SET valid_from = (valid_from AT TIME ZONE 'UTC' - interval '45 days') AT TIME ZONE 'UTC',
			not_before = (not_before AT TIME ZONE 'UTC' - interval '45 days') AT TIME ZONE 'UTC',
			removed_at = (removed_at AT TIME ZONE 'UTC' - interval '45 days') AT TIME ZONE 'UTC',
			valid_to = (valid_to AT TIME ZONE 'UTC' - interval '45 days') AT TIME ZONE 'UTC'`,
		`UPDATE partner_center.device_batches b SET valid_from = (valid_from AT TIME ZONE 'UTC' - interval '45 days') AT TIME ZONE 'UTC'
			WHERE batch_id <> 'Sales tablets 2026'`,
		`UPDATE partner_center.device_batches b SET valid_from = (SELECT max(valid_to)
			FROM partner_center.device_batch_versions) WHERE batch_id = 'Sales tablets 2026'`,
	} {
		_, err := w.pool.Exec(t.Context(), sql)
		w.ok(err)
	}
	w.put(alpha, "New tablets", "queued")
	w.api.Fail(partnercentertest.Fault{Path: ids[0], Status: 403, Code: "20002", Description: "no relationship"})
	w.once()
	want := map[string][]string{
		"Where do the batches of a customer stand?": {"Desktops finished",
			"New tablets queued", "Office finished", "Sales tablets 2026 processing"},
		"What happened in the last seven days?": {"Contoso Bakery New tablets <nil> queued"},
		"What is the life of one batch?": {"queued <nil>", "processing 2",
			"processing 2", "processing 2"},
		"Which batches have not moved for a day?":                                 {"Contoso Bakery Sales tablets 2026 processing"},
		"How many batches were in which status at the end of last month?":         {"finished 3 15", "processing 1 5"},
		"Which customers fail, since when, why, and which request id do I quote?": {"contoso Contoso 1 2"},
	}
	got := map[string][]string{}
	for question, query := range readmeQueries(t) {
		rows, _ := w.pool.Query(t.Context(), query)
		answers, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
			values, err := row.Values()
			return strings.TrimSuffix(fmt.Sprintln(values...), "\n"), err
		})
		if err != nil {
			t.Errorf("%s: %v", question, err)
		}
		for i := range answers {
			if i < len(want[question]) && strings.HasPrefix(answers[i], want[question][i]) {
				answers[i] = want[question][i] // the rest is times and ids
			}
		}
		got[question] = answers
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers: (-want +got)\n%s", diff)
	}
}

// readmeQueries returns the queries by the questions above them.
func readmeQueries(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	queries := map[string]string{}
	for _, block := range sqlBlock.FindAllStringSubmatch(string(text), -1) {
		queries[block[1]] = block[2]
	}
	return queries
}
