package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	stdsync "sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"partnersync/store"
	"partnersync/store/cron"
	"partnersync/sync"
	"partnersync/sync/partnercenter"
	"partnersync/sync/partnercenter/partnercentertest"
	"partnersync/sync/passtest"
)

// noticeScale is a large partner, scaled in time: a tick of 15 s with 30,000 requests a minute stands for one of 15 min
// with 500. One customer in twenty has a batch in motion.
type noticeScale struct {
	customers, perMinute int
	tick                 time.Duration
}

func (s noticeScale) inMotion() int { return s.customers / 20 }

// noticeTicks is how long changes are made for; those of the second half have as long again to be noticed.
const noticeTicks = 12

// BenchmarkNotice measures how long it takes until a change at the API is noticed: its status in the batches' history by
// the time at which the API had it. It compares that with a client that asks for the batches and policies of all customers
// in a fixed order, over and over, at the same rate.
func BenchmarkNotice(b *testing.B) {
	s := noticeScale{customers: 20_000, perMinute: 30_000, tick: 15 * time.Second}
	if testing.Short() {
		s = noticeScale{customers: 2000, perMinute: 9000, tick: 5 * time.Second}
	}
	for _, replicas := range []int{1, 2} {
		parent := b
		b.Run(fmt.Sprint(replicas), func(b *testing.B) {
			on := newNoticing(b, s)
			on.parent = parent
			b.ResetTimer()
			on.live(replicas)
			b.StopTimer()
			on.report()
		})
	}
}

// noticed is a status that a batch got at the API.
type noticed struct {
	customer string
	status   string // of no other change
	at       time.Time
	atRest   bool      // the customer was
	fixed    time.Time // when the client with the fixed order saw it; zero: it has not
}

// noticing is what BenchmarkNotice runs on.
type noticing struct {
	*testing.B
	noticeScale
	api *partnercentertest.Emulator
	url string
	db  *benchDatabase

	parent testing.TB // it fails where a target is missed, since Go shows no figures of a benchmark that fails

	mu      stdsync.Mutex
	changes []*noticed
	of      map[string][]*noticed // by customer
}

// newNoticing fills the API and the database.
func newNoticing(b *testing.B, s noticeScale) *noticing {
	b.Helper()
	on := &noticing{B: b, noticeScale: s, api: partnercentertest.New(partnercentertest.Options{LogSize: 1})}
	on.of = map[string][]*noticed{}
	server := httptest.NewServer(on.api)
	b.Cleanup(server.Close)
	on.url, on.db = server.URL, startServer(b).create(b)
	for c := range s.customers {
		id := customerID(c)
		on.api.AddCustomer(partnercentertest.Customer{ID: id})
		on.put(id, "done", "finished")
		if c < s.inMotion() {
			on.put(id, "in motion", "queued")
		}
	}
	r := on.runner(0)
	if runs, err := r.Once(b.Context(), sync.Request{Kind: store.Once}); err != nil || runs[0].State != store.Complete {
		b.Fatalf("the first load: %+v, %v", runs, err)
	}
	return on
}

func (on *noticing) put(customer, batch, status string) {
	on.api.PutBatch(customer, partnercentertest.Batch{ID: batch, Status: status, Created: created})
}

// runner returns a worker with connections of its own, limited to so many requests a minute.
func (on *noticing) runner(perMinute int) *sync.Runner {
	on.Helper()
	pool := on.db.pool(on, defaultWorkers.connections, nil)
	on.Cleanup(pool.Close)
	limiter := partnercenter.NewLimiter(perMinute)
	client, _ := passtest.Client(on, partnercenter.Options{BaseURL: on.url, Limiter: limiter})
	schedule, err := cron.Parse("@every "+on.tick.String(), time.UTC)
	if err != nil {
		on.Fatal(err)
	}
	return &sync.Runner{
		Store: store.New(pool, store.Options{Version: "benchmark"}), RunOnStart: true,
		Partners: []sync.Partner{{
			Name: "contoso", Client: client, Limiter: limiter, Schedule: schedule, Policies: true,
			Concurrency: defaultWorkers.concurrency, RequestsPerMinute: perMinute,
		}},
	}
}

// live lets replicas run while the API changes, and beside them the client with the fixed order.
func (on *noticing) live(replicas int) {
	on.Helper()
	ctx, stop := context.WithTimeout(on.Context(), noticeTicks*on.tick)
	defer stop()
	var g stdsync.WaitGroup
	for range replicas {
		r := on.runner(on.perMinute)
		g.Go(func() {
			if err := r.Run(ctx); err != nil {
				on.Error(err)
			}
		})
	}
	g.Go(func() { on.pollInFixedOrder(ctx) })
	g.Go(func() { on.change(ctx) })
	g.Wait()
}

// change gives a tenth of the batches in motion another status in each tick, and some customers at rest a new batch.
func (on *noticing) change(ctx context.Context) {
	random, every := rand.New(rand.NewPCG(1, 2)), on.tick/time.Duration(on.inMotion()/10)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if n%5 == 0 {
			c := on.inMotion() + random.IntN(on.customers-on.inMotion())
			on.changed(customerID(c), fmt.Sprintf("new %d", n), fmt.Sprintf("finished_%06d", n), true)
			continue
		}
		on.changed(customerID(random.IntN(on.inMotion())), "in motion", fmt.Sprintf("step_%06d", n), false)
	}
}

