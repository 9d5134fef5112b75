package sync

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	stdsync "sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/store"
	"partnersync/store/cron"
	"partnersync/sync/partnercenter"
	"partnersync/sync/passtest"
)

// The lease of the world's workers is so long that it only lapses where a test says so.
const modelLease = 10 * time.Minute

// modelWorker is a process that makes one pass of each partner.
type modelWorker struct {
	*model
	name     string
	pool     *pgxpool.Pool
	runner   *Runner
	request  Request // Kind is "" for the step of a daemon
	patient  bool    // it waits for an answer for as long as another worker's pass may take
	dead     atomic.Bool
	ctx      context.Context
	cancel   context.CancelFunc
	requests atomic.Int64
	events   map[int64]func(*http.Request) // by the number of the request after whose answer they happen
}

var errKilled = errors.New("the process has been killed")

// newWorker returns a worker of any kind, with any settings. Impatient ones do not wait long for an answer.
func (m *model) newWorker(impatient bool) *modelWorker {
	w := m.bareWorker()
	w.patient = !impatient
	var attempt time.Duration
	if impatient {
		attempt = 300 * time.Millisecond
	}
	for _, p := range m.partners {
		partner := w.newPartner(p, attempt)
		partner.Policies, partner.Devices = m.n(5) > 0, m.devices
		partner.DevicesRefresh = pick(m, time.Millisecond, 24*time.Hour, 24*time.Hour)
		partner.Concurrency = 1 + m.n(3)
		switch m.n(8) {
		case 0:
			partner.Exclude = []string{pick(m, m.customers...)}
		case 1:
			partner.Customers = m.customers[:1+m.n(len(m.customers))]
		}
		w.runner.Partners = append(w.runner.Partners, partner)
	}
	w.request.Kind = pick(m, "", "", "", store.Once, store.Once, store.Backfill)
	if w.request.Kind != "" && m.n(3) == 0 {
		w.request.Customers = []string{pick(m, m.customers...)}
	}
	w.request.Restart = m.n(3) == 0
	return w
}

// bareWorker returns a worker without partners, which reads and writes over a pool of its own.
func (m *model) bareWorker() *modelWorker {
	m.t.Helper()
	m.mu.Lock()
	m.workers++
	w := &modelWorker{model: m, name: fmt.Sprint("worker ", m.workers), events: map[int64]func(*http.Request){}}
	m.mu.Unlock()
	config, err := pgxpool.ParseConfig(m.db.URL)
	if err != nil {
		m.t.Fatal(err)
	}
	config.MaxConns = 2
	config.BeforeConnect = func(context.Context, *pgx.ConnConfig) error { return w.killed() }
	config.PrepareConn = func(context.Context, *pgx.Conn) (bool, error) { return !w.dead.Load(), w.killed() }
	if w.pool, err = pgxpool.NewWithConfig(m.t.Context(), config); err != nil {
		m.t.Fatal(err)
	}
	w.ctx, w.cancel = context.WithTimeout(m.t.Context(), 2*time.Minute)
	w.runner = &Runner{Store: store.New(w.pool, store.Options{Lease: modelLease}), Logger: m.logger(w.name)}
	return w
}

// killed returns an error once the process is dead, so that nothing of it reaches the database any more.
func (w *modelWorker) killed() error {
	if w.dead.Load() {
		return errKilled
	}
	return nil
}

func (w *modelWorker) newPartner(p *modelPartner, attempt time.Duration) Partner {
	w.t.Helper()
	limiter := partnercenter.NewLimiter(0)
	client, tokens := passtest.Client(w.t, partnercenter.Options{
		BaseURL: p.url, Limiter: limiter, Transport: w, AttemptTimeout: attempt, Logger: w.runner.Logger,
	})
	schedule, err := cron.Parse(pick(w.model, "@every 1h", "@every 1h", "@every 1s"), time.UTC)
	if err != nil {
		w.t.Fatal(err)
	}
	return Partner{Name: p.name, Client: client, Limiter: limiter, Tokens: tokens, Schedule: schedule}
}

