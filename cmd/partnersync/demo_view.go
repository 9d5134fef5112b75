package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"partnersync/deploy/queries"
	"partnersync/store"
	"partnersync/store/plural"
	"partnersync/store/report"
	"partnersync/store/sanitize"
)

// showPass prints what a pass changed, and which customers fail.
func (d *demo) showPass(ctx context.Context, run store.Run) error {
	changes, err := d.page.reader.Changes(ctx, d.seen)
	if err != nil {
		return unlessDone(ctx, err)
	}
	fmt.Fprintf(d.stdout, "pass %d at %s: %s, %d of %s ok; ",
		d.shown, run.StartedAt.Local().Format(time.TimeOnly), run.State, run.CustomersOK,
		plural.Of(run.CustomersTotal, "customer", "customers"))
	fmt.Fprintf(d.stdout, "rows: %d new, %d changed, %d removed, %d unchanged\n",
		run.Inserted, run.Changed, run.Removed, run.Unchanged)
	table := tabwriter.NewWriter(d.stdout, 0, 0, 2, ' ', 0)
	for _, c := range changes {
		fmt.Fprintf(table, "  %s\t%s\t%s\n",
			sanitize.Line(orEmpty(c.CompanyName)), sanitize.Line(c.BatchID), sanitize.Line(c.What))
		if c.ValidFrom.After(d.seen) {
			d.seen = c.ValidFrom
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	failing, err := d.page.reader.Customers(ctx, report.CustomerSearch{Show: report.Failing, Order: report.ByFailure})
	for _, f := range failing {
		printFailure(d.stdout, f, d.palette(d.stdout))
	}
	return unlessDone(ctx, err)
}

// unlessDone returns the error unless ctx is done, which is not an error of the demo.
func unlessDone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// conclude prints the history of the batch with the most statuses, and what to try next.
func (d *demo) conclude(ctx context.Context) error {
	if err := d.showHistory(ctx); err != nil {
		return err
	}
	for _, name := range []string{"devices_per_policy.sql", "batches_with_errors.sql"} {
		if err := d.printAnswer(ctx, name); err != nil {
			return err
		}
	}
	fmt.Fprint(d.stdout, "\nWhat to try next:\n")
	table := tabwriter.NewWriter(d.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "  %s demo --interval 5s\tand, in another terminal, the psql command it prints\n", os.Args[0])
	fmt.Fprint(table, "  deploy/partnersync.yaml\ta configuration to copy for the real API\n",
		"  deploy/queries\tmore questions, each with its query\n",
		"  README.md\tthe tables, and how to run it for real\n")
	return table.Flush()
}

// showHistory prints the history of the batch that has had the most statuses.
func (d *demo) showHistory(ctx context.Context) error {
	customerID, batchID, ok, err := d.page.reader.BatchWithMostStatuses(ctx)
	if err != nil || !ok {
		return err
	}
	customer, err := d.page.reader.Customer(ctx, customerID)
	if err != nil {
		return err
	}
	search := report.BatchSearch{CustomerID: customerID, BatchID: batchID, Limit: 1, Versions: 1000}
	histories, err := d.page.reader.BatchHistories(ctx, search)
	if err != nil || len(histories) == 0 {
		return err
	}
	fmt.Fprintf(d.stdout, "\nThe history of batch %q of %s (partner_center.device_batch_history):\n\n",
		batchID, sanitize.Line(orEmpty(customer.CompanyName)))
	table := tabwriter.NewWriter(d.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  status\tvalid_from\tvalid_to\tchanged after (not_before)")
	for _, v := range histories[0].Versions {
		status := orEmpty(v.Status)
		if v.Removed {
			status += " (gone)"
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\n", sanitize.Line(status),
			clock(&v.ValidFrom, ""), clock(v.ValidTo, "now"), clock(v.NotBefore, "first seen"))
	}
	return table.Flush()
}

// printAnswer prints a question of the cookbook, and what the database says.
func (d *demo) printAnswer(ctx context.Context, name string) error {
	answer, err := queries.Run(ctx, d.pool, name)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.stdout, "\n%s (deploy/queries/%s)\n", answer.Question, name)
	var rows [][]string
	for _, row := range answer.Rows {
		cells := make([]string, len(row))
		for i, value := range row {
			cells[i] = cell(value)
		}
		rows = append(rows, cells)
	}
	if rows == nil {
		fmt.Fprintln(d.stdout, "\n  none")
	}
	printTable(d.stdout, answer.Columns, rows, nil)
	return nil
}

// cell shows a value of a query.
func cell(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case time.Time:
		return v.Local().Format(time.DateTime)
	}
	return fmt.Sprint(value)
}

// clock is a time of day; the fallback if there is none.
func clock(t *time.Time, fallback string) string {
	if t == nil {
		return fallback
	}
	return t.Local().Format("15:04:05.000")
}