func (on *noticing) changed(customer, batch, status string, atRest bool) {
	on.mu.Lock()
	defer on.mu.Unlock()
	earlier := on.of[customer]
	if n := len(earlier); n > 0 && (atRest || time.Since(earlier[n-1].at) < 2*on.tick) {
		return // it is at rest no more, or the change before may not have been noticed yet
	}
	c := &noticed{customer: customer, status: status, at: time.Now(), atRest: atRest}
	on.changes, on.of[customer] = append(on.changes, c), append(earlier, c)
	on.put(customer, batch, status)
}

// pollInFixedOrder asks for the batches and policies of one customer after the other.
func (on *noticing) pollInFixedOrder(ctx context.Context) {
	f := newFetcher(on, on.url, defaultWorkers.concurrency)
	limit := rate.NewLimiter(rate.Limit(on.perMinute)/60, 1)
	var g stdsync.WaitGroup
	next := make(chan int)
	for range defaultWorkers.concurrency {
		g.Go(func() {
			for c := range next {
				on.look(ctx, f, limit, customerID(c%on.customers))
			}
		})
	}
	for c := 0; ctx.Err() == nil; c++ {
		select {
		case next <- c:
		case <-ctx.Done():
		}
	}
	close(next)
	g.Wait()
}

func (on *noticing) look(ctx context.Context, f *fetcher, limit *rate.Limiter, customer string) {
	for _, list := range []string{"deviceBatches", "policies"} {
		var body bytes.Buffer
		if limit.Wait(ctx) != nil {
			return
		}
		if _, err := f.copy(ctx, "/v1/customers/"+customer+"/"+list, &body); err != nil {
			return // at the end
		}
		on.mu.Lock()
		all := on.of[customer]
		if n := len(all); n > 0 && bytes.Contains(body.Bytes(), []byte(all[n-1].status)) {
			for _, c := range all { // whichever status it has come over, something is known to have changed
				if c.fixed.IsZero() {
					c.fixed = time.Now()
				}
			}
		}
		on.mu.Unlock()
	}
}

// report reports how long the changes of the first half took to be noticed, in ticks and in rounds.
func (on *noticing) report() {
	on.Helper()
	conn := connection(on, on.db.url())
	var round time.Duration
	if err := conn.QueryRow(on.Context(), "SELECT round FROM partnersync.partner_state").Scan(&round); err != nil {
		on.Fatal(err)
	}
	from, to := on.changes[0].at.Add(on.tick), on.changes[0].at.Add(noticeTicks*on.tick/2)
	took, fixed := map[bool][]float64{}, map[bool][]float64{}
	for _, c := range on.changes {
		if c.at.Before(from) || c.at.After(to) {
			continue
		}
		const query = "SELECT coalesce(min(valid_from), 'infinity'::timestamptz) FROM partner_center.device_batch_history WHERE customer_id = $1 AND status = $2"
		var at *time.Time
		err := conn.QueryRow(on.Context(), "SELECT nullif(("+query+"), 'infinity')", c.customer, c.status).Scan(&at)
		switch {
		case err != nil:
			on.Fatal(err)
		case at == nil:
			on.Errorf("the change of customer %s to %s was never noticed", c.customer, c.status)
		default:
			took[c.atRest] = append(took[c.atRest], at.Sub(c.at).Seconds())
		}
		if !c.fixed.IsZero() {
			fixed[c.atRest] = append(fixed[c.atRest], c.fixed.Sub(c.at).Seconds())
		}
	}
	tick := on.tick.Seconds()
	motion, rest := quantiles(took[false], tick), quantiles(took[true], round.Seconds())
	fixedOrder := quantiles(fixed[false], tick)
	on.ReportMetric(0, "ns/op")
	on.ReportMetric(motion[0], "motion-median-ticks")
	on.ReportMetric(motion[1], "motion-p95-ticks")
	on.ReportMetric(fixedOrder[0], "fixed-median-ticks")
	on.ReportMetric(fixedOrder[1], "fixed-p95-ticks")
	on.ReportMetric(rest[0], "rest-median-rounds")
	on.ReportMetric(rest[1], "rest-p95-rounds")
	on.ReportMetric(round.Seconds()/tick, "round-ticks")
	if testing.Short() {
		return
	}
	for what, bound := range map[string][2]float64{
		"ticks until a batch in motion is noticed (median)":       {motion[0], 0.6},
		"ticks until a batch in motion is noticed (95 %)":         {motion[1], 1.1},
		"rounds until a customer at rest is noticed (median)":     {rest[0], 0.6},
		"rounds until a customer at rest is noticed (95 %)":       {rest[1], 1.1},
		"of the time that a fixed order takes for what is moving": {motion[0] / fixedOrder[0], 0.2},
	} {
		if bound[0] > bound[1] {
			on.parent.Errorf("%s: %.3g %s, want at most %.3g", on.Name(), bound[0], what, bound[1])
		}
	}
}

// quantiles returns the median and the 95th percentile, in a unit.
func quantiles(seconds []float64, unit float64) [2]float64 {
	if len(seconds) == 0 {
		return [2]float64{}
	}
	sorted := slices.Sorted(slices.Values(seconds))
	return [2]float64{sorted[len(sorted)/2] / unit, sorted[len(sorted)*95/100] / unit}
}
