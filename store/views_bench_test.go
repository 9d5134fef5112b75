package store

import (
	_ "embed"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"partnersync/store/storetest"
)

// manyVersions makes two years of 1,000 customers: 100,000 batches of 10 versions each, 200,000 devices of 2, 5,000
// policies of 4, and 70,000 runs.
//
//go:embed testdata/many_versions.sql
var manyVersions string

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
	views := []struct{ from, value string }{ // the value keeps the planner from leaving out what a reader would see
		{"device_batch_history", "max(devices_count)"},
		{"device_batch_status_changes", "max(time_in_from_status)"},
		{"unfinished_device_batches", "max(in_status_for)"},
		{"device_batches_as_of(now() - interval '200 days')", "sum(devices_count)"},
		{"device_batch_turnaround", "max(duration)"},
		{"daily_device_batch_statuses", "sum(batches)"},
		{"device_history", "max(serial_number)"},
		{"devices_as_of(now() - interval '200 days')", "max(serial_number)"},
		{"device_policy_changes", "max(to_policy_name)"},
		{"configuration_policy_history", "max(name)"},
		{"sync_freshness", "max(age)"},
	}
	for _, v := range views {
		all := fmt.Sprintf("SELECT count(*), %s FROM partner_center.%s", v.value, v.from)
		benchmarkQuery(b, conn, v.from+"/all", all, 5*time.Second)
		benchmarkQuery(b, conn, v.from+"/of a customer", all+" WHERE customer_id = md5('customer 5')::uuid", 100*time.Millisecond)
	}
	benchmarkQuery(b, conn, "sync_runs/all", "SELECT count(*), sum(unchanged) FROM partner_center.sync_runs", 5*time.Second)
	benchmarkQuery(b, conn, "device_batch_status_changes/of a week",
		"SELECT count(*), max(time_in_from_status) FROM partner_center.device_batch_status_changes WHERE changed_by > now() - interval '7 days'", 100*time.Millisecond)
	benchmarkQuery(b, conn, "daily_device_batch_statuses/of a week",
		"SELECT count(*), sum(batches) FROM partner_center.daily_device_batch_statuses WHERE day > current_date - 7", time.Second)
	benchmarkQuery(b, conn, "daily_device_batch_statuses/of a week long ago",
		"SELECT count(*), sum(batches) FROM partner_center.daily_device_batch_statuses WHERE day BETWEEN current_date - 206 AND current_date - 200", time.Second)
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
