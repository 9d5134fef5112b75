package main

import (
	"fmt"
	"testing"
	"time"
)

// What a pass costs, measured with the real client, the emulated API in a process of its own, and a real
// PostgreSQL. deploy/bench runs all of it, some minutes long, and prints a table. By hand:
//
//	go test ./cmd/partnersync -run '^$' -bench Pass/50x2000 -benchtime 5x
//
// Each figure is the median over all passes: one in each iteration, and several where a target is about their time.
// A limit is what a pass cannot do without: the same requests with the answers thrown away (fetch), and the same
// rows by COPY into one bare table (copy). Limits and passes alternate without a pause, so that both find the
// machine in the same state: after some idling a statement can take thirty times as long. A benchmark fails where a
// pass costs more than it should. -short takes a twentieth of the customers and has no targets of time.

// wholeSize are the lists that the targets are about.
var wholeSize = size{Customers: 50, Batches: 2000}

// shortened returns the size to use.
func shortened(s size) size {
	if testing.Short() {
		s.Customers = max(1, s.Customers/20)
	}
	return s
}

// BenchmarkPass makes passes over lists of several lengths.
func BenchmarkPass(b *testing.B) {
	for _, s := range []size{{1000, 20, 0}, {500, 200, 0}, wholeSize, {1, 50_000, 0}, {50, 20, 100}} {
		b.Run(s.String(), func(b *testing.B) {
			on := newBench(b, shortened(s), defaultWorkers)
			b.Run("first", on.first)
			b.Run("unchanged", on.unchanged)
			b.Run("1 percent", func(b *testing.B) { on.changed(b, 0.01) })
			b.Run("10 percent", func(b *testing.B) { on.changed(b, 0.1) })
		})
	}
}

// BenchmarkConcurrency makes passes with different numbers of concurrent requests and connections to the database.
func BenchmarkConcurrency(b *testing.B) {
	for _, n := range []int{1, 4, 8, 16} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			on := newBench(b, shortened(wholeSize), workers{concurrency: n, connections: n})
			b.Run("first", on.first)
			b.Run("unchanged", on.unchanged)
		})
	}
}

// BenchmarkCustomers makes passes over many customers with short lists.
func BenchmarkCustomers(b *testing.B) {
	for _, n := range []int{1000, 20_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			on := newBench(b, shortened(size{Customers: n, Batches: 20}), defaultWorkers)
			b.Run("unchanged", on.unchanged)
		})
	}
}

// BenchmarkReplicas lets several daemons share a pass. They run in this process, each with its own connections.
func BenchmarkReplicas(b *testing.B) {
	for _, n := range []int{1, 3} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := defaultWorkers
			w.replicas = n
			on := newBench(b, shortened(size{Customers: 1000, Batches: 20}), w)
			b.Run("first", on.first)
			b.Run("unchanged", on.unchanged)
		})
	}
}

// measurement is what a pass cost, and its limits.
type measurement struct {
	cost
	fetched, copied time.Duration
	rewritten       int64 // bytes of log
}

func (m measurement) limit() time.Duration { return m.fetched + m.copied }

// targeted reports whether the targets of time are about these passes.
func (on *bench) targeted() bool { return on.size == wholeSize && on.workers == defaultWorkers }

// iterate measures a pass in each iteration. Times scatter, those of short passes most: where there are targets of
// time, it measures a dozen passes, or as many as take a second.
func (on *bench) iterate(b *testing.B, measure func() measurement) (all []measurement) {
	for b.Loop() {
		took := time.Duration(0)
		for n := 0; n == 0 || on.targeted() && n < 12 && took < time.Second; n++ {
			m := measure()
			all, took = append(all, m), took+m.took
		}
	}
	return all
}

// first loads an empty database.
func (on *bench) first(b *testing.B) {
	on.TB = b
	all := on.iterate(b, func() (m measurement) {
		m.fetched = on.fetched()
		on.fresh()
		m.copied = on.db.copied(b, on.size, on.connections)
		m.cost = on.load()
		return m
	})
	on.report(b, all, on.rows())
	if testing.Short() || !on.targeted() {
		return
	}
	on.atMost("times fetch and copy", middle(all, measurement.times), 1.7)
	on.atLeast("rows/s", middle(all, on.rate), 160_000)
}

// unchanged makes passes in which nothing has changed.
func (on *bench) unchanged(b *testing.B) {
	on.TB = b
	on.loaded()
	before := on.written()
	for range on.connections { // until they have prepared their statements
		on.pass()
	}
	all := on.iterate(b, func() (m measurement) {
		m.fetched = on.fetched()
		m.cost = on.pass()
		if m.Inserted+m.Changed+m.Removed != 0 {
			b.Errorf("%d new, %d changed, %d removed rows, want none", m.Inserted, m.Changed, m.Removed)
		}
		return m
	})
	if n := on.written() - before; n != 0 {
		b.Errorf("%d rows of partner_center were written, want none", n)
	}
	on.report(b, all, 0)
	if on.rows() >= 50_000 && on.list() >= 2000 {
		on.atMost("allocations a row: rows are decoded", middle(all, on.allocationsOfRow), 0.5)
	}
	if testing.Short() || on.devices {
		return
	}
	if on.Customers > 1 { // else it is the run's own
		on.atMost("bytes of log a customer", middle(all, on.loggedOfCustomer), 650)
	}
	switch {
	case on.targeted():
		on.atMost("times fetch", middle(all, measurement.times), 1.7)
	case on.Customers >= 20_000:
		on.atLeast("customers/s beyond fetch", middle(all, on.customersBeyondFetch), 8000)
		on.atMost("statements a customer", middle(all, on.statementsOfCustomer), 0.2)
	}
}

