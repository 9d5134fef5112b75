package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"partnersync/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// Customers of the tests.
const (
	alpha = "47021739-3426-40bf-9601-61b4b6d7c793"
	beta  = "b44bb1fb-c595-45b0-9e09-d657365580bf"
	gamma = "c6a1f1d0-8c9e-4d5b-9a1e-3c2b1a0f9e8d"
)

// world is a database with one worker that makes passes over the partner contoso.
type world struct {
	*Store
	t        *testing.T
	url      string
	pool     *pgxpool.Pool
	tick     time.Time
	customer string // whom pass is about
	cases    int    // run so far
}

// newWorld returns a world over a database of the test's own.
func newWorld(t *testing.T) *world {
	t.Helper()
	return worldOver(t, storetest.New(t).URL)
}

func worldOver(t *testing.T, url string) *world {
	t.Helper()
	pool, err := OpenPool(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	w := &world{
		Store: New(pool, Options{Version: "test"}), t: t, url: url, pool: pool, customer: alpha,
		tick: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}
	w.ok(w.Heartbeat(t.Context()))
	return w
}

// run runs a case of a table in this world, with a customer of its own: a database for each would take longer.
func (w *world) run(name string, do func(t *testing.T)) {
	w.t.Helper()
	w.t.Run(name, func(t *testing.T) {
		outer := *w
		defer func() { w.t, w.customer = outer.t, outer.customer }()
		w.t, w.customer = t, customerID(w.cases)
		w.cases++
		do(t)
	})
}

// customerID returns the n-th of many ids, in their order.
func customerID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// withParameter returns the URL of a database with one more parameter.
func withParameter(t *testing.T, database, name, value string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// begin opens a run of the kind and settles its customers, all of whom belong to the partner contoso.
func (w *world) begin(kind string, customers ...string) Run {
	w.t.Helper()
	w.tick = w.tick.Add(time.Minute)
	opened := w.open(RunRequest{Partner: "contoso", Kind: kind, ScheduledFor: w.tick, Due: w.tick})
	claim, mine, err := w.ClaimEnumeration(w.t.Context(), opened.Run)
	w.ok(err)
	if mine {
		_, err = w.RecordEnumeration(w.t.Context(), claim, Enumeration{Customers: named(customers), ObservedAt: minute(0), Complete: true})
		w.ok(err)
	}
	return opened.Run
}

// open opens a run. Another one of the kind that a test has left open is given up first.
func (w *world) open(r RunRequest) Opened {
	w.t.Helper()
	opened, err := w.OpenRun(w.t.Context(), r)
	if errors.Is(err, ErrUnderway) {
		w.exec("UPDATE partnersync.runs SET state = 'abandoned', finished_at = clock_timestamp() WHERE partner = $1 AND kind = $2 AND state = 'running'", r.Partner, r.Kind)
		opened, err = w.OpenRun(w.t.Context(), r)
	}
	w.ok(err)
	return opened
}

func named(ids []string) []Customer {
	customers := make([]Customer, len(ids))
	for i, id := range ids {
		customers[i] = Customer{ID: id}
	}
	return customers
}

// claims claims the customers whose first turn in the run has still to come, in the order of their ids; claimed returns
// these.
func (w *world) claims(run Run) []Claim {
	w.t.Helper()
	return w.claimsFor(run, FirstTurn)
}

func (w *world) claimsFor(run Run, turn Turn) []Claim {
	w.t.Helper()
	claims, err := w.ClaimCustomers(w.t.Context(), run, turn, w.left(run, turn))
	w.ok(err)
	return claims
}

// left returns the customers that have this turn to come.
func (w *world) left(run Run, turn Turn) (ids []string) {
	w.t.Helper()
	candidates, err := w.Candidates(w.t.Context(), run)
	w.ok(err)
	for _, c := range candidates {
		if c.Turn == turn {
			ids = append(ids, c.CustomerID)
		}
	}
	slices.Sort(ids)
	return ids
}

func claimed(claims []Claim) []string {
	ids := []string{}
	for _, c := range claims {
		ids = append(ids, c.CustomerID)
	}
	return ids
}

// claim claims the first customer that the run has left.
func (w *world) claim(run Run) Claim {
	w.t.Helper()
	for _, id := range w.left(run, FirstTurn) {
		claims, err := w.ClaimCustomers(w.t.Context(), run, FirstTurn, []string{id})
		w.ok(err)
		if len(claims) == 1 {
			return claims[0]
		}
	}
	w.t.Fatal("claimed no customer, want 1")
	return Claim{}
}

// pass makes a whole pass over the world's customer: the listing of its batches is merged as observed at the given time.
func (w *world) pass(at time.Time, l Listing, rows ...DeviceBatch) Outcome {
	w.t.Helper()
	run := w.begin(Scheduled, w.customer)
	claim := w.claim(run)
	l.ObservedAt = at
	done, err := w.MergeDeviceBatches(w.t.Context(), claim, l, rows)
	w.ok(err)
	w.record(run, Result{Claim: claim})
	if run = w.finish(run); run.State != Complete {
		w.t.Fatalf("run is %s, want complete", run.State)
	}
	return done
}

func (w *world) finish(run Run) Run {
	w.t.Helper()
	run, err := w.FinishRun(w.t.Context(), run, WhenDone)
	w.ok(err)
	return run
}

func (w *world) record(run Run, results ...Result) {
	w.t.Helper()
	for i := range results {
		results[i].Listed = results[i].Failure == nil
	}
	lost, err := w.RecordResults(w.t.Context(), run, results)
	w.ok(err)
	if lost != 0 {
		w.t.Fatalf("%d claims were lost", lost)
	}
}

// lines returns the query's rows, of one text column, a line each.
func (w *world) lines(query string, args ...any) string {
	w.t.Helper()
	rows, err := w.pool.Query(w.t.Context(), query, args...)
	w.ok(err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	w.ok(err)
	return strings.Join(lines, "\n")
}

// exec changes the database behind the Store's back.
func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	_, err := w.pool.Exec(w.t.Context(), sql, args...)
	storetest.SkipRefused(w.t, err)
	w.ok(err)
}

func (w *world) want(want, query string, args ...any) {
	w.t.Helper()
	want = strings.Trim(strings.ReplaceAll(want, "\t", ""), "\n")
	if diff := cmp.Diff(want, w.lines(query, args...)); diff != "" {
		w.t.Errorf("%s: (-want +got)\n%s", query, diff)
	}
}

// untilLocked waits until somebody waits for a lock.
func (w *world) untilLocked() {
	w.t.Helper()
	query := `SELECT concat_ws('|', count(*)) FROM pg_stat_activity WHERE datname = current_database()
		AND wait_event_type = 'Lock'`
	if storetest.IsCitus() {
		query = "SELECT concat_ws('|', sum(result::integer)) FROM run_command_on_all_nodes($$ " + query + " $$)"
	}
	storetest.Eventually(w.t, func() (string, bool) {
		waiting := w.lines(query)
		return waiting + " sessions wait for a lock", waiting != "0"
	})
}

// another returns a second worker over the same database.
func (w *world) another() *world {
	w.t.Helper()
	other := *w
	other.Store = New(w.pool, Options{Version: "test"})
	w.ok(other.Heartbeat(w.t.Context()))
	return &other
}

// die makes the worker look as if it had been silent for longer than its lease.
func (w *world) die() {
	w.t.Helper()
	w.exec(`UPDATE partnersync.workers SET heartbeat_at = heartbeat_at - interval '1 hour' WHERE worker_id = $1::uuid`, w.Worker())
}

// inParallel works on all claims, a few at a time.
func (w *world) inParallel(claims []Claim, do func(Claim) error) {
	w.t.Helper()
	var g errgroup.Group
	g.SetLimit(4)
	for _, c := range claims {
		g.Go(func() error { return do(c) })
	}
	w.ok(g.Wait())
}

func minute(n int) time.Time { return time.Date(2026, 1, 1, 0, n, 0, 0, time.UTC) }

func batch(id, status string) DeviceBatch { return DeviceBatch{BatchID: id, Status: &status} }

func ptr[T any](v T) *T { return &v }

func complete(digest string) Listing { return Listing{Complete: true, Digest: []byte(digest)} }

func TestOpenPool_errorDoesNotHoldThePassword(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"postgres://sync:hunter2@127.0.0.1:1/db?connect_timeout=1",
		"postgres://sync:hunter2@127.0.0.1:notaport/db",
		"host=127.0.0.1 port=1 password=hunter2 sslmode=wrong",
	} {
		_, err := OpenPool(context.Background(), url)
		if err == nil {
			t.Fatalf("OpenPool(%q) succeeded", url)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func TestWrite_limitsItsTransactionOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const limits = `SELECT current_setting('idle_in_transaction_session_timeout') || ' ' || current_setting('statement_timeout')`
	outside := w.lines("SELECT concat_ws('|', x) FROM (" + limits + ") AS l (x)")
	var inside string
	s := New(w.pool, Options{Lease: 2 * time.Second})
	w.ok(s.write(t.Context(), func(tx pgx.Tx) error { return tx.QueryRow(t.Context(), limits).Scan(&inside) }))
	if inside != "666ms 5min" {
		t.Errorf("limits of a writing transaction: %s, want a third of the lease and 5min", inside)
	}
	w.want(outside, "SELECT concat_ws('|', x) FROM ("+limits+") AS l (x)")
}

// leave takes the worker out of a run.
func (w *world) leave(run Run) {
	w.t.Helper()
	_, err := w.LeaveRun(w.t.Context(), run)
	w.ok(err)
}

// readRun reads a run as it is now.
func (w *world) readRun(run Run) Run {
	w.t.Helper()
	batch := &pgx.Batch{}
	queueReadRun(batch, &run)
	w.ok(w.pool.SendBatch(w.t.Context(), batch).Close())
	return run
}

// enter begins a merge of the customer's batches, and so locks its state.
func (w *world) enter(tx pgx.Tx, c Claim) {
	w.t.Helper()
	at := list{customerID: c.CustomerID, resource: DeviceBatches}
	m := merging[DeviceBatch]{tx: tx, resource: deviceBatches, claim: c, list: at}
	w.ok(m.compare(w.t.Context(), w.Store.worker))
}

// A replica that is frozen in a transaction holds the customer's row: PostgreSQL ends the transaction for it.
func TestWrite_frozenHolderLetsGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Scheduled, alpha)
	stale := w.claim(run)
	frozen := New(w.pool, Options{Lease: 30 * time.Millisecond})
	err := frozen.write(t.Context(), func(tx pgx.Tx) error {
		w.enter(tx, stale)
		w.die()
		// Waits for the frozen transaction's end.
		w.exec("UPDATE partnersync.customer_state SET lease_epoch = lease_epoch + 1 WHERE customer_id = $1", alpha)
		_, err := tx.Exec(t.Context(), "UPDATE partner_center.customers SET domain = 'late'")
		return err
	})
	if err == nil {
		t.Error("the transaction of a frozen worker was committed")
	}
	w.want("2||", "SELECT concat_ws('|', s.lease_epoch, coalesce(c.domain, ''), '') FROM partnersync.customer_state s JOIN partner_center.customers c USING (customer_id)")
}
