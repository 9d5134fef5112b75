// Package report reads from the database how the sync goes and how the batches stand, for the status page, the metrics,
// partnersync status and the summaries of passes. [Reader.State] and [Findings] are the one judgement of whether all is
// well. [ReadDictionary] describes what is there for analysts.
package report

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/store"
)

// Reader answers what people and monitoring ask. It has two connections of its own, so that the sync never waits for
// it, however often it is asked; its transactions are short and read only. It is safe for concurrent use.
type Reader struct {
	pool  *pgxpool.Pool
	probe *Reader // over connections of its own; nil: this is that one
	// life ends with Close: a reading must not outlive it, even if its caller's context does.
	life context.Context
	end  context.CancelFunc
}

const (
	connections = 2
	timeout     = 10 * time.Second
	// surveyTimeout is for a reading of all batches, for which nobody waits.
	surveyTimeout = 2 * time.Minute
)

// NewReader returns a reader of the database that the pool is connected to. It connects when it is first asked. Close
// it before the pool.
func NewReader(ctx context.Context, pool *pgxpool.Pool) (*Reader, error) {
	r := &Reader{probe: &Reader{}}
	r.life, r.end = context.WithCancel(context.WithoutCancel(ctx))
	r.probe.life, r.probe.end = r.life, r.end
	for _, reader := range []*Reader{r, r.probe} {
		config := pool.Config()
		config.MaxConns, config.MinConns, config.MinIdleConns = connections, 0, 0
		config.ConnConfig.RuntimeParams["application_name"] += " status page"
		var err error
		if reader.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil { // which has connected to nothing yet
			return nil, fmt.Errorf("making connections for reports: %w", err)
		}
	}
	return r, nil
}

// Probe returns a reader over two further connections, for one who must not wait for whoever else asks.
func (r *Reader) Probe() *Reader { return r.probe }

// Close cancels the readings that go on, and closes the connections.
func (r *Reader) Close() {
	r.end()
	store.ClosePool(r.probe.pool)
	store.ClosePool(r.pool)
}

// Ping reports whether the database answers.
func (r *Reader) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := acquire(ctx, r.pool)
	if err == nil {
		defer conn.Release()
		err = conn.Ping(ctx)
	}
	if err != nil {
		return fmt.Errorf("asking the database: %w", err)
	}
	return nil
}

// ErrBusy is the error of one who has waited in vain for others to be answered. It says nothing of the database.
var ErrBusy = errors.New("too many ask at the same time")

// acquire returns a connection of the pool, to be released.
func acquire(ctx context.Context, pool *pgxpool.Pool) (*pgxpool.Conn, error) {
	conn, err := pool.Acquire(ctx)
	if stat := pool.Stat(); err != nil && ctx.Err() != nil && stat.AcquiredConns() == stat.MaxConns() {
		return nil, fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return conn, err
}

// Pool returns the reader's own connections.
func (r *Reader) Pool() *pgxpool.Pool { return r.pool }

// Server is what the operator should know of the database's server.
type Server struct {
	Version string
	// OpenSchemas are those in which everyone may create functions.
	OpenSchemas []string
}

// ReadServer reads what there is to know of the server that the pool is connected to.
func ReadServer(ctx context.Context, pool *pgxpool.Pool) (s Server, err error) {
	const query = `
		SELECT current_setting('server_version'), ARRAY(
		    SELECT nspname::text FROM pg_namespace WHERE has_schema_privilege('public'::name, oid, 'CREATE') ORDER BY nspname)`
	err = readOnly(ctx, pool, timeout, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, query).Scan(&s.Version, &s.OpenSchemas)
	})
	if err != nil {
		return s, fmt.Errorf("asking for its version: %w", err)
	}
	return s, nil
}

// read runs do in a transaction of readOnly, which Close cancels.
func (r *Reader) read(ctx context.Context, timeout time.Duration, do func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.life, cancel)()
	return readOnly(ctx, r.pool, timeout, do)
}

// readOnly runs do in a read-only transaction that sees one snapshot.
func readOnly(
	ctx context.Context, pool *pgxpool.Pool, timeout time.Duration, do func(context.Context, pgx.Tx) error,
) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	// What matters does not depend on the defaults of the role or the database. Compiling one of these queries would
	// take longer than running it, hence no jit.
	begin := fmt.Sprintf(`
		BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
		SET LOCAL search_path = pg_catalog, pg_temp;
		SET LOCAL statement_timeout = '%dms';
		SET LOCAL jit = off;
		SET LOCAL IntervalStyle = postgres;
		-- PostgreSQL 17 and newer have it.
		SELECT set_config('transaction_timeout', '0', true) WHERE current_setting('transaction_timeout', true) IS NOT NULL`,
		timeout.Milliseconds())
	conn, err := acquire(ctx, pool)
	if err != nil {
		return err
	}
	defer conn.Release()
	return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{BeginQuery: begin}, func(tx pgx.Tx) error { return do(ctx, tx) })
}

// collect returns the rows of a query.
func collect[T any](ctx context.Context, tx pgx.Tx, what, sql string, args pgx.NamedArgs) ([]T, error) {
	rows, _ := tx.Query(ctx, sql, args) // CollectRows returns its error
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[T])
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	return all, nil
}

// readAll returns the rows of a query that is a transaction by itself.
func readAll[T any](ctx context.Context, r *Reader, what, sql string, args pgx.NamedArgs) (all []T, err error) {
	err = r.read(ctx, timeout, func(ctx context.Context, tx pgx.Tx) error {
		all, err = collect[T](ctx, tx, what, sql, args)
		return err
	})
	return all, err
}