// changed makes passes in which a share of each list has changed.
func (on *bench) changed(b *testing.B, share float64) {
	on.TB = b
	for len(on.loads) < 3 && !on.generated {
		on.load()
	}
	on.loaded()
	all := on.iterate(b, func() (m measurement) {
		on.api.order(b, order{Change: share})
		on.fetched() // the emulator writes its answers
		m.fetched = on.fetched()
		m.cost = on.pass()
		if on.Devices == 0 && !on.generated {
			m.rewritten = on.db.rewritten(b, on.size, share)
		}
		if want := int64(on.size.changed(share)); m.Changed != want || m.Inserted+m.Removed != 0 {
			b.Errorf("%d changed, %d new, %d removed rows, want %d changed ones", m.Changed, m.Inserted, m.Removed, want)
		}
		return m
	})
	on.report(b, all, on.size.changed(share))
	if on.Devices > 0 || on.generated {
		return
	}
	ofLoad := middle(all, func(m measurement) float64 { return float64(m.took) / float64(median(on.loads)) })
	b.ReportMetric(ofLoad, "x/first")
	beyond := middle(all, func(m measurement) float64 { return float64(m.logged-m.rewritten) / float64(m.Changed) })
	b.ReportMetric(beyond, "extra-WAL-B/row")
	if testing.Short() || !on.targeted() || share > 0.01 {
		return
	}
	on.atMost("times the first load", ofLoad, 1.1)
	on.atMost("bytes of log a changed row beyond what the tables' pages take", beyond, 100)
}

// fetched returns how long it takes to fetch all lists as they are now.
func (on *bench) fetched() time.Duration {
	took, _ := on.fetch.all(on, on.size, on.concurrency)
	return took
}

// The figures of a measurement.

func (m measurement) times() float64 { return float64(m.took) / float64(m.limit()) }

func (on *bench) rate(m measurement) float64 { return float64(on.rows()) / m.took.Seconds() }

func (on *bench) allocationsOfRow(m measurement) float64 {
	return float64(m.allocations) / float64(on.rows())
}

func (on *bench) loggedOfCustomer(m measurement) float64 {
	return float64(m.logged) / float64(on.Customers)
}

func (on *bench) statementsOfCustomer(m measurement) float64 {
	return float64(m.statements) / float64(on.Customers)
}

func (on *bench) customersBeyondFetch(m measurement) float64 {
	return float64(on.Customers) / max(m.took-m.fetched, time.Millisecond).Seconds()
}

// middle returns the median of a figure.
func middle(all []measurement, figure func(measurement) float64) float64 {
	values := make([]float64, len(all))
	for i, m := range all {
		values[i] = figure(m)
	}
	return median(values)
}

// report reports the medians; written is how many rows a pass writes.
func (on *bench) report(b *testing.B, all []measurement, written int) {
	milliseconds := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(0, "ns/op") // limits included: it says nothing
	b.ReportMetric(middle(all, func(m measurement) float64 { return milliseconds(m.took) }), "ms")
	b.ReportMetric(middle(all, func(m measurement) float64 { return milliseconds(m.limit()) }), "limit-ms")
	b.ReportMetric(middle(all, measurement.times), "x/limit")
	b.ReportMetric(middle(all, on.rate), "rows/s")
	b.ReportMetric(middle(all, on.loggedOfCustomer), "WAL-B/customer")
	b.ReportMetric(middle(all, on.statementsOfCustomer), "stmts/customer")
	b.ReportMetric(middle(all, on.allocationsOfRow), "allocs/row")
	if written > 0 {
		ofRow := func(n int64) float64 { return float64(n) / float64(written) }
		b.ReportMetric(middle(all, func(m measurement) float64 { return ofRow(m.logged) }), "WAL-B/row")
		b.ReportMetric(middle(all, func(m measurement) float64 { return ofRow(m.statements) }), "stmts/row")
	}
}

// atMost fails the benchmark if a figure is greater than it may be.
func (on *bench) atMost(what string, got, most float64) {
	on.Helper()
	if got > most {
		on.parent.Errorf("%s: %.4g %s, want at most %.4g", on.Name(), got, what, most)
	}
}

// atLeast fails the benchmark if a figure is smaller than it must be.
func (on *bench) atLeast(what string, got, least float64) {
	on.Helper()
	if got < least {
		on.parent.Errorf("%s: %.4g %s, want at least %.4g", on.Name(), got, what, least)
	}
}
