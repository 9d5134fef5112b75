package main

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/store"
	"partnersync/store/cron"
	"partnersync/sync"
	"partnersync/sync/partnercenter"
	"partnersync/sync/passtest"
)

// bench is what a benchmark runs on: the emulator in its own process, a database server, and a worker in this
// process.
type bench struct {
	testing.TB            // the benchmark that runs
	parent     testing.TB // it fails where a target is missed, since Go shows no figures of a benchmark that fails
	size
	workers
	devices   bool // device lists are read when they are due
	generated bool // the database was filled in another way, so that there is no first load
	uploaders bool // what changes in a batch is who uploaded it
	api       *emulator
	fetch     *fetcher
	server    *benchServer
	db        *benchDatabase
	counted   *statements
	pools     []*pgxpool.Pool // one of each replica
	runners   []*sync.Runner  // likewise: a runner makes one pass after another, with the same token and connections
	loads     []time.Duration // how long each first load took
}

// workers are the processes that make the passes.
type workers struct {
	concurrency int // of requests
	connections int // to the database, of each replica
	replicas    int // 0: one process that makes its passes with --once; otherwise this many daemons
}

// defaultWorkers is one worker with the configuration's defaults.
var defaultWorkers = workers{concurrency: 8, connections: 4}

func newBench(tb testing.TB, s size, w workers) *bench {
	tb.Helper()
	b := &bench{TB: tb, parent: tb, size: s, workers: w, devices: s.Devices > 0, counted: new(statements)}
	b.api = startEmulator(tb, s)
	b.fetch = newFetcher(tb, b.api.url, w.concurrency)
	b.server = startServer(tb)
	tb.Cleanup(b.close)
	b.fresh()
	return b
}

// onCluster returns a bench that reads the same API into a Citus cluster.
func (b *bench) onCluster() *bench {
	b.Helper()
	c := &bench{TB: b.TB, parent: b.parent, size: b.size, workers: b.workers, devices: b.devices, counted: new(statements),
		api: b.api, fetch: b.fetch, server: startCluster(b.TB)}
	b.Cleanup(c.close)
	c.fresh()
	return c
}

// fresh starts with an empty database.
func (b *bench) fresh() {
	b.Helper()
	b.close()
	b.db = b.server.create(b)
	b.open()
}

// load makes the first pass over an empty database.
func (b *bench) load() cost {
	b.Helper()
	b.fresh()
	c := b.pass()
	if b.Devices == 0 && c.Inserted != int64(b.rows()) || c.Inserted < int64(b.rows()) {
		b.Fatalf("%d rows were loaded, want %d", c.Inserted, b.rows())
	}
	b.loads = append(b.loads, c.took)
	return c
}

// loaded makes sure that the database has what the API has.
func (b *bench) loaded() {
	b.Helper()
	if len(b.loads) == 0 && !b.generated {
		b.load()
	}
	b.db.settle(b)
}

// open connects the replicas.
func (b *bench) open() {
	b.Helper()
	for range max(1, b.replicas) {
		pool := b.db.pool(b, b.connections, b.counted)
		b.pools, b.runners = append(b.pools, pool), append(b.runners, b.runner(pool))
	}
}

func (b *bench) close() {
	for _, p := range b.pools {
		p.Close()
	}
	b.pools, b.runners = nil, nil
}

// written returns how many rows of partner_center have been written. The replicas reconnect.
func (b *bench) written() int64 {
	b.Helper()
	b.close()
	defer b.open()
	return b.db.written(b)
}

// runner returns a worker over the pool, which as a daemon makes one pass at its start.
func (b *bench) runner(pool *pgxpool.Pool) *sync.Runner {
	b.Helper()
	limiter := partnercenter.NewLimiter(0)
	client, _ := passtest.Client(b, partnercenter.Options{BaseURL: b.api.url, Limiter: limiter})
	schedule, err := cron.Parse("@every 24h", time.UTC)
	if err != nil {
		b.Fatal(err)
	}
	return &sync.Runner{
		Store: store.New(pool, store.Options{Version: "benchmark"}), RunOnStart: true,
		Partners: []sync.Partner{{
			Name: "contoso", Client: client, Limiter: limiter, Schedule: schedule, Concurrency: b.concurrency,
			Devices: b.devices, DevicesRefresh: 24 * time.Hour,
		}},
	}
}

// cost is what a pass costs.
type cost struct {
	store.Run
	took        time.Duration
	statements  int64
	logged      int64 // bytes of write-ahead log
	allocations uint64
}

// pass makes a pass and measures it.
func (b *bench) pass() (c cost) {
	b.Helper()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	statements, logged := b.counted.count(), b.server.logged(b)
	if b.replicas > 0 {
		c.Run, c.took = b.daemons()
	} else {
		c.Run, c.took = b.once()
	}
	runtime.ReadMemStats(&after)
	c.statements, c.logged = b.counted.count()-statements, b.server.logged(b)-logged
	c.allocations = after.Mallocs - before.Mallocs
	if c.State != store.Complete || c.CustomersOK != b.Customers {
		b.Fatalf("the pass did not do all customers: %+v", c.Run)
	}
	return c
}

func (b *bench) once() (run store.Run, took time.Duration) {
	b.Helper()
	began := time.Now()
	runs, err := b.runners[0].Once(b.Context(), sync.Request{Kind: store.Once})
	took = time.Since(began)
	if err != nil || len(runs) != 1 {
		b.Fatalf("%d runs, %v", len(runs), err)
	}
	return runs[0], took
}

// daemons starts the replicas together, and returns their common run and how long it took.
func (b *bench) daemons() (run store.Run, took time.Duration) {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	ended, stopped := make(chan store.Run, len(b.runners)), make(chan error, len(b.runners))
	began := time.Now()
	for _, r := range b.runners {
		r.OnRun = func(run store.Run) { ended <- run }
		go func() { stopped <- r.Run(ctx) }()
	}
	select {
	case run = <-ended:
		took = time.Since(began)
	case <-b.Context().Done():
	}
	stop()
	for range b.runners {
		if err := <-stopped; err != nil {
			b.Error(err)
		}
	}
	return run, took
}

// median returns the middle value, the greater of two.
func median[T int64 | uint64 | float64 | time.Duration](values []T) T {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/2]
}
