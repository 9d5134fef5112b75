package main

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/store"
	"partnersync/sync"
	"partnersync/sync/partnercenter"
	"partnersync/sync/partnercenter/partnercentertest"
)

// bench is what a benchmark runs on: the emulator in a process of its own, a server, and a worker that is this process.
type bench struct {
	testing.TB            // the benchmark that runs
	parent     testing.TB // which fails where a target is missed: of one that fails itself Go shows no figures
	size
	workers
	devices   bool // device lists are read, when they are due
	generated bool // the database was filled otherwise: there is no first load
	uploaders bool // what changes in a batch is who uploaded it
	api       *emulator
	fetch     *fetcher
	server    *benchServer
	db        *benchDatabase
	counted   *statements
	pools     []*pgxpool.Pool // one of each replica
	loads     []time.Duration // how long each first load took
}

// workers are what makes the passes.
type workers struct {
	concurrency int // of requests
	connections int // to the database, of each replica
	replicas    int // 0: one, which makes a pass with --once; else so many daemons
}

// defaultWorkers is one worker as it is where its configuration says nothing.
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

// fresh begins with an empty database.
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

// loaded makes sure that there is a database in line with the API.
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
		b.pools = append(b.pools, b.db.pool(b, b.connections, b.counted))
	}
}

func (b *bench) close() {
	for _, p := range b.pools {
		p.Close()
	}
	b.pools = nil
}

// written returns how many rows of partner_center there have been written. The replicas connect anew.
func (b *bench) written() int64 {
	b.Helper()
	b.close()
	defer b.open()
	return b.db.written(b)
}

// runner returns a worker over the pool whose ticks are so far apart.
func (b *bench) runner(pool *pgxpool.Pool, apart time.Duration) *sync.Runner {
	b.Helper()
	tokens, err := partnercenter.NewTokenSource(partnercenter.Credentials{
		AuthorityURL: b.api.url, TenantID: partnercentertest.DefaultTenantID, ClientID: partnercentertest.DefaultClientID,
		ClientSecret: partnercentertest.DefaultClientSecret, Scope: "https://api.partnercenter.microsoft.com/.default",
	}, partnercenter.TokenOptions{})
	if err != nil {
		b.Fatal(err)
	}
	limiter := partnercenter.NewLimiter(0)
	client, err := partnercenter.New(partnercenter.Options{BaseURL: b.api.url, Tokens: tokens, Limiter: limiter})
	if err != nil {
		b.Fatal(err)
	}
	schedule, err := sync.ParseSchedule("@every "+apart.String(), time.UTC)
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

// cost is what a pass took.
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
	runners := make([]*sync.Runner, len(b.pools))
	for i, pool := range b.pools {
		runners[i] = b.runner(pool, 24*time.Hour)
	}
	return b.measured(func() (store.Run, time.Duration) {
		if b.replicas > 0 {
			return b.daemons(runners)
		}
		began := time.Now()
		run := b.once(runners[0])
		return run, time.Since(began)
	})
}

// measured measures what a pass takes beside time.
func (b *bench) measured(pass func() (store.Run, time.Duration)) (c cost) {
	b.Helper()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	statements, logged := b.counted.count(), b.server.logged(b)
	c.Run, c.took = pass()
	runtime.ReadMemStats(&after)
	c.statements, c.logged = b.counted.count()-statements, b.server.logged(b)-logged
	c.allocations = after.Mallocs - before.Mallocs
	if c.State != store.Complete || c.CustomersOK != b.Customers {
		b.Fatalf("the pass did not do all customers: %+v", c.Run)
	}
	return c
}

func (b *bench) once(r *sync.Runner) store.Run {
	b.Helper()
	runs, err := r.Once(b.Context(), sync.Request{Kind: store.Once})
	if err != nil || len(runs) != 1 {
		b.Fatalf("%d runs, %v", len(runs), err)
	}
	return runs[0]
}

// ticking starts a daemon, as it is between two ticks of its schedule: connected, and with a token. pass measures the pass of
// the next tick, from the moment that it is for.
func (b *bench) ticking() (pass func() cost, stop func()) {
	b.Helper()
	apart := time.Second
	if b.Customers >= 5000 {
		apart = 20 * time.Second
	}
	r := b.runner(b.pools[0], apart)
	r.RunOnStart = false
	type end struct {
		store.Run
		at time.Time
	}
	ended, stopped := make(chan end, 1000), make(chan error, 1)
	r.OnRun = func(run store.Run) { ended <- end{run, time.Now()} }
	ctx, cancel := context.WithCancel(b.Context())
	go func() { stopped <- r.Run(ctx) }()
	<-ended // it has signed in
	pass = func() cost {
		// What goes on in between is no part of the pass, such as autovacuum's log.
		<-time.After(time.Until(r.Partners[0].Schedule.Next(time.Now())) - 50*time.Millisecond)
		for len(ended) > 0 {
			<-ended
		}
		return b.measured(func() (store.Run, time.Duration) {
			e := <-ended
			return e.Run, e.at.Sub(e.ScheduledFor)
		})
	}
	return pass, func() {
		cancel()
		if err := <-stopped; err != nil {
			b.Error(err)
		}
	}
}

// daemons starts the replicas together, and returns their common run and when it was over.
func (b *bench) daemons(runners []*sync.Runner) (run store.Run, took time.Duration) {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	ended, stopped := make(chan store.Run, len(runners)), make(chan error, len(runners))
	began := time.Now()
	for _, r := range runners {
		r.OnRun = func(run store.Run) { ended <- run }
		go func() { stopped <- r.Run(ctx) }()
	}
	select {
	case run = <-ended:
		took = time.Since(began)
	case <-b.Context().Done():
	}
	stop()
	for range runners {
		if err := <-stopped; err != nil {
			b.Error(err)
		}
	}
	return run, took
}

// median returns the middle one of the values, the greater of two.
func median[T int64 | uint64 | float64 | time.Duration](values []T) T {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/2]
}
