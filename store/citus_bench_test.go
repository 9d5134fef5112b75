package store

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"partnersync/migrations"
	"partnersync/store/storetest"
)

// asOfATime is the predicate by which a history's rows of one customer as of a time are read, instead of by a function.
const asOfATime = ` WHERE valid_from <= now() - interval '200 days' AND (valid_to > now() - interval '200 days' OR valid_to IS NULL)
	AND removed_at IS NULL`

// BenchmarkCitusViews reads what analysts read of one customer, from the data of BenchmarkViews, on one server and on a Citus
// cluster: deploy/bench --citus. It fails where the cluster takes more than three times as long and 5 ms. Left out are functions,
// which read all customers there.
func BenchmarkCitusViews(b *testing.B) {
	if !storetest.IsCitus() {
		b.Skip("allowed: only deploy/bench --citus has a cluster")
	}
	single, spread := storetest.Empty(b), storetest.New(b)
	if err := migrations.Up(b.Context(), single.Pool); err != nil {
		b.Fatal(err)
	}
	plain, cluster := connect(b, single), connect(b, spread)
	if _, err := plain.Exec(b.Context(), manyVersions); err != nil {
		b.Fatal(err)
	}
	copyTables(b, plain, cluster)
	for _, conn := range []*pgx.Conn{plain, cluster} {
		if _, err := conn.Exec(b.Context(), "VACUUM ANALYZE"); err != nil {
			b.Fatal(err)
		}
	}
	views := slices.DeleteFunc(slices.Clone(storetest.Views), func(v storetest.View) bool {
		return strings.Contains(v.Query, v.Name+"(")
	})
	for _, history := range []string{"device_batch_history", "device_history", "configuration_policy_history"} {
		views = append(views, storetest.View{Name: history + " as of a time",
			Query: "SELECT count(*), max(extra::text) FROM partner_center." + history + asOfATime})
	}
	for _, v := range views {
		b.Run(v.Name, func(b *testing.B) {
			query := v.Query + " WHERE customer_id = md5('customer 5')::uuid"
			if strings.Contains(v.Query, " WHERE ") {
				query = v.Query + " AND customer_id = md5('customer 5')::uuid"
			}
			compareQuery(b, plain, cluster, query)
		})
	}
}

func connect(b *testing.B, db *storetest.DB) *pgx.Conn {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), db.URL)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close(context.WithoutCancel(b.Context())) })
	return conn
}

// copyTables copies the rows of all tables from one database into another.
func copyTables(b *testing.B, from, to *pgx.Conn) {
	b.Helper()
	const tables = `
		SELECT format('%s (%s)', c.oid::regclass, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum))
		FROM pg_class c
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
		WHERE c.relnamespace IN ('partner_center'::regnamespace, 'partnersync'::regnamespace) AND c.relkind = 'r' AND c.reltuples <> 0
		  AND c.relname NOT LIKE 'goose%'
		GROUP BY c.oid`
	rows, _ := from.Query(b.Context(), tables) // CollectRows returns its error
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range names {
		r, w := io.Pipe()
		sent := make(chan error, 1)
		go func() {
			_, err := from.PgConn().CopyTo(b.Context(), w, "COPY "+name+" TO STDOUT")
			sent <- errors.Join(err, w.CloseWithError(err))
		}()
		_, err := to.PgConn().CopyFrom(b.Context(), r, "COPY "+name+" FROM STDIN")
		if err := errors.Join(err, r.CloseWithError(err), <-sent); err != nil {
			b.Fatalf("copying %s: %v", name, err)
		}
	}
}

// compareQuery runs a query on both by turns, and compares the times that are in the middle.
func compareQuery(b *testing.B, plain, cluster *pgx.Conn, query string) {
	var took [2][]time.Duration
	for b.Loop() {
		for i, conn := range []*pgx.Conn{plain, cluster} {
			for range 4 { // the first until it is in memory
				began := time.Now()
				if _, err := conn.Exec(b.Context(), query); err != nil {
					b.Fatal(err)
				}
				took[i] = append(took[i], time.Since(began))
			}
		}
	}
	slices.Sort(took[0])
	slices.Sort(took[1])
	one, many := took[0][len(took[0])/2], took[1][len(took[1])/2]
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(many.Microseconds())/1000, "ms")
	b.ReportMetric(float64(one.Microseconds())/1000, "plain-ms")
	b.ReportMetric(float64(many)/float64(cmp.Or(one, 1)), "x/plain")
	if most := 3*one + 5*time.Millisecond; many > most {
		b.Errorf("%s: it took %s, more than %s", b.Name(), many, most)
	}
}