// withEvents makes something happen at some of the worker's requests.
func (w *modelWorker) withEvents() *modelWorker {
	events := []func(*http.Request){
		w.changeAfter, w.changeAfter, w.changeAfter, w.lapse, w.stop, w.kill, func(*http.Request) { w.prune() },
	}
	if w.patient {
		events = append(events, w.freeze, w.freeze)
	}
	for range w.n(4) {
		w.events[int64(1+w.n(30))] = pick(w.model, events...)
	}
	return w
}

// RoundTrip makes a request, and then whatever event is due.
func (w *modelWorker) RoundTrip(r *http.Request) (*http.Response, error) {
	n := w.requests.Add(1)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if event := w.events[n]; event != nil {
		event(r)
	}
	return resp, err
}

func (w *modelWorker) changeAfter(r *http.Request) {
	for range 1 + w.n(3) {
		w.changeNear(r)
	}
}

// changeNear changes something of the customer that a request is about.
func (w *modelWorker) changeNear(r *http.Request) {
	if id := customerOf(r.URL); id != "" {
		w.changeOf(id)
		return
	}
	w.change()
}

// freeze lets the worker sleep, with the answer in its hands, past its lease, while the API changes and another worker
// does its work.
func (w *modelWorker) freeze(r *http.Request) {
	w.note("%s freezes at %s", w.name, r.URL.Path)
	w.lapse(r)
	for range 1 + w.n(4) {
		w.changeNear(r)
	}
	other := w.newWorker(false)
	if id := customerOf(r.URL); id != "" && w.n(2) == 0 {
		other.request = Request{Kind: pick(w.model, store.Once, store.Backfill), Customers: []string{id}}
	}
	other.work()
	w.note("%s wakes", w.name)
}

// lapse puts the worker's last heartbeat so far back that all others take it for dead.
func (w *modelWorker) lapse(*http.Request) {
	const sql = `
		UPDATE partnersync.workers SET heartbeat_at = heartbeat_at - 2 * lease WHERE worker_id = $1::uuid`
	if _, err := w.db.Pool.Exec(w.t.Context(), sql, w.runner.Store.Worker()); err != nil {
		w.t.Error(err)
	}
}

func (w *modelWorker) stop(*http.Request) {
	w.note("%s is stopped", w.name)
	w.cancel()
}

func (w *modelWorker) kill(*http.Request) {
	w.note("%s is killed", w.name)
	w.dead.Store(true)
	w.cancel()
}

// work makes the worker's passes. Whoever is killed holds its claims until its lease has lapsed.
func (w *modelWorker) work() {
	defer w.pool.Close()
	defer w.cancel()
	w.note("%s begins: %+v", w.name, w.request)
	runs, err := w.pass()
	var api *partnercenter.Error
	switch {
	case errors.Is(w.ctx.Err(), context.DeadlineExceeded):
		w.t.Errorf("%s has not come to an end: %v", w.name, err)
	case err == nil, w.ctx.Err() != nil, errors.Is(err, ErrUnknownCustomer), errors.As(err, &api):
	default:
		w.t.Errorf("%s: %v", w.name, err)
	}
	if w.dead.Load() {
		w.lapse(nil)
	}
	w.note("%s ends: %+v, %v", w.name, runs, err)
}

// pass makes the pass of a daemon's tick, or the one that is asked for.
func (w *modelWorker) pass() ([]store.Run, error) {
	if w.request.Kind != "" {
		return w.runner.Once(w.ctx, w.request)
	}
	defer w.runner.begin(w.ctx)()
	if err := w.runner.heartbeat(w.ctx); err != nil {
		return nil, err
	}
	return nil, w.runner.asWorker(w.ctx, func(ctx context.Context) error {
		var g stdsync.WaitGroup
		for _, p := range w.runner.Partners {
			now := time.Now()
			g.Go(func() { w.runner.scheduledPass(ctx, p, tick{scheduledFor: now, newest: now}) })
		}
		g.Wait()
		return ctx.Err()
	})
}
