package main

import (
	"testing"
	"time"

	"partnersync/store/storetest"
)

// BenchmarkCitus makes the same passes on one PostgreSQL server and on a Citus cluster of three on the same machine, by
// turns: deploy/bench --citus. The times of a pass on the cluster are compared with those on the single server.
func BenchmarkCitus(b *testing.B) {
	if !storetest.IsCitus() {
		b.Skip("allowed: only deploy/bench --citus has a cluster")
	}
	for _, s := range []size{wholeSize, {50, 20, 100}} {
		b.Run(s.String(), func(b *testing.B) {
			plain := newBench(b, shortened(s), defaultWorkers)
			p := pair{plain: plain, cluster: plain.onCluster()}
			b.Run("first", func(b *testing.B) { p.compare(b, 2, (*bench).load) })
			p.plain.loaded()
			p.cluster.loaded()
			for range plain.connections { // until they have prepared their statements
				p.plain.pass()
				p.cluster.pass()
			}
			b.Run("unchanged", func(b *testing.B) { p.compare(b, 1.7, (*bench).pass) })
			b.Run("1 percent", func(b *testing.B) {
				p.before = func() {
					plain.api.order(b, order{Change: 0.01})
					plain.fetched() // the emulator writes its answers
				}
				p.compare(b, 3, (*bench).pass)
			})
		})
	}
}

// pair is the same on one server and on a cluster.
type pair struct {
	plain, cluster *bench
	before         func() // each pass; nil: nothing
}

// compare measures passes on both by turns, and fails if those on the cluster take more than so many times as long.
func (p pair) compare(b *testing.B, most float64, pass func(*bench) cost) {
	parent := p.plain.TB
	p.plain.TB, p.cluster.TB = b, b
	defer func() { p.plain.TB, p.cluster.TB = parent, parent }()
	var plain, cluster []time.Duration
	for b.Loop() {
		for took := time.Duration(0); took == 0 || took < time.Second && len(cluster) < 12*b.N; {
			if p.before != nil {
				p.before()
			}
			one, other := pass(p.plain), pass(p.cluster)
			if one.Inserted != other.Inserted || one.Changed != other.Changed || one.Removed != other.Removed {
				b.Errorf("on one server %+v, on the cluster %+v", one.Run, other.Run)
			}
			plain, cluster, took = append(plain, one.took), append(cluster, other.took), took+one.took+other.took
		}
	}
	times := float64(median(cluster)) / float64(median(plain))
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(median(cluster).Microseconds())/1000, "ms")
	b.ReportMetric(float64(median(plain).Microseconds())/1000, "plain-ms")
	b.ReportMetric(times, "x/plain")
	if !testing.Short() {
		p.plain.atMost("times one server", times, most)
	}
}
