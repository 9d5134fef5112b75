package sync

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	stdsync "sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"partnersync/store"
	"partnersync/store/cron"
	"partnersync/store/storetest"
	"partnersync/sync/partnercenter"
	"partnersync/sync/partnercenter/partnercentertest"
	"partnersync/sync/passtest"
)

// world is the emulated API, a database, and a partner between the two.
type world struct {
	t       *testing.T
	api     *partnercentertest.Emulator
	url     string
	pool    *pgxpool.Pool
	store   *store.Store
	partner Partner
	log     *slog.Logger

	clock     func() time.Time  // that the schedules go by; nil: the database's
	transport http.RoundTripper // of the partners' clients; nil: their own
	attempt   time.Duration     // the clients' AttemptTimeout
}

func newWorld(t *testing.T, o partnercentertest.Options) *world {
	t.Helper()
	shared := passtest.New(t, o)
	return (&world{t: t, api: shared.API, url: shared.URL, pool: shared.DB.Pool}).begin()
}

// newBubbledWorld is a world for a synctest bubble, with a database from outside of it. The API answers in memory. Time
// stands still while the database is being asked, and only then: nobody reads from an idle connection. The database's
// clock is the real one.
func newBubbledWorld(t *testing.T, db *storetest.DB, attempt time.Duration) *world {
	t.Helper()
	w := &world{t: t, api: partnercentertest.New(partnercentertest.Options{TokenLifetime: 10 * 24 * time.Hour})}
	w.url, w.attempt, w.clock = "http://piped.test", attempt, time.Now
	var stop func()
	w.transport, stop = partnercentertest.Pipe(w.api)
	t.Cleanup(stop)
	var err error
	w.pool, err = pgxpool.New(t.Context(), db.URL)
	w.ok(err)
	t.Cleanup(w.pool.Close)
	return w.begin()
}

func (w *world) begin() *world {
	w.log = slog.New(slog.NewTextHandler(w.t.Output(), nil))
	w.store = store.New(w.pool, store.Options{Version: "test"})
	w.partner = w.newPartner("contoso", w.url, 0)
	return w
}

func (w *world) newPartner(name, url string, requestsPerMinute int) Partner {
	w.t.Helper()
	limiter := partnercenter.NewLimiter(requestsPerMinute)
	client, tokens := passtest.Client(w.t, partnercenter.Options{
		BaseURL: url, Limiter: limiter, Transport: w.transport, AttemptTimeout: w.attempt, Logger: w.log,
	})
	schedule, err := cron.Parse("@every 1h", time.UTC)
	w.ok(err)
	return Partner{Name: name, Client: client, Limiter: limiter, Tokens: tokens, Schedule: schedule, Concurrency: 4}
}

// rows returns the rows of a query as PostgreSQL prints their columns, null ones left out.
func (w *world) rows(query string, args ...any) []string {
	w.t.Helper()
	rows, _ := w.pool.Query(w.t.Context(), query, append([]any{pgx.QueryResultFormats{pgx.TextFormatCode}}, args...)...)
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var columns []string
		for _, value := range row.RawValues() {
			if value != nil {
				columns = append(columns, string(value))
			}
		}
		return strings.Join(columns, "|"), nil
	})
	w.ok(err)
	return lines
}

// want compares the rows of a query with lines, whose tabs do not count.
func (w *world) want(want, query string, args ...any) {
	w.t.Helper()
	want = strings.Trim(strings.ReplaceAll(want, "\t", ""), "\n")
	if diff := cmp.Diff(want, strings.Join(w.rows(query, args...), "\n")); diff != "" {
		w.t.Errorf("%s: (-want +got)\n%s", query, diff)
	}
}

// until waits until the rows of a query are the lines wanted.
func (w *world) until(want, query string, args ...any) {
	w.t.Helper()
	w.eventually(func() (string, bool) {
		got := strings.Join(w.rows(query, args...), "\n")
		return got, got == want
	})
}

// value returns the time that a query says.
func (w *world) value(query string) (v time.Time) {
	w.t.Helper()
	w.ok(w.pool.QueryRow(w.t.Context(), query).Scan(&v))
	return v
}

// eventually waits until a condition holds; got is for the failure.
func (w *world) eventually(condition func() (got string, ok bool)) {
	w.t.Helper()
	storetest.Eventually(w.t, condition)
}

// testLog keeps what is logged, and may be read meanwhile.
type testLog struct {
	start time.Time
	mu    stdsync.Mutex
	text  bytes.Buffer
}

// newLog returns a logger of JSON lines, and what it logs.
func newLog() (*slog.Logger, *testLog) {
	log := &testLog{start: time.Now()}
	return slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), log
}

