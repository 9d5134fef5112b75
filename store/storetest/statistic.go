package storetest

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Statistic returns the sum of a figure that PostgreSQL keeps in pg_stat_user_tables, over some tables of a database:
//
//	Statistic(t, url, "n_tup_ins + n_tup_upd", "schemaname = 'partner_center'")
//
// PostgreSQL counts what a connection did when that ends, and up to version 14 tells it half a second late. So this
// waits, first until no connection named partnersync is left, then until what it is told is newer than that. Pools of
// store.OpenPool must be closed or reset before.
func Statistic(t testing.TB, url, figure, tables string) (sum int64) {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	defer pool.Close()
	// until asks until the answer begins with true; then dest has the rest of it.
	until := func(dest any, query string, args ...any) {
		t.Helper()
		for tick, done := time.NewTicker(5*time.Millisecond), false; !done; <-tick.C {
			if err := pool.QueryRow(t.Context(), query, args...).Scan(&done, dest); err != nil {
				t.Fatalf("storetest: asking for statistics: %v: %s", err, query)
			}
		}
	}
	var gone time.Time
	until(&gone, `SELECT count(*) = 0, clock_timestamp()
		FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'partnersync'`)
	// From version 15 on, statistics are read as they are, and have no time.
	until(&sum, `SELECT coalesce(pg_stat_get_snapshot_timestamp() > $1, true), sum(`+figure+`)::bigint
		FROM pg_stat_user_tables WHERE `+tables, gone)
	return sum
}
