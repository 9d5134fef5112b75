package sync

import (
	"context"
	"fmt"
	"maps"
	"strings"
	stdsync "sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/zeebo/xxh3"

	"partnersync/store"
	"partnersync/store/cron"
	"partnersync/sync/partnercenter/partnercentertest"
)

// What passes take in seconds and bytes, the benchmarks of cmd/partnersync measure. Here are the counts that hold on
// any machine.

func TestOnce_unchangedListsAreNotDecoded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.partner.Policies, w.partner.Devices = true, true
	ids := w.customers(24)
	for _, id := range ids {
		w.api.PutPolicy(id, partnercentertest.Policy{ID: "p", Name: "Standard users"})
		for i := range 3 { // unfinished, so that each pass reads the devices
			w.put(id, fmt.Sprint("batch ", i), "processing")
			w.api.PutDevice(id, fmt.Sprint("batch ", i), partnercentertest.Device{ID: "d"})
		}
	}
	const rows = 24 * (1 + 3 + 3)
	if run := w.once(); run.State != store.Complete || run.Inserted != rows {
		t.Fatalf("first pass: %+v, want %d inserted", run, rows)
	}
	// Each list is made equal to a body that cannot be decoded: whoever tries, fails the customer.
	const noJSON = `{"items":[{"id":`
	w.api.Fail(partnercentertest.Fault{Path: "/v1/customers/.", Status: 200, Body: noJSON})
	w.exec("UPDATE partnersync.list_state SET digest = $1", digestOf(noJSON))
	before := w.rowVersions()
	run := w.once()
	if run.State != store.Complete || run.Unchanged != rows || run.Inserted+run.Changed+run.Removed != 0 {
		t.Errorf("pass over unchanged lists: %+v, want %d unchanged rows and no other", run, rows)
	}
	if run.Requests < 24*(1+1+3) {
		t.Errorf("%d requests: not all lists were read", run.Requests)
	}
	if !maps.Equal(before, w.rowVersions()) {
		t.Error("rows of partner_center were written by a pass over unchanged lists")
	}
	// The same where no digest says so: the trick works.
	w.exec("UPDATE partnersync.list_state SET digest = NULL")
	if run := w.once(); run.State != store.Failed {
		t.Errorf("pass without digests: %+v, want it failed", run)
	}
}

func TestOnce_unchangedPassTakesFewStatements(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	counts := w.traced()
	add := func(from, to int) {
		for i := from; i < to; i++ {
			id := fmt.Sprintf("00000000-0000-4000-8000-%012d", i+1)
			w.api.AddCustomer(partnercentertest.Customer{ID: id})
			for b := range 20 {
				w.put(id, fmt.Sprint("batch ", b), "finished")
			}
		}
	}
	unchanged := func(customers int) (statements int) {
		w.once()
		before := w.rowVersions()
		counts.reset()
		if run := w.once(); run.State != store.Complete || run.Unchanged != int64(20*customers) {
			t.Fatalf("run %+v, want %d unchanged rows", run, 20*customers)
		}
		statements = counts.sum()
		if !maps.Equal(before, w.rowVersions()) {
			t.Error("rows of partner_center were written by an unchanged pass")
		}
		return statements
	}
	add(0, 10)
	few := unchanged(10)
	add(10, 510)
	many := unchanged(510)
	t.Logf("%d statements for 10 customers, %d for 510", few, many)
	if few > 52 {
		t.Errorf("%d statements for the pass itself, want 52 at most:\n%s", few, counts)
	}
	// Claims go fifty at a time and results a hundred; results also each second, of which a slow machine needs some.
	if more := many - few; more > 500/8+40 {
		t.Errorf("%d statements more for 500 customers more, want one for eight:\n%s", more, counts)
	}
}

