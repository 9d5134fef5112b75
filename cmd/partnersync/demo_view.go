package main

import (
	"context"
	"errors"
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

// demoChange is what a pass changed in one batch.
type demoChange struct {
	CompanyName string    `db:"company_name"`
	BatchID     string    `db:"batch_id"`
	What        string    `db:"what"`
	ValidFrom   time.Time `db:"valid_from"`
}

// showPass prints what a pass changed.
func (d *demo) showPass(ctx context.Context, pool *pgxpool.Pool, run store.Run) error {
	const query = `
		WITH batches AS (
		    SELECT h.customer_id, h.batch_id, h.valid_from,
		           CASE WHEN p.batch_id IS NULL THEN 'new: ' || h.status
		                WHEN h.removed_at IS NOT NULL THEN 'gone; was ' || h.status
		                WHEN p.removed_at IS NOT NULL THEN 'back: ' || h.status
		                WHEN p.status IS DISTINCT FROM h.status THEN p.status || ' -> ' || h.status
		                ELSE p.devices_count || ' -> ' || h.devices_count || ' devices' END AS what
		    FROM partner_center.device_batch_history h
		    LEFT JOIN partner_center.device_batch_versions p
		           ON p.customer_id = h.customer_id AND p.batch_id = h.batch_id AND p.valid_to = h.valid_from
		    WHERE h.valid_from > @seen
		), devices AS (
		    SELECT h.customer_id, h.batch_id, h.valid_from,
		           CASE WHEN p.device_id IS NULL THEN 'new'
		                WHEN h.removed_at IS NOT NULL THEN 'gone'
		                WHEN p.removed_at IS NOT NULL THEN 'back'
		                WHEN p.policies <> h.policies THEN 'given another policy'
		                ELSE 'changed' END AS what
		    FROM partner_center.device_history h
		    LEFT JOIN partner_center.device_versions p
		           ON p.customer_id = h.customer_id AND p.batch_id = h.batch_id AND p.device_id = h.device_id AND p.valid_to = h.valid_from
		    WHERE h.valid_from > @seen
		), changes AS (
		    SELECT customer_id, batch_id, valid_from, what, 1 AS place FROM batches
		    UNION ALL
		    SELECT customer_id, batch_id, max(valid_from), count(*) || CASE count(*) WHEN 1 THEN ' device ' ELSE ' devices ' END || what, 2
		    FROM devices
		    GROUP BY customer_id, batch_id, what
		)
		SELECT c.company_name, n.batch_id, string_agg(n.what, '; ' ORDER BY n.place, n.what) AS what, max(n.valid_from) AS valid_from
		FROM changes n
		JOIN partner_center.customers c ON c.customer_id = n.customer_id
		GROUP BY c.company_name, n.batch_id
		ORDER BY c.company_name, n.batch_id`
	rows, _ := pool.Query(ctx, query, pgx.NamedArgs{"seen": d.seen}) // CollectRows returns its error
	changes, err := pgx.CollectRows(rows, pgx.RowToStructByName[demoChange])
	if errors.Is(err, context.Canceled) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading what changed: %w", err)
	}
	fmt.Fprintf(d.stdout, "pass %d at %s: %s, %d of %d customers ok; rows: %d new, %d changed, %d removed, %d unchanged\n",
		d.shown, run.StartedAt.Local().Format(time.TimeOnly), run.State, run.CustomersOK, run.CustomersTotal,
		run.Inserted, run.Changed, run.Removed, run.Unchanged)
	table := tabwriter.NewWriter(d.stdout, 0, 0, 2, ' ', 0)
	for _, c := range changes {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", sanitize.Line(c.CompanyName), sanitize.Line(c.BatchID), sanitize.Line(c.What))
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

// demoVersion is one line of a batch's history.
type demoVersion struct {
	BatchID     string     `db:"batch_id"`
	CompanyName string     `db:"company_name"`
	Status      *string    `db:"status"`
	ValidFrom   time.Time  `db:"valid_from"`
	ValidTo     *time.Time `db:"valid_to"`
	NotBefore   *time.Time `db:"not_before"`
	Removed     bool       `db:"removed"`
}

// conclude prints the history of the batch with the most versions, and what to try next.
func (d *demo) conclude(ctx context.Context, pool *pgxpool.Pool) error {
	const query = `
		SELECT h.batch_id, c.company_name, h.status, h.valid_from, nullif(h.valid_to, 'infinity') AS valid_to, h.not_before,
		       h.removed_at IS NOT NULL AS removed
		FROM partner_center.device_batch_history h
		JOIN partner_center.customers c ON c.customer_id = h.customer_id
		WHERE (h.customer_id, h.batch_id) = (
		    SELECT customer_id, batch_id FROM partner_center.device_batch_history
		    GROUP BY customer_id, batch_id ORDER BY count(DISTINCT status) DESC, count(*) DESC, max(valid_from) DESC, batch_id LIMIT 1)
		ORDER BY h.valid_from`
	rows, _ := pool.Query(ctx, query) // CollectRows returns its error
	versions, err := pgx.CollectRows(rows, pgx.RowToStructByName[demoVersion])
	if err != nil {
		return fmt.Errorf("reading a batch's history: %w", err)
	}
	if len(versions) > 0 {
		d.printHistory(versions)
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

func (d *demo) printHistory(versions []demoVersion) {
	fmt.Fprintf(d.stdout, "\nThe history of batch %q of %s (partner_center.device_batch_history):\n\n", versions[0].BatchID, sanitize.Line(versions[0].CompanyName))
	table := tabwriter.NewWriter(d.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  status\tvalid_from\tvalid_to\tchanged after (not_before)")
	for _, v := range versions {
		status := orEmpty(v.Status)
		if v.Removed {
			status += " (gone)"
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\n", sanitize.Line(status), clock(&v.ValidFrom, ""), clock(v.ValidTo, "now"), clock(v.NotBefore, "first seen"))
	}
	table.Flush()
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
