// Package store keeps partnersync's data in PostgreSQL: the tables that analysts read, with every earlier version, and
// the machinery that lets several processes share the work. All SQL of the program is here and in the packages below.
//
// A Store stands for one worker, that is one process. A pass opens a run, records who the partner's customers are,
// claims customers, merges each of their lists in one fenced transaction, records the results of many customers at
// once, and finishes the run. The example shows it. Histories are kept as slowly changing dimensions of type 2: a table
// of current rows, and one of superseded versions with the time that each was valid.
//
// The statements of a pass are such that a Citus cluster plans them too (deploy/citus.md), where batches, devices and
// policies are distributed: what is about one customer has customer_id = a constant in it, so that it is one task on
// one node; what is written to these tables or returned from them is IMMUTABLE, which a time with a zone plus an
// interval is not; and they are read by themselves, not joined with tables of partnersync.
//
// Times are the database's: a claim brings its clock along. No method holds a transaction open while its caller does
// something else, and nothing depends on a session, so that any pooler will do.
package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/store/outbox"
	"partnersync/store/plural"
)

// DefaultLease is how long a worker keeps its claims without a heartbeat.
const DefaultLease = 60 * time.Second

// Options configure a Store.
type Options struct {
	Lease   time.Duration // 0: DefaultLease
	Version string        // of the program, for people who look at partnersync.workers
	// Endpoints are told of events; none: nothing goes to the outbox.
	Endpoints []outbox.Endpoint
}

// Store reads and writes one database as one worker. It is safe for concurrent use.
type Store struct {
	pool    *pgxpool.Pool
	worker  string // uuid
	host    string
	version string
	lease   time.Duration

	heartbeats heartbeatPool
	progressed sync.Map              // has as keys the ids of runs that this worker got on with since the last heartbeat
	clock      atomic.Pointer[Clock] // as of the last heartbeat; nil: there was none
	outbox     *outbox.Outbox
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
	s := &Store{pool: pool, worker: uuid.NewString(), host: host, version: o.Version, lease: o.Lease}
	s.outbox = outbox.New(o.Endpoints, s.write, s.readOnly)
	return s
}

// Worker returns the id under which this process is known in partnersync.workers.
func (s *Store) Worker() string { return s.worker }

// Lease returns how long a worker keeps its claims without a heartbeat.
func (s *Store) Lease() time.Duration { return s.lease }

// Outbox returns the outbox into which this Store puts events for the endpoints of its options.
func (s *Store) Outbox() *outbox.Outbox { return s.outbox }

// batchOf returns a batch of statements with the same arguments, which take one round trip.
func batchOf(args pgx.NamedArgs, statements ...string) *pgx.Batch {
	batch := &pgx.Batch{}
	for _, sql := range statements {
		batch.Queue(sql, args)
	}
	return batch
}

// errStandby is why a server refuses to begin a transaction that writes.
var errStandby = errors.New("the server is a standby")

// beginSQL begins a transaction in the same way whatever defaults the role or the database has. It takes the access
// mode, and two limits in milliseconds.
const beginSQL = `
	BEGIN ISOLATION LEVEL READ COMMITTED %s NOT DEFERRABLE;
	SET LOCAL search_path = pg_catalog, pg_temp;
	SELECT set_config(name, value, true)
	FROM (VALUES
	    ('idle_in_transaction_session_timeout', '%d'), ('statement_timeout', '%d'), ('lock_timeout', '0'),
	    ('plan_cache_mode', 'auto'), ('IntervalStyle', 'postgres'), ('bytea_output', 'hex'), ('extra_float_digits', '1')
	) AS setting (name, value);
	-- PostgreSQL 17 and newer have it.
	SELECT set_config('transaction_timeout', '0', true) WHERE current_setting('transaction_timeout', true) IS NOT NULL`

// statementTimeout is how long the largest statement may take.
const statementTimeout = 5 * time.Minute

