package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"partnersync/store"
	"partnersync/store/cron"
	"partnersync/store/sanitize"
	"partnersync/sync/statuspage"
)

// printStatus prints the status for people, failing customers first.
func printStatus(out io.Writer, s statusReport, colours palette) {
	ours, dropped := s.Partners, []store.PartnerFreshness(nil)
	if s.configured != nil {
		ours, dropped = statuspage.Split(s.Partners, s.configured)
	}
	printVerdict(out, ours, s.stale, colours)
	for _, p := range dropped {
		fmt.Fprintf(out, "partner %s is not in the configuration: its customers, %d of them, are not counted\n", sanitize.Line(p.Partner), p.Customers)
	}
	customers, failing := 0, 0
	for _, p := range s.Partners {
		customers, failing = customers+p.Customers, failing+p.Failing
	}
	for _, f := range s.Failing {
		printFailure(out, f, colours)
	}
	if more := failing - len(s.Failing); more > 0 {
		fmt.Fprintf(out, "and %d more that fail: --limit 0 shows all\n", more)
	}
	printFreshness(out, s)
	if more := customers - failing - len(s.Others); more > 0 {
		fmt.Fprintf(out, "  and %d more: --limit 0 shows all\n", more)
	}
	printRuns(out, s, colours)
}

// printVerdict says whether all is well, as the status page does.
func printVerdict(out io.Writer, partners []store.PartnerFreshness, stale []string, colours palette) {
	customers, failing, pending := 0, 0, 0
	for _, p := range partners {
		customers, failing = customers+p.Customers, failing+p.Failing
		pending += p.NeverSynced - p.NeverSyncedFailing
	}
	if failing > 0 {
		fmt.Fprintln(out, colours.red(fmt.Sprintf("%d of %d customers fail", failing, customers)))
	}
	for _, words := range stale {
		fmt.Fprintln(out, colours.red(sanitize.Line(words)))
	}
	switch {
	case failing > 0 || len(stale) > 0:
	case customers == 0:
		fmt.Fprintln(out, "no customers yet")
	case pending > 0:
		fmt.Fprintf(out, "%d of %d customers have not been synced yet\n", pending, customers)
	default:
		fmt.Fprintln(out, colours.green(fmt.Sprintf("all %d customers are ok", customers)))
	}
}

// printFreshness is the table of the customers that do not fail.
func printFreshness(out io.Writer, s statusReport) {
	rows := make([][]string, len(s.Others))
	for i, f := range s.Others {
		age := "never"
		if f.LastSuccessAt != nil {
			age = cron.FormatDuration(s.At.Sub(*f.LastSuccessAt)) + " ago"
		}
		rows[i] = []string{f.Partner, f.CustomerID, orEmpty(f.CompanyName), age, moment(f.LastSuccessAt)}
	}
	printTable(out, []string{"partner", "customer", "name", "last synced", "at"}, rows, nil)
}

// printRuns is the table of the newest runs.
func printRuns(out io.Writer, s statusReport, colours palette) {
	rows := make([][]string, len(s.Runs))
	for i, r := range s.Runs {
		took := "-"
		if r.FinishedAt != nil {
			took = r.FinishedAt.Sub(r.StartedAt).Round(100 * time.Millisecond).String()
		}
		rows[i] = []string{
			fmt.Sprint(r.ID), r.Partner, r.Kind, moment(&r.StartedAt), took, r.State,
			fmt.Sprintf("%d of %d", r.CustomersOK, r.CustomersTotal), fmt.Sprint(r.Inserted), fmt.Sprint(r.Changed), fmt.Sprint(r.Removed),
			orEmpty(r.Error),
		}
	}
	heads := []string{"run", "partner", "kind", "began", "took", "state", "customers ok", "new", "changed", "removed", "error"}
	printTable(out, heads, rows, func(row int, line string) string {
		state := s.Runs[row].State
		return strings.Replace(line, "  "+state+" ", "  "+colours.state(state)+" ", 1)
	})
}

// printTable prints rows below their heads, columns aligned, what comes from outside made harmless; nothing if there are
// none. paint, if set, colours the line of a row.
func printTable(out io.Writer, heads []string, rows [][]string, paint func(row int, line string) string) {
	if len(rows) == 0 {
		return
	}
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{heads}, rows...) {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = sanitize.Line(cell)
		}
		fmt.Fprintln(table, "  "+strings.Join(cells, "\t"))
	}
	table.Flush()
	fmt.Fprintln(out)
	i := -1 // the heads
	for line := range strings.Lines(text.String()) {
		line = strings.TrimRight(line, " \n")
		if i >= 0 && paint != nil {
			line = paint(i, line+" ")
		}
		fmt.Fprintln(out, strings.TrimRight(line, " "))
		i++
	}
}

// moment is a time of this machine's clock; "-" if there is none.
func moment(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}
