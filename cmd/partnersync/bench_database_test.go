package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"partnersync/migrations"
	"partnersync/store/localpg"
	"partnersync/store/storetest"
)

// benchServer is a server of the benchmark's own, as durable as that of users. Only full-page images are left out
// of its log, since their number depends on the time of the last checkpoint.
type benchServer struct {
	*localpg.Server
	citus *storetest.Citus // whose coordinator it is; nil: it is alone
	admin *pgx.Conn
	made  int // databases
}

var benchSettings = map[string]string{
	"fsync": "on", "synchronous_commit": "on", "full_page_writes": "off", "max_wal_size": "8GB",
}

// startCluster starts a Citus cluster.
func startCluster(tb testing.TB) *benchServer {
	tb.Helper()
	citus := storetest.NewCitus(tb, benchSettings)
	server := citus.Coordinator()
	return &benchServer{Server: server, citus: citus, admin: connection(tb, server.URL("postgres"))}
}

func startServer(tb testing.TB) *benchServer {
	tb.Helper()
	server, err := localpg.Start(tb.Context(), localpg.Config{Settings: benchSettings})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := server.Stop(); err != nil {
			tb.Error(err)
		}
	})
	s := &benchServer{Server: server, admin: connection(tb, server.URL("postgres"))}
	s.exec(tb, "CREATE DATABASE migrated")
	pool, err := pgxpool.New(tb.Context(), server.URL("migrated"))
	if err != nil {
		tb.Fatal(err)
	}
	defer pool.Close()
	if err := migrations.Up(tb.Context(), pool); err != nil {
		tb.Fatal(err)
	}
	return s
}

func connection(tb testing.TB, url string) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close(context.WithoutCancel(tb.Context())) })
	return conn
}

func (s *benchServer) exec(tb testing.TB, sql string, args ...any) {
	tb.Helper()
	if _, err := s.admin.Exec(tb.Context(), sql, args...); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
}

// logged returns how many bytes have been written to the write-ahead log so far.
func (s *benchServer) logged(tb testing.TB) (bytes int64) {
	tb.Helper()
	const query = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"
	if err := s.admin.QueryRow(tb.Context(), query).Scan(&bytes); err != nil {
		tb.Fatal(err)
	}
	return bytes
}

// benchDatabase is a migrated database. Connections opened by pool count their statements.
type benchDatabase struct {
	*benchServer
	name string
}

// create creates a migrated database, in place of the one before unless it is distributed.
func (s *benchServer) create(tb testing.TB) *benchDatabase {
	tb.Helper()
	if s.made > 0 && s.citus == nil {
		s.exec(tb, fmt.Sprintf("DROP DATABASE bench_%d WITH (FORCE)", s.made))
	}
	s.made++
	d := &benchDatabase{benchServer: s, name: fmt.Sprintf("bench_%d", s.made)}
	if s.citus == nil {
		s.exec(tb, "CREATE DATABASE "+d.name+" TEMPLATE migrated")
	} else if err := s.citus.Create(tb.Context(), d.name); err != nil {
		tb.Fatal(err)
	}
	return d
}

func (d *benchDatabase) url() string { return d.URL(d.name) }

