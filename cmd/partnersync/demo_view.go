package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/deploy/queries"
	"partnersync/store"
	"partnersync/store/report"
	"partnersync/store/sanitize"
)

// showPass prints what a pass changed.
func (d *demo) showPass(ctx context.Context, run store.Run) error {
	changes, err := d.page.reader.Changes(ctx, d.seen)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(d.stdout, "pass %d at %s: %s, %d of %d customers ok; rows: %d new, %d changed, %d removed, %d unchanged\n",
		d.shown, run.StartedAt.Local().Format(time.TimeOnly), run.State, run.CustomersOK, run.CustomersTotal,
		run.Inserted, run.Changed, run.Removed, run.Unchanged)
	table := tabwriter.NewWriter(d.stdout, 0, 0, 2, ' ', 0)
	for _, c := range changes {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", sanitize.Line(orEmpty(c.CompanyName)), sanitize.Line(c.BatchID), sanitize.Line(c.What))
		if c.ValidFrom.After(d.seen) {
			d.seen = c.ValidFrom
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return d.showFailing(ctx)
}

// showFailing prints which customers fail now, and why.
func (d *demo) showFailing(ctx context.Context) error {
	failing, err := d.page.reader.Customers(ctx, report.CustomerSearch{Show: report.Failing, Order: report.ByFailure})
	if ctx.Err() != nil {
		return nil
	}
	for _, f := range failing {
		printFailure(d.stdout, f, d.palette(d.stdout))
	}
	return err
}

// conclude prints the history of the batch with the most statuses, and what to try next.
func (d *demo) conclude(ctx context.Context, pool *pgxpool.Pool) error {
	if err := d.showHistory(ctx); err != nil {
		return err
	}
	for _, name := range []string{"devices_per_policy.sql", "batches_with_errors.sql"} {
		if err := d.answer(ctx, pool, name); err != nil {
			return err
		}
	}
	fmt.Fprint(d.stdout, `
What to try next:
  partnersync demo --interval 5s     and, in another terminal, the psql command it prints
  deploy/partnersync.yaml            a configuration to copy for the real API
  deploy/queries                     more questions, each with its query
  README.md                          the tables, and how to run it for real
`)
	return nil
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

// answer prints a question of the cookbook, and what the database says.
func (d *demo) answer(ctx context.Context, pool *pgxpool.Pool, name string) error {
	query, err := queries.Files.ReadFile(name)
	if err != nil {
		return fmt.Errorf("reading query %s: %w", name, err)
	}
	question, _, _ := strings.Cut(strings.TrimPrefix(string(query), "-- "), "\n")
	fmt.Fprintf(d.stdout, "\n%s (deploy/queries/%s)\n\n", question, name)
	table := tabwriter.NewWriter(d.stdout, 0, 0, 2, ' ', 0)
	rows, _ := pool.Query(ctx, string(query)) // the error is that of CollectRows
	answers, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
	if err != nil {
		return fmt.Errorf("running query %s: %w", name, err)
	}
	var names []string
	for _, column := range rows.FieldDescriptions() {
		names = append(names, column.Name)
	}
	fmt.Fprintln(table, "  "+strings.Join(names, "\t"))
	for _, answer := range answers {
		cells := make([]string, len(answer))
		for i, value := range answer {
			cells[i] = cell(value)
		}
		fmt.Fprintln(table, "  "+strings.Join(cells, "\t"))
	}
	return table.Flush()
}

// cell shows a value of a query.
func cell(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case time.Time:
		return v.Local().Format(time.DateTime)
	}
	return sanitize.Line(fmt.Sprint(value))
}

// clock returns the time of day, or otherwise where there is none.
func clock(t *time.Time, otherwise string) string {
	if t == nil {
		return otherwise
	}
	return t.Local().Format("15:04:05.000")
}
