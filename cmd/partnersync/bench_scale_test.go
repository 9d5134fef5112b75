package main

import (
	_ "embed"
	"flag"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"partnersync/deploy/queries"
	"partnersync/store/storetest"
)

// scale is how much of the whole BenchmarkScale makes: 5,000 customers with a million batches and 20 million devices.
var scale = flag.Float64("scale", 0.05, "share of a million batches and 20 million devices that BenchmarkScale makes")

// fiveYears generates the data, with the versions of five years.
//
//go:embed testdata/scale.sql
var fiveYears string

// BenchmarkScale reports what five years of a large partner take: space, passes, views, queries and vacuum.
func BenchmarkScale(b *testing.B) {
	s := size{Customers: max(1, int(*scale*5000)), Batches: 200}
	on := newBench(b, s, defaultWorkers)
	on.generated, on.devices, on.uploaders = true, true, true
	on.api.order(b, order{Seed: &s, Uploaders: true})
	on.fetch = newFetcher(b, on.api.url, on.concurrency) // the emulator has started anew and knows no tokens
	conn := connection(b, on.db.url())
	began := time.Now()
	execute(b, conn, strings.ReplaceAll(fiveYears, "{customers}", fmt.Sprint(s.Customers)))
	generated := time.Since(began)
	b.Run("generate", func(b *testing.B) { reportTime(b, generated) })
	vacuumed := vacuum(b, conn)
	b.Run("vacuum/first", func(b *testing.B) { reportTime(b, vacuumed) })
	for _, table := range onlyTables(b, conn) {
		b.Run("space/"+table, func(b *testing.B) { space(b, conn, table) })
	}
	on.TB = b
	if c := on.pass(); c.Inserted+c.Changed+c.Removed > 0 || c.Unchanged < int64(s.rows()) {
		b.Fatalf("the generated rows are not those of the API: %+v", c.Run)
	}
	b.Run("pass/unchanged", on.unchanged)
	b.Run("pass/1 percent", func(b *testing.B) { on.changed(b, 0.01) })
	b.Run("vacuum/after 1 percent", func(b *testing.B) { reportTime(b, vacuum(b, conn)) })
	views(b, conn)
	cookbook(b, conn)
}

// views times the views for analysts: all rows, and those of one customer.
func views(b *testing.B, conn *pgx.Conn) {
	for _, v := range storetest.Views {
		ofCustomer := v.Query + " WHERE customer_id = '" + customerID(1) + "'"
		b.Run("view/"+v.Name+"/all", func(b *testing.B) { timeQuery(b, conn, v.Query) })
		b.Run("view/"+v.Name+"/of a customer", func(b *testing.B) { timeQuery(b, conn, ofCustomer) })
	}
}

// cookbook times the queries of deploy/queries without sending the results.
func cookbook(b *testing.B, conn *pgx.Conn) {
	names, err := fs.Glob(queries.Files, "*.sql")
	if err != nil || len(names) == 0 {
		b.Fatalf("looking for queries: %d, %v", len(names), err)
	}
	for _, name := range names {
		query, err := queries.Files.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("query/"+strings.TrimSuffix(name, ".sql"), func(b *testing.B) {
			timeQuery(b, conn, "EXPLAIN (ANALYZE, TIMING OFF) "+string(query))
		})
	}
}

func timeQuery(b *testing.B, conn *pgx.Conn, sql string) {
	var times []time.Duration
	for b.Loop() {
		began := time.Now()
		execute(b, conn, sql)
		times = append(times, time.Since(began))
	}
	reportTime(b, median(times))
}

// vacuum does the work of autovacuum and returns how long that took.
func vacuum(b *testing.B, conn *pgx.Conn) time.Duration {
	b.Helper()
	began := time.Now()
	execute(b, conn, "VACUUM (ANALYZE)")
	return time.Since(began)
}

func execute(b *testing.B, conn *pgx.Conn, sql string) {
	b.Helper()
	if _, err := conn.Exec(b.Context(), sql); err != nil {
		b.Fatalf("%v: %.200s", err, sql)
	}
}

func reportTime(b *testing.B, d time.Duration) {
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(d.Microseconds())/1000, "ms")
}

// onlyTables returns the names of the tables that have rows, with their schemas.
func onlyTables(b *testing.B, conn *pgx.Conn) []string {
	b.Helper()
	const query = `
		SELECT oid::regclass::text
		FROM pg_class
		WHERE relkind = 'r' AND reltuples > 0
		  AND relnamespace IN ('partner_center'::regnamespace, 'partnersync'::regnamespace)
		ORDER BY 1`
	rows, _ := conn.Query(b.Context(), query)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		b.Fatal(err)
	}
	return names
}

// space reports how large a table and its indexes are.
func space(b *testing.B, conn *pgx.Conn, table string) {
	var rows, heap, indexes float64
	const sizes = "SELECT reltuples, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class WHERE oid = $1::regclass"
	if err := conn.QueryRow(b.Context(), sizes, table).Scan(&rows, &heap, &indexes); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(rows, "rows")
	b.ReportMetric(heap/(1<<20), "table-MiB")
	b.ReportMetric(indexes/(1<<20), "index-MiB")
	b.ReportMetric((heap+indexes)/rows, "B/row")
}