// write runs a transaction that a frozen process lets go of: PostgreSQL ends it when it has been idle for a third of
// the lease, before anybody else may take over its claims.
func (s *Store) write(ctx context.Context, do func(pgx.Tx) error) error {
	return s.transact(ctx, s.pool, "READ WRITE", do)
}

// readOnly runs a transaction that writes nothing, under the same rules.
func (s *Store) readOnly(ctx context.Context, do func(pgx.Tx) error) error {
	return s.transact(ctx, s.pool, "READ ONLY", do)
}

// conflictTries is how often a transaction is run that the server ends for a conflict with others.
const conflictTries = 3

// transact runs a transaction, and runs it again if the server has rolled it back for a conflict with others, such as a
// deadlock: SQLSTATE class 40, but for 40003, with which nobody knows whether it was committed.
func (s *Store) transact(ctx context.Context, pool *pgxpool.Pool, mode string, do func(pgx.Tx) error) (err error) {
	begin := fmt.Sprintf(beginSQL, mode, (s.lease / 3).Milliseconds(), statementTimeout.Milliseconds())
	for range conflictTries {
		begun := false
		err = pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{BeginQuery: begin}, func(tx pgx.Tx) error {
			begun = true
			return do(tx)
		})
		state := sqlState(err)
		standby := !begun && state == "0A000" // feature_not_supported: to write during recovery
		if standby {
			err = fmt.Errorf("%w: %w", errStandby, err)
		}
		if standby || state == "25006" { // read_only_sql_transaction
			// A server that has become a standby need not close its connections: with new ones, target_session_attrs
			// may find the one that is writable now.
			pool.Reset()
		}
		if !strings.HasPrefix(state, "40") || state == "40003" {
			break
		}
	}
	return err
}

// exec runs a single statement that writes.
func (s *Store) exec(ctx context.Context, sql string, args pgx.NamedArgs) (tag pgconn.CommandTag, err error) {
	err = s.write(ctx, func(tx pgx.Tx) error {
		tag, err = tx.Exec(ctx, sql, args)
		return err
	})
	return tag, err
}

// collect reads the rows of a single statement, in a transaction of s.readOnly or s.write.
func collect[T any](
	ctx context.Context, transact func(context.Context, func(pgx.Tx) error) error, sql string, args pgx.NamedArgs,
	row pgx.RowToFunc[T],
) (all []T, err error) {
	err = transact(ctx, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, sql, args) // CollectRows returns its error
		all, err = pgx.CollectRows(rows, row)
		return err
	})
	return all, err
}

// sqlState returns the SQLSTATE of an error of the server; "" for other errors.
func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// Transactions lock rows in one order, so that no two of them wait for each other. Each may leave out any of:
//
//  1. the partner's state: OpenRun, LeaveRun, RecordEnumeration and, of scheduled runs, FinishRun;
//  2. the states of customers, and
//  3. customers, each in the order of the customers' ids;
//  4. what belongs to these customers alone, such as their lists, outcomes and versions, and the lock on a customer's
//     node, in any order: who writes it has the customer's state locked, or else holds nothing that others wait for. So
//     may a merge, which has the state, lock the customer's own row after its lists;
//  5. the run;
//  6. its counts, which come last since others wait for them until the commit.
//
// A statement that writes several rows follows no order by itself: it has them locked before, by one that does. Claims
// of customers wait for nobody. What the server ends for a deadlock all the same is run again.

// lockStates locks the states of customers, which may have none yet.
func lockStates(ctx context.Context, tx pgx.Tx, ids []string) error {
	const lock = `
		SELECT FROM partnersync.customer_state WHERE customer_id = ANY (@ids::uuid[]) ORDER BY customer_id FOR UPDATE`
	slices.Sort(ids)
	for some := range slices.Chunk(ids, customersAtOnce) {
		if _, err := tx.Exec(ctx, lock, pgx.NamedArgs{"ids": some}); err != nil {
			return fmt.Errorf("locking the states of %s: %w", plural.Of(len(some), "customer", "customers"), err)
		}
	}
	return nil
}
