package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Statistic returns the number that a query reads from PostgreSQL's statistics on a database:
//
//	SELECT sum(n_tup_ins + n_tup_upd)::bigint FROM pg_stat_user_tables WHERE schemaname = 'partner_center'
//
// PostgreSQL counts what a connection did when the connection ends, and up to version 14 it reports that half a
// second late. Statistic therefore waits until no connection named partnersync is left, and then for statistics
// that are newer than that. Pools of store.OpenPool must be closed or reset before.
func Statistic(t testing.TB, url, query string) (n int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	defer conn.Close(t.Context())
	var at time.Time
	Eventually(t, func() (string, bool) {
		const connections = `
			SELECT count(*), clock_timestamp()
			FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'partnersync'`
		var left int
		err := conn.QueryRow(t.Context(), connections).Scan(&left, &at)
		return fmt.Sprintf("%d connections are left (%v)", left, err), err == nil && left == 0
	})
	Eventually(t, func() (string, bool) {
		var newer bool
		err := pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
			if err := tx.QueryRow(t.Context(), query).Scan(&n); err != nil {
				return err
			}
			// Up to version 14 a transaction reads a snapshot, and later the statistics as they are.
			const snapshot = `SELECT coalesce(pg_stat_get_snapshot_timestamp() > $1, true)`
			return tx.QueryRow(t.Context(), snapshot, at).Scan(&newer)
		})
		return fmt.Sprintf("the statistics are old (%v)", err), err == nil && newer
	})
	return n
}
