// Package store keeps partnersync's data in PostgreSQL: the tables that analysts read, with every earlier version, and
// the machinery that lets several processes share the work. All SQL of the program is here.
//
// A Store stands for one worker, that is one process. A pass opens a run, records who the partner's customers are, claims
// customers, merges each of their lists in one fenced transaction, records the results of many customers at once, and
// finishes the run. The example shows it. Histories are kept as slowly changing dimensions of type 2: a table of current
// rows, and one of superseded versions with the time that each was valid.
//
// Times are the database's: a claim brings its clock along. No method holds a transaction open while its caller does
// something else, and nothing depends on a session, so that any pooler will do.
package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// DefaultLease is how long a worker keeps its claims without a heartbeat.
const DefaultLease = 60 * time.Second

// Options configure a Store.
type Options struct {
	Lease   time.Duration // 0: DefaultLease
	Version string        // of the program, for people who look at partnersync.workers
	// Endpoints are told of events; none: nothing goes to the outbox.
	Endpoints []Endpoint
}

// Store reads and writes one database as one worker. It is safe for concurrent use.
type Store struct {
	pool    *pgxpool.Pool
	worker  string // uuid
	host    string
	version string
	lease   time.Duration

	heartbeats heartbeatPool

	endpoints     []Endpoint
	outboxWritten chan struct{}
}

// New returns a Store over a migrated database. The pool stays the caller's to close.
func New(pool *pgxpool.Pool, o Options) *Store {
	if o.Lease == 0 {
		o.Lease = DefaultLease
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return &Store{
		pool: pool, worker: uuid.NewString(), host: host, version: o.Version, lease: o.Lease,
		endpoints: o.Endpoints, outboxWritten: make(chan struct{}, 1),
	}
}

// Worker returns the id under which this process is known in partnersync.workers.
func (s *Store) Worker() string { return s.worker }

// Lease returns how long a worker keeps its claims without a heartbeat.
func (s *Store) Lease() time.Duration { return s.lease }

// maxConnections is how many connections a process makes at most, unless its URL has pool_max_conns, apart from the
// heartbeat's. Nobody holds one while the API is asked, so that a few do for any number of customers at a time; pgx's own
// default grows with the cores of the machine, which replicas times cores would soon make more than a server takes.
const maxConnections = 4

// OpenPool connects to the database that url names, with at most four connections unless it says otherwise
// (pool_max_conns). The connection is tried, so that a wrong address, password or database name shows here. Errors never
// hold the password.
func OpenPool(ctx context.Context, url string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		// Not the parser's message: it shows the URL, and hides a password only where one usually is.
		return nil, errors.New("reading database_url: it does not read as a PostgreSQL URL, or names a file that cannot be read")
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "partnersync"
	}
	if !strings.Contains(url, "pool_max_conns") {
		config.MaxConns = maxConnections
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	return pool, nil
}

// execAll runs statements with the same arguments in one round trip.
func execAll(ctx context.Context, tx pgx.Tx, args pgx.NamedArgs, statements ...string) error {
	batch := &pgx.Batch{}
	for _, sql := range statements {
		batch.Queue(sql, args)
	}
	return tx.SendBatch(ctx, batch).Close()
}

// errStandby is why a server refuses to begin a transaction that writes.
var errStandby = errors.New("the server is a standby")

// write runs a transaction that a frozen process lets go of: PostgreSQL ends it when it has been idle for a third of the
// lease, before anybody else may take over its claims.
func (s *Store) write(ctx context.Context, do func(pgx.Tx) error) error {
	begin := fmt.Sprintf(`
		BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
		SET LOCAL idle_in_transaction_session_timeout = '%dms';
		SET LOCAL statement_timeout = '5min'`, (s.lease / 3).Milliseconds())
	begun := false
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{BeginQuery: begin}, func(tx pgx.Tx) error {
		begun = true
		return do(tx)
	})
	if !begun && sqlState(err) == "0A000" { // feature_not_supported: to write during recovery
		err = fmt.Errorf("%w: %w", errStandby, err)
	}
	leaveReadOnly(s.pool, err)
	return err
}

// readOnly runs a transaction that writes nothing, and sees the database as it is at its first statement.
func (s *Store) readOnly(ctx context.Context, do func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, do)
}

// leaveReadOnly gives the pool's connections up if the error of a write is that the server is read-only. One that has become
// a standby need not close them: with new ones, target_session_attrs may find the one that is writable now.
func leaveReadOnly(pool *pgxpool.Pool, err error) {
	if sqlState(err) == "25006" || errors.Is(err, errStandby) { // read_only_sql_transaction
		pool.Reset()
	}
}

// sqlState returns the SQLSTATE of an error of the server; "" for other errors.
func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}