// Write appends a line.
func (l *testLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

// String is what has been logged so far.
func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// logged has the world's log kept.
func (w *world) logged() (log *testLog) {
	w.log, log = newLog()
	return log
}

// untilLogged waits until the log has the text.
func (w *world) untilLogged(log *testLog, text string) {
	w.t.Helper()
	w.eventually(func() (string, bool) {
		got := log.String()
		return got, strings.Contains(got, text)
	})
}

func TestMain(m *testing.M) { storetest.Main(m) }

// alpha is the customer of the API documentation's example.
const alpha = "47021739-3426-40bf-9601-61b4b6d7c793"

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) runner() *Runner {
	return &Runner{Store: w.store, Partners: []Partner{w.partner}, Logger: w.log, clock: w.clock}
}

// once makes one pass and returns its run.
func (w *world) once() store.Run {
	w.t.Helper()
	runs, err := w.runner().Once(w.t.Context(), Request{Kind: store.Once})
	w.ok(err)
	if len(runs) != 1 {
		w.t.Fatalf("%d runs, want 1", len(runs))
	}
	return runs[0]
}

// customers adds n customers and returns their ids.
func (w *world) customers(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("00000000-0000-4000-8000-%012d", i+1)
		w.api.AddCustomer(partnercentertest.Customer{ID: ids[i], CompanyName: fmt.Sprintf("Contoso %d", i+1)})
	}
	return ids
}

func (w *world) put(customerID, batchID, status string) {
	w.api.PutBatch(customerID, partnercentertest.Batch{ID: batchID, Status: status, DevicesCount: 5})
}

// listings returns how often each customer's batches were asked for.
func (w *world) listings() map[string]int {
	n := map[string]int{}
	for _, r := range w.api.Requests() {
		if id, rest, ok := strings.Cut(strings.TrimPrefix(r.Path, "/v1/customers/"), "/"); ok &&
			rest == "deviceBatches" {
			n[id]++
		}
	}
	return n
}

// reading makes the world's partner read everything.
func (w *world) reading() *world {
	w.partner.Devices, w.partner.Policies, w.partner.DevicesRefresh = true, true, 24*time.Hour
	return w
}

// fill gives a customer a finished batch with n devices.
func (w *world) fill(customerID, batchID string, n int) {
	w.api.PutBatch(customerID, partnercentertest.Batch{ID: batchID, Status: "finished"})
	for i := range n {
		w.api.PutDevice(customerID, batchID,
			partnercentertest.Device{ID: fmt.Sprintf("device %03d", i), SerialNumber: fmt.Sprint("S", i)})
	}
}

// asked returns how many API requests were made since the log had from of them, those for tokens apart.
func (w *world) asked(from int) (n int) {
	for _, r := range w.api.Requests()[from:] {
		if strings.HasPrefix(r.Path, "/v1/") {
			n++
		}
	}
	return n
}

// untilWaiting waits until the daemon says that it waits, with the text in the reason or the hint.
func (w *world) untilWaiting(r *Runner, text string) {
	w.t.Helper()
	w.eventually(func() (string, bool) {
		is, waiting := r.Waiting()
		got := is.Reason + "; " + is.Hint
		return got, waiting && strings.Contains(got, text)
	})
}

func (w *world) untilGoingOn(r *Runner) {
	w.t.Helper()
	w.eventually(func() (string, bool) {
		is, waiting := r.Waiting()
		return is.Reason, !waiting
	})
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	_, err := w.pool.Exec(w.t.Context(), sql, args...)
	w.ok(err)
}

// replica returns a Runner that shares nothing with others but the database and the API.
func (w *world) replica(requestsPerMinute int) *Runner {
	w.t.Helper()
	p := w.newPartner("contoso", w.url, requestsPerMinute)
	return &Runner{
		Store: store.New(w.pool,
			store.Options{Version: "test"}), Partners: []Partner{p}, Logger: w.log, RunOnStart: true,
	}
}

// askedAt returns when the API, and not the sign-in, was asked.
func (w *world) askedAt() []time.Time {
	var at []time.Time
	for _, r := range w.api.Requests() {
		if strings.HasPrefix(r.Path, "/v1/") {
			at = append(at, r.At)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	return at
}

// start runs the daemon until the test ends or stop is called; runs are the runs it has finished.
func (w *world) start(r *Runner) (runs <-chan store.Run, stop func()) {
	w.t.Helper()
	finished := make(chan store.Run, 100)
	r.OnRun = func(run store.Run) { finished <- run }
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	var g errgroup.Group
	g.Go(func() error { return r.Run(ctx) })
	stop = func() {
		cancel()
		if err := g.Wait(); err != nil {
			w.t.Errorf("daemon: %v", err)
		}
	}
	w.t.Cleanup(stop)
	return finished, stop
}

// daemon runs the daemon on a schedule until it has made so many runs, which it returns.
func (w *world) daemon(schedule string, n int, configure ...func(*Runner)) (runs []store.Run) {
	w.t.Helper()
	var err error
	w.partner.Schedule, err = cron.Parse(schedule, time.UTC)
	w.ok(err)
	ctx, stop := context.WithCancel(w.t.Context())
	defer stop()
	r := w.runner()
	for _, change := range configure {
		change(r)
	}
	r.OnRun = func(run store.Run) {
		if runs = append(runs, run); len(runs) == n {
			stop()
		}
	}
	w.ok(r.Run(ctx))
	return runs
}
