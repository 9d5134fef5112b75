package store

import (
	"cmp"
	_ "embed"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"partnersync/store/storetest"
)

// manyVersions makes two years of 1,000 customers: 100,000 batches of 10 versions each, 1,000,000 devices, 5,000
// policies of 4, and 70,000 runs.
//
//go:embed testdata/many_versions.sql
var manyVersions string

// sooner are the views all of which may be read in less time than the others.
var sooner = map[string]time.Duration{
	"daily_device_batch_statuses": 5 * time.Second,
	"device_inventory":            5 * time.Second,
}

// BenchmarkViews reads what analysts read, from a database of a million versions: go test ./store -run '^$' -bench Views
// -benchtime 3x. It fails where a view takes longer than it may on two cores, with what it reads in memory.
func BenchmarkViews(b *testing.B) {
	db := storetest.New(b)
	conn, err := pgx.Connect(b.Context(), db.URL)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close(b.Context()) })
	if _, err := conn.Exec(b.Context(), manyVersions); err != nil {
		b.Fatal(err)
	}
	if _, err := conn.Exec(b.Context(), "VACUUM ANALYZE"); err != nil {
		b.Fatal(err)
	}
	for _, v := range storetest.Views {
		benchmarkQuery(b, conn, v.Name+"/all", v.Query, cmp.Or(sooner[v.Name], 10*time.Second))
		ofCustomer := v.Query + " WHERE customer_id = md5('customer 5')::uuid"
		benchmarkQuery(b, conn, v.Name+"/of a customer", ofCustomer, 100*time.Millisecond)
	}
	benchmarkQuery(b, conn, "sync_runs/all", "SELECT count(*), sum(unchanged) FROM partner_center.sync_runs", 5*time.Second)
	benchmarkQuery(b, conn, "device_batch_status_changes/of a week",
		"SELECT count(*), max(time_in_from_status) FROM partner_center.device_batch_status_changes WHERE changed_by > now() - interval '7 days'", 200*time.Millisecond)
	benchmarkQuery(b, conn, "device_inventory/of a serial number",
		"SELECT count(*), max(policies) FROM partner_center.device_inventory WHERE serial_key = upper(btrim(' 0000-12345'))", 10*time.Millisecond)
	benchmarkQuery(b, conn, "device_moves/of a serial number",
		"SELECT count(*), max(arrived_by) FROM partner_center.device_moves WHERE serial_key = upper(btrim(' 0000-60'))", 10*time.Millisecond)
	daily := func(name, columns string) {
		query := "SELECT count(*), " + columns + " FROM partner_center.daily_device_batch_statuses WHERE day "
		benchmarkQuery(b, conn, "daily_device_batch_statuses/of a week"+name, query+"> current_date - 7", time.Second)
		benchmarkQuery(b, conn, "daily_device_batch_statuses/of a week long ago"+name, query+"BETWEEN current_date - 206 AND current_date - 200", time.Second)
	}
	daily("", "sum(batches)")
	// All columns, of the million versions of batches alone: what a million devices take more is daily_devices/all.
	if _, err := conn.Exec(b.Context(), "TRUNCATE partner_center.devices, partner_center.device_versions"); err != nil {
		b.Fatal(err)
	}
	daily(", with devices", "sum(batches), sum(devices)")
}

func benchmarkQuery(b *testing.B, conn *pgx.Conn, name, query string, most time.Duration) {
	b.Run(name, func(b *testing.B) {
		if _, err := conn.Exec(b.Context(), query); err != nil { // what is measured is not the disk
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := conn.Exec(b.Context(), query); err != nil {
				b.Fatal(err)
			}
		}
		took := b.Elapsed() / time.Duration(b.N)
		b.ReportMetric(float64(took.Microseconds())/1000, "ms/query")
		if took > most {
			b.Errorf("it took %s, more than %s", took.Round(time.Millisecond), most)
		}
	})
}
