package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"partnersync/store/cron"
	"partnersync/store/plural"
	"partnersync/store/report"
	"partnersync/store/sanitize"
)

// printStatus prints the status for people: what is wrong first, then the failing customers.
func printStatus(out io.Writer, s statusReport, colours palette) {
	printFindings(out, s, colours)
	customers, failing := 0, 0
	for _, p := range s.Partners {
		customers, failing = customers+p.Customers, failing+p.Failing
		if p.Dropped {
			fmt.Fprintf(out, "partner %s has left the configuration: %s of it %s as before\n", sanitize.Line(p.Partner),
				plural.Of(p.Customers, "customer", "customers"), plural.Word(p.Customers, "stays", "stay"))
		}
	}
	if s.onlyAnalyst {
		fmt.Fprintln(out, "with the rights of an analyst: whether passes are overdue, and webhooks down, is not known")
	}
	for _, f := range s.Failing {
		printFailure(out, f, colours)
	}
	if more := failing - len(s.Failing); more > 0 {
		fmt.Fprintf(out, "and %d more that %s: --limit 0 shows all\n", more, plural.Word(more, "fails", "fail"))
	}
	printFreshness(out, s)
	if more := customers - failing - len(s.Others); more > 0 {
		fmt.Fprintf(out, "  and %d more: --limit 0 shows all\n", more)
	}
	printRuns(out, s, colours)
}

// printBriefStatus prints the status for a terminal that may be small: a line for what is wrong and one for each
// failing customer, before the tables.
func printBriefStatus(out io.Writer, s statusReport, colours palette) {
	const causes = 3 // of a finding
	for i := range s.Findings {
		f := &s.Findings[i]
		f.Reason, f.Action, f.Causes = "", "", f.Causes[:min(causes, len(f.Causes))]
	}
	printFindings(out, s, colours)
	for _, f := range s.Failing {
		fmt.Fprintf(out, "%s %s, since %s: %s\n", colours.red("failing:"),
			sanitize.Line(cmp.Or(orEmpty(f.CompanyName), f.CustomerID)), moment(f.FailingSince), reason(f))
	}
	printFreshness(out, s)
	printRuns(out, s, colours)
}

// printFindings says what is wrong, and what to do about it, or that all is well.
func printFindings(out io.Writer, s statusReport, colours palette) {
	for _, f := range s.Findings {
		severity := colours.yellow(f.Severity + ":")
		if f.Severity == report.Stopped {
			severity = colours.red(f.Severity + ":")
		}
		fmt.Fprintf(out, "%s %s\n", severity, sanitize.Line(f.Text))
		for _, c := range f.Causes {
			fmt.Fprintf(out, "  %d: %s\n", c.Customers, sanitize.Line(c.String()))
		}
		if f.Reason != "" {
			fmt.Fprintf(out, "  %s\n", sanitize.Line(f.Reason))
		}
		if f.Action != "" {
			fmt.Fprintf(out, "  %s\n", sanitize.Line(f.Action))
		}
	}
	customers, pending := 0, 0
	for _, p := range s.Partners {
		if !p.Dropped {
			customers, pending = customers+p.Customers, pending+p.NeverSynced-p.NeverSyncedFailing
		}
	}
	switch {
	case len(s.Findings) > 0:
	case customers == 0:
		fmt.Fprintln(out, "no customers yet")
	case pending > 0:
		fmt.Fprintf(out, "%d of %s %s not been synced yet\n", pending, plural.Of(customers, "customer", "customers"),
			plural.Word(pending, "has", "have"))
	default:
		all := fmt.Sprintf("all %d customers are ok", customers)
		fmt.Fprintln(out, colours.green(plural.Word(customers, "the only customer is ok", all)))
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
			customersOf(r),
			fmt.Sprint(r.Inserted), fmt.Sprint(r.Changed), fmt.Sprint(r.Removed), orEmpty(r.Error),
		}
	}
	heads := []string{
		"run", "partner", "kind", "began", "took", "state", "customers ok", "new", "changed", "removed", "error",
	}
	printTable(out, heads, rows, func(row int, line string) string {
		state := s.Runs[row].State
		return strings.Replace(line, "  "+state+" ", "  "+colours.state(state)+" ", 1)
	})
}

// printTable prints rows below their heads in aligned columns, with what comes from outside made harmless; without
// rows, it prints nothing. paint, if set, colours the line of a row.
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