// pool opens a pool of at most so many connections, and connects one.
func (d *benchDatabase) pool(tb testing.TB, connections int, counted *statements) *pgxpool.Pool {
	tb.Helper()
	config, err := pgxpool.ParseConfig(d.url())
	if err != nil {
		tb.Fatal(err)
	}
	config.MaxConns = int32(connections)
	config.ConnConfig.Tracer = counted
	config.ConnConfig.RuntimeParams["application_name"] = "partnersync"
	pool, err := pgxpool.NewWithConfig(tb.Context(), config)
	if err != nil {
		tb.Fatal(err)
	}
	if err := pool.Ping(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return pool
}

// written returns how many rows of partner_center have been written since the database was created. No pool may be
// open.
func (d *benchDatabase) written(tb testing.TB) int64 {
	tb.Helper()
	return storetest.Statistic(tb, d.url(), `
		SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint
		FROM pg_stat_user_tables
		WHERE schemaname = 'partner_center'`)
}

// settle leaves the tables as autovacuum eventually would.
func (d *benchDatabase) settle(tb testing.TB) {
	tb.Helper()
	conn := connection(tb, d.url())
	defer conn.Close(tb.Context())
	if _, err := conn.Exec(tb.Context(), "VACUUM (ANALYZE)"); err != nil {
		tb.Fatal(err)
	}
}

// like creates a table in the schema public with the columns of one of partner_center's, and with further clauses.
func (d *benchDatabase) like(tb testing.TB, table, clauses string) {
	tb.Helper()
	conn := connection(tb, d.url())
	defer conn.Close(tb.Context())
	sql := fmt.Sprintf(`
		DROP TABLE IF EXISTS public.%[1]s;
		CREATE TABLE public.%[1]s (LIKE partner_center.%[1]s %[2]s)`, table, clauses)
	if _, err := conn.Exec(tb.Context(), sql); err != nil {
		tb.Fatal(err)
	}
}

// copied returns the limit of a first load: how long it takes to COPY the same rows into one bare table with a key,
// each list in a transaction, over a number of connections.
func (d *benchDatabase) copied(tb testing.TB, s size, connections int) time.Duration {
	tb.Helper()
	table, key, columns := "device_batches", "customer_id, batch_id", batchColumns
	lists, row := s.Customers, batchRow(s)
	if s.Devices > 0 {
		table, key, columns = "devices", "customer_id, batch_id, device_id", deviceColumns
		lists, row = s.Customers*s.Batches, deviceRow(s)
	}
	d.like(tb, table, "INCLUDING DEFAULTS, PRIMARY KEY ("+key+")")
	return d.copyRows(tb, table, columns, listed(lists, s.list(), row), connections)
}

// listed returns a number of lists of n rows each.
func listed(lists, n int, row func(l, i int) []any) [][][]any {
	rows := make([][][]any, lists)
	for l := range rows {
		rows[l] = make([][]any, n)
		for i := range rows[l] {
			rows[l][i] = row(l, i)
		}
	}
	return rows
}

// copyRows copies the lists into a table of the schema public.
func (d *benchDatabase) copyRows(
	tb testing.TB, table string, columns []string, lists [][][]any, connections int,
) time.Duration {
	tb.Helper()
	pool := d.pool(tb, connections, nil)
	defer pool.Close()
	began := time.Now()
	g, ctx := errgroup.WithContext(tb.Context())
	g.SetLimit(connections)
	for _, list := range lists {
		g.Go(func() error {
			_, err := pool.CopyFrom(ctx, pgx.Identifier{"public", table}, columns, pgx.CopyFromRows(list))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		tb.Fatal(err)
	}
	return time.Since(began)
}

// rewritten returns the limit of a pass that changes a share of each list of batches: how many bytes of log the
// same changes take in tables like partner_center's, with their indexes, by two statements a list.
func (d *benchDatabase) rewritten(tb testing.TB, s size, share float64) (bytes int64) {
	tb.Helper()
	d.like(tb, "device_batches", "INCLUDING DEFAULTS INCLUDING INDEXES")
	d.like(tb, "device_batch_versions", "INCLUDING DEFAULTS INCLUDING INDEXES")
	d.copyRows(tb, "device_batches", batchColumns, listed(s.Customers, s.list(), batchRow(s)), 1)
	const supersede = `
		INSERT INTO public.device_batch_versions
		SELECT *, clock_timestamp()
		FROM public.device_batches
		WHERE customer_id = $1::uuid AND batch_id = ANY ($2)`
	const change = `
		UPDATE public.device_batches
		SET status = 'finished_with_errors', valid_from = clock_timestamp(), not_before = valid_from
		WHERE customer_id = $1::uuid AND batch_id = ANY ($2)`
	keys := make([]string, s.changedIn(share))
	for i := range keys {
		keys[i] = seededBatchID(i)
	}
	conn := connection(tb, d.url())
	defer conn.Close(tb.Context())
	before := d.logged(tb)
	for c := range s.Customers {
		batch := &pgx.Batch{} // one transaction
		batch.Queue(supersede, customerID(c), keys)
		batch.Queue(change, customerID(c), keys)
		if err := conn.SendBatch(tb.Context(), batch).Close(); err != nil {
			tb.Fatal(err)
		}
	}
	return d.logged(tb) - before
}

var (
	batchColumns = []string{
		"customer_id", "batch_id", "status", "created_by", "creation_date", "devices_count", "valid_from",
	}
	deviceColumns = []string{
		"customer_id", "batch_id", "device_id", "serial_number", "product_key", "model_name", "oem_manufacturer_name",
		"uploaded_date", "policies", "valid_from",
	}
)

// batchRow returns the i-th row of the l-th customer's list.
func batchRow(s size) func(l, i int) []any {
	return func(l, i int) []any {
		b := benchBatch(s, i, 0, false)
		customer := pgtype.UUID{Bytes: uuid.MustParse(customerID(l)), Valid: true}
		return []any{customer, b.ID, b.Status, b.CreatedBy, b.Created, b.DevicesCount, created}
	}
}

// deviceRow returns the i-th row of the l-th of all batches' lists.
func deviceRow(s size) func(l, i int) []any {
	return func(l, i int) []any {
		v := benchDevice(i, 0)
		policies := fmt.Appendf(nil, `[{"key": %q, "value": %q}]`, v.Policies[0].Key, v.Policies[0].Value)
		return []any{
			pgtype.UUID{Bytes: uuid.MustParse(customerID(l / s.Batches)), Valid: true}, seededBatchID(l % s.Batches), v.ID,
			v.SerialNumber, v.ProductKey, v.ModelName, v.OEMManufacturerName, v.Uploaded, policies, created,
		}
	}
}

// statements counts the statements sent to the database, including those in batches and those that begin and end
// transactions.
type statements struct{ n atomic.Int64 }

// count returns how many there have been.
func (s *statements) count() int64 { return s.n.Load() }

// TraceQueryStart counts a statement.
func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	if s != nil {
		s.n.Add(1)
	}
	return ctx
}

// TraceQueryEnd does nothing.
func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceBatchStart does nothing, since the batch's statements are counted.
func (s *statements) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

// TraceBatchQuery counts a statement.
func (s *statements) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {
	if s != nil {
		s.n.Add(1)
	}
}

// TraceBatchEnd does nothing.
func (s *statements) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}
