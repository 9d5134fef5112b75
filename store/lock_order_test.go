package store

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"partnersync/store/storetest"
)

// deadlocks is a tracer that counts the deadlocks of which statements tell, since they are retried.
type deadlocks struct {
	TimeLimit
	n atomic.Int64
}

func (d *deadlocks) count(err error) {
	if sqlState(err) == "40P01" {
		d.n.Add(1)
	}
}

func (d *deadlocks) TraceQueryEnd(ctx context.Context, c *pgx.Conn, data pgx.TraceQueryEndData) {
	d.count(data.Err)
	d.TimeLimit.TraceQueryEnd(ctx, c, data)
}

func (d *deadlocks) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	d.count(data.Err)
}

// newContest returns a world whose deadlocks are counted, and a customer for each of many ids in their order.
func newContest(t *testing.T) (w *world, ids []string, seen *deadlocks) {
	t.Helper()
	w = newWorld(t)
	seen = &deadlocks{TimeLimit: TimeLimit(time.Minute)}
	config := w.pool.Config()
	config.MaxConns, config.ConnConfig.Tracer = 8, seen
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	w.ok(err)
	t.Cleanup(pool.Close)
	w.pool, w.Store = pool, New(pool, Options{})
	w.ok(w.Heartbeat(t.Context()))
	for i := range 40 {
		ids = append(ids, customerID(i))
	}
	// On disk they come in another order.
	w.exec(`INSERT INTO partnersync.customer_state (customer_id, partner, active)
		SELECT i, 'contoso', false FROM unnest($1::uuid[]) i ORDER BY i DESC`, ids)
	return w, ids, seen
}

// atOnce runs transactions at the same time. Each of them has got as far as to one of these customers, or waits for
// another transaction, before any goes on.
func (w *world) atOnce(customers []string, transactions ...func() error) {
	w.t.Helper()
	ctx := w.t.Context()
	tx, err := w.pool.Begin(ctx)
	w.ok(err)
	defer tx.Rollback(ctx)
	_, err = tx.Exec(ctx, "SELECT FROM partner_center.customers WHERE customer_id = ANY ($1) FOR UPDATE", customers)
	w.ok(err)
	_, err = tx.Exec(ctx, "SELECT FROM partnersync.customer_state WHERE customer_id = ANY ($1) FOR UPDATE", customers)
	w.ok(err)
	var g errgroup.Group
	for _, transaction := range transactions {
		g.Go(transaction)
	}
	storetest.Eventually(w.t, func() (string, bool) {
		waiting := w.lines(`SELECT count(*)::text FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`)
		return waiting + " transactions wait", waiting == fmt.Sprint(len(transactions))
	})
	w.ok(tx.Commit(ctx))
	w.ok(g.Wait())
}

// backwards returns the results of claims, the last customer first.
func backwards(claims []Claim, result Result) (results []Result) {
	for _, c := range slices.Backward(claims) {
		result.Claim = c
		results = append(results, result)
	}
	return results
}

// Transactions that lock many customers do so in one order, whoever they are of.
func TestLockOrder_ofManyCustomers(t *testing.T) {
	t.Parallel()
	const rounds = 3
	w, ids, seen := newContest(t)
	ctx := t.Context()
	onlyError := func(_ int, err error) error { return err }
	other := w.another()
	for range rounds {
		// All of a worker's customers leave while it records them, and while it releases those that it has not done.
		run := w.begin(Scheduled, ids...)
		claims := w.claims(run)
		leaving := other.open(RunRequest{Partner: "contoso", Kind: Once, ScheduledFor: w.tick}).Run
		claim, _, err := other.ClaimEnumeration(ctx, leaving)
		w.ok(err)
		w.atOnce(ids[len(ids)/2-1:][:1],
			func() error { return onlyError(w.RecordResults(ctx, run, backwards(claims[:len(ids)/2], Result{}))) },
			func() error { return onlyError(w.ReleaseClaims(ctx, "contoso")) },
			func() error {
				_, err := other.RecordEnumeration(ctx, claim, Enumeration{ObservedAt: w.Now(), Complete: true})
				return err
			})
		w.want("0", `SELECT count(*)::text FROM partnersync.customer_state WHERE active OR owner IS NOT NULL`)
		w.finish(run)
		other.finish(leaving)
	}
	if n := seen.n.Load(); n > 0 {
		t.Errorf("%d deadlocks in %d rounds", n, rounds)
	}
}

// Two partners' enumerations each list the customers that the other one lets go.
func TestLockOrder_ofEnumerations(t *testing.T) {
	t.Parallel()
	w, ids, seen := newContest(t)
	ctx := t.Context()
	half := len(ids) / 2
	halves := [][]string{ids[:half], ids[half:]}
	enumeration := func(partner string, at int, customers []string) func() error {
		run := w.open(RunRequest{Partner: partner, Kind: Once, ScheduledFor: w.tick}).Run
		claim, _, err := w.ClaimEnumeration(ctx, run)
		w.ok(err)
		return func() error {
			_, err := w.RecordEnumeration(ctx, claim,
				Enumeration{Customers: named(customers), ObservedAt: minute(at), Complete: true})
			return err
		}
	}
	w.ok(enumeration("contoso", 0, halves[0])())
	w.ok(enumeration("fabrikam", 0, halves[1])())
	w.atOnce([]string{ids[half/2], ids[half+half/2]},
		enumeration("contoso", 1, halves[1]), enumeration("fabrikam", 1, halves[0]))
	if n := seen.n.Load(); n > 0 {
		t.Errorf("%d deadlocks", n)
	}
}
