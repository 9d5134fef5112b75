//go:build unix

package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"partnersync/store/historytest"
	"partnersync/sync/partnercenter/partnercentertest"
)

// TestTrial_replicasUnderFire lets three replicas work for half a minute, and for an hour in the long form, while two
// of them are killed by turns, one request in twenty fails, and a token lives for ten seconds.
func TestTrial_replicasUnderFire(t *testing.T) {
	t.Parallel()
	long, pause := 30*time.Second, 4*time.Second
	if *soak {
		long, pause = *soakFor, 40*time.Second
	}
	db := trialDatabase(t)
	tr := newTrial(t, 300, db.Pool, partnercentertest.Options{TokenLifetime: 10 * time.Second})
	interval := 2 * time.Second
	if *soak {
		interval = 10 * time.Second
	}
	tr.schedule, tr.listen = "@every "+interval.String(), "127.0.0.1:0"
	tr.batchesStay = *soak // one that vanishes just before its devices are asked for is a failure of its customer
	stop := tr.mutate(50 * time.Millisecond)
	url := tr.serve(nil)
	tr.failAtTimes()
	for range 3 {
		tr.replica(url, db.URL)
	}
	watch := &watch{trial: tr}
	for begin := time.Now(); time.Since(begin) < long; {
		tr.wait(pause)
		victim := tr.replicas[1+tr.rand.IntN(2)]
		victim.kill()
		victim.start()
		watch.look()
	}
	stop()
	tr.api.ClearFaults()
	tr.settle(historytest.Options{})
	tr.punctual(interval)
	watch.flat()
}

// failAtTimes makes one request in twenty fail, in one of five ways.
func (tr *trial) failAtTimes() {
	for _, f := range []partnercentertest.Fault{
		{Status: 503},
		{Status: 500},
		{Status: 429, RetryAfter: "1"},
		{Reset: true},
		{ResetBody: true},
	} {
		f.Share = 0.01
		tr.api.Fail(f)
	}
}

// punctual looks at how many of the customers that were due at each tick were synced before the next: by the best of
// the runs that ended in between, since replicas that start make runs of their own. The ticks while the trial begins
// and settles do not count.
func (tr *trial) punctual(interval time.Duration) {
	tr.t.Helper()
	const query = `
		SELECT coalesce(sum((
		           SELECT max(customers_ok) FROM partner_center.sync_runs
		           WHERE finished_at > tick AND finished_at <= tick + @interval::interval)), 0), count(*) * @customers
		FROM (
		    SELECT min(scheduled_for) AS first FROM partner_center.sync_runs
		    WHERE extract(epoch FROM scheduled_for) % extract(epoch FROM @interval::interval) = 0
		) r, generate_series(first, @last_change::timestamptz - @interval::interval, @interval::interval) AS tick`
	args := pgx.NamedArgs{"interval": interval, "customers": trialCustomers, "last_change": tr.lastChange}
	var synced, due float64
	if err := tr.pool.QueryRow(tr.t.Context(), query, args).Scan(&synced, &due); err != nil {
		tr.t.Fatal(err)
	}
	tr.t.Logf("%.0f of %.0f customers were synced within their interval: %.2f %%", synced, due, 100*synced/due)
	if *soak && synced < 0.999*due {
		tr.t.Error("want 99.9 % at least")
	}
}

// watch measures the replica that is never killed.
type watch struct {
	*trial
	seen []measures
}

// measures are what a process takes at a time.
type measures struct{ memory, threads, goroutines, connections int }

// look measures, on Linux alone.
func (w *watch) look() {
	w.t.Helper()
	r := w.replicas[0]
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	if err != nil {
		if runtime.GOOS == "linux" {
			w.t.Error(err)
		}
		return
	}
	m := measures{memory: field(string(status), "VmRSS:"), threads: field(string(status), "Threads:"),
		goroutines: w.goroutines(r)}
	const query = `SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()`
	if err := w.pool.QueryRow(w.t.Context(), query, r.name).Scan(&m.connections); err != nil {
		w.t.Error(err)
	}
	// What a pool and the heartbeat have, and as many that the server has not noticed to be gone.
	if limit := 2 * (4 + 1); m.connections > limit {
		w.t.Errorf("%d connections, want at most %d", m.connections, limit)
	}
	w.seen = append(w.seen, m)
}

// goroutines asks the replica how many it has, at the address of which its log tells.
func (w *watch) goroutines(r *replica) int {
	w.t.Helper()
	const listening = `"msg":"listening","address":"`
	var address string
	w.until("the replica to listen", func() bool {
		_, rest, found := strings.Cut(string(r.output()), listening)
		address, _, _ = strings.Cut(rest, `"`)
		return found
	})
	resp, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		w.t.Error(err)
		return 0
	}
	defer resp.Body.Close()
	metrics, err := io.ReadAll(resp.Body)
	n := field(string(metrics), "\ngo_goroutines ")
	if err != nil || n == 0 {
		w.t.Errorf("%d goroutines, %v", n, err)
	}
	return n
}

// field returns the number after a name.
func field(text, name string) int {
	_, rest, _ := strings.Cut(text, name)
	n, _ := strconv.Atoi(strings.Fields(rest + " 0")[0])
	return n
}

// flat compares the second quarter of what was measured with the last: in the long form it must not have grown by more
// than a quarter, or a little.
func (w *watch) flat() {
	w.t.Helper()
	quarter := len(w.seen) / 4
	if quarter == 0 {
		return
	}
	before, after := most(w.seen[quarter:2*quarter]), most(w.seen[3*quarter:])
	w.t.Logf("at most, then and at last: %d and %d KiB, %d and %d threads, %d and %d goroutines, %d and %d connections",
		before.memory, after.memory, before.threads, after.threads, before.goroutines, after.goroutines,
		before.connections, after.connections)
	if !*soak {
		return
	}
	grown := func(before, after, little int) bool { return 4*after > 5*before+4*little }
	if grown(before.memory, after.memory, 4096) || grown(before.threads, after.threads, 2) ||
		grown(before.goroutines, after.goroutines, 10) || after.connections > before.connections+2 {
		w.t.Errorf("from %+v to %+v is not flat", before, after)
	}
}

func most(seen []measures) (m measures) {
	for _, s := range seen {
		m = measures{max(m.memory, s.memory), max(m.threads, s.threads), max(m.goroutines, s.goroutines),
			max(m.connections, s.connections)}
	}
	return m
}