func TestRun_idleDaemonLeavesTheDatabaseAlone(t *testing.T) {
	t.Parallel()
	if beat := store.DefaultLease / 4; beat < 5*time.Second {
		t.Errorf("by default there is a heartbeat each %s, which is more often than each 5 s", beat)
	}
	// The shortest lease that may be configured makes the heartbeat the clock of this test. Everything else is as by
	// default.
	const lease, beats = 2 * time.Second, 13
	w := newWorld(t, partnercentertest.Options{})
	w.put(w.customers(1)[0], "b", "queued")
	w.partner.Policies, w.partner.Devices = true, true
	var err error
	w.partner.Schedule, err = cron.Parse("0 0 29 2 *", time.UTC) // no tick comes while this test runs
	w.ok(err)
	counts := w.traced()
	w.store = store.New(w.pool, store.Options{Lease: lease})
	r := w.runner()
	r.RunOnStart = true
	idle := make(chan store.Run, 1)
	r.OnRun = func(run store.Run) { idle <- run }
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- r.Run(ctx) }()
	<-idle
	counts.await("INSERT INTO partnersync.workers", 1) // what the end of the pass takes is over with the next heartbeat
	counts.reset()
	began := time.Now()
	counts.await("INSERT INTO partnersync.workers", beats)
	most := 1 + int(time.Since(began)/(5*time.Second))
	seen := counts.all()
	stop()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	for sql, n := range seen {
		allowed := most
		if strings.Contains(sql, "INSERT INTO partnersync.workers") || strings.Contains(sql, "BEGIN") || sql == "commit" {
			allowed += beats + 1 // a heartbeat is a transaction
		}
		if n > allowed {
			t.Errorf("an idle daemon has sent this %d times, more than once in 5 s:\n%s", n, sql)
		}
	}
	if n := seen.matching("INSERT INTO partnersync.workers"); n > beats+1 {
		t.Errorf("%d heartbeats where %d were awaited", n, beats)
	}
}

// digestOf is the digest of a list of one page, as partnercenter.Listing has it.
func digestOf(body string) []byte {
	format, page := xxh3.HashString128("partnercenter 4\n").Bytes(), xxh3.HashString128(body).Bytes()
	sum := xxh3.Hash128(append(format[:], page[:]...)).Bytes()
	return sum[:]
}

// rowVersions returns where each table of partner_center's rows are and which transactions wrote them: any write shows.
func (w *world) rowVersions() map[string]string {
	w.t.Helper()
	versions := map[string]string{}
	for _, table := range []string{
		"customers", "device_batches", "device_batch_versions", "devices", "device_versions", "configuration_policies", "configuration_policy_versions",
	} {
		var all string
		w.ok(w.pool.QueryRow(w.t.Context(),
			`SELECT coalesce(string_agg(concat_ws(' ', ctid, xmin, xmax), ',' ORDER BY ctid), '')
				FROM partner_center.`+table).Scan(&all))
		versions[table] = all
	}
	return versions
}

// traced has the world's workers count their statements from now on.
func (w *world) traced() *statements {
	w.t.Helper()
	config := w.pool.Config()
	s := &statements{counts: counts{}, heard: make(chan struct{}, 1), done: w.t.Context().Done()}
	config.ConnConfig.Tracer = s
	pool, err := pgxpool.NewWithConfig(w.t.Context(), config)
	w.ok(err)
	w.t.Cleanup(pool.Close)
	w.pool, w.store = pool, store.New(pool, store.Options{Version: "test"})
	return s
}

// counts is how often each statement was sent.
type counts map[string]int

// statements counts what is sent to the database: each statement of a batch, and what begins and ends transactions.
type statements struct {
	mu     stdsync.Mutex
	counts counts
	heard  chan struct{} // has an element when there is a new one
	done   <-chan struct{}
}

func (s *statements) count(sql string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[sql]++
	select {
	case s.heard <- struct{}{}:
	default:
	}
}

func (s *statements) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.counts)
}

func (s *statements) all() counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts)
}

func (s *statements) sum() (n int) {
	for _, times := range s.all() {
		n += times
	}
	return n
}

// matching is how often statements with the text in them were sent.
func (c counts) matching(text string) (n int) {
	for sql, times := range c {
		if strings.Contains(sql, text) {
			n += times
		}
	}
	return n
}

// await returns once statements with the text in them were sent so often.
func (s *statements) await(text string, times int) {
	for s.all().matching(text) < times {
		select {
		case <-s.heard:
		case <-s.done:
			return
		}
	}
}

// String is each statement with how often it was sent.
func (s *statements) String() string {
	var b strings.Builder
	for sql, n := range s.all() {
		fmt.Fprintf(&b, "%5d  %.120q\n", n, sql)
	}
	return b.String()
}

// TraceQueryStart counts a statement.
func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	s.count(q.SQL)
	return ctx
}

// TraceQueryEnd does nothing.
func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceBatchStart does nothing: the batch's statements count.
func (s *statements) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

// TraceBatchQuery counts a statement of a batch.
func (s *statements) TraceBatchQuery(_ context.Context, _ *pgx.Conn, q pgx.TraceBatchQueryData) {
	s.count(q.SQL)
}

// TraceBatchEnd does nothing.
func (s *statements) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}
