//go:build unix

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"partnersync/store/historytest"
	"partnersync/store/storetest"
	"partnersync/sync/partnercenter/partnercentertest"
)

// TestTrial_connectionsDieSilently has the network forget the daemon's connections twice, and thirty times in the long
// form, while it waits for the next tick: new ones work.
func TestTrial_connectionsDieSilently(t *testing.T) {
	t.Parallel()
	rounds := 2
	if *soak {
		rounds = 30
	}
	db := trialDatabase(t)
	tr := newTrial(t, 400, db.Pool, partnercentertest.Options{})
	tr.schedule = "@every 5s"
	stop := tr.mutate(50 * time.Millisecond)
	tr.mark("begin")
	p := storetest.NewProxy(t, db.URL)
	r := tr.replica(tr.serve(nil), p.URL+"&connect_timeout=1") // which limits pings, too
	tr.awaitMark("begin")
	for n := range rounds {
		tr.until("the daemon to be idle", func() bool {
			const query = `
				SELECT NOT EXISTS (SELECT FROM partner_center.sync_runs WHERE state = 'running')
				   AND extract(epoch FROM clock_timestamp())::numeric % 5 < 4
				   AND clock_timestamp() - max(finished_at) > interval '1.2 seconds'
				FROM partner_center.sync_runs`
			var idle bool
			return db.Pool.QueryRow(t.Context(), query).Scan(&idle) == nil && idle
		})
		p.DropConnections()
		status := fmt.Sprint("round ", n)
		tr.mark(status)
		tr.awaitMark(status)
	}
	stop()
	tr.settle(historytest.Options{OneProcess: true})

	// A daemon that cannot reach its database at all ends in good time, too.
	r.start()
	tr.mark("again")
	tr.awaitMark("again")
	p.Silent.Store(true)
	began := time.Now()
	r.end()
	took := time.Since(began)
	t.Logf("it ended after %.1f s", took.Seconds())
	if *soak && took > 10*time.Second {
		t.Errorf("it ended after %s, want 10s at most", took)
	}
}

// TestTrial_commitsArriveLate breaks the connections of commits, and has these get to the server when the daemon has
// tried again already: some six of them, and a hundred in the long form.
func TestTrial_commitsArriveLate(t *testing.T) {
	t.Parallel()
	commits := 6
	if *soak {
		commits = 100
	}
	db := trialDatabase(t)
	tr := newTrial(t, 500, db.Pool, partnercentertest.Options{})
	stop := tr.mutate(20 * time.Millisecond)
	p := storetest.NewProxy(t, db.URL)
	var late atomic.Int64
	p.Delay = func() time.Duration {
		if late.Load() >= int64(commits) || rand.IntN(10) > 0 {
			return 0
		}
		late.Add(1)
		return rand.N(2 * time.Second) // some after the session was ended for its silence
	}
	tr.replica(tr.serve(nil), p.URL)
	tr.until("the commits to be late", func() bool { return late.Load() >= int64(commits) })
	stop()
	tr.settle(historytest.Options{OneProcess: true})
}

// TestTrial_listsChangeBetweenPages deletes a device, of a batch that stays, just before the second page of the list is
// sent, and puts it back: it must never be recorded as removed.
func TestTrial_listsChangeBetweenPages(t *testing.T) {
	t.Parallel()
	moves := 30
	if *soak {
		moves = 3000
	}
	const steady = "steady"
	db := trialDatabase(t)
	tr := newTrial(t, 600, db.Pool, partnercentertest.Options{})
	stop := tr.mutate(20 * time.Millisecond)
	put := func(c, i int) {
		tr.api.PutDevice(customerID(c), batchID(i), partnercentertest.Device{ID: steady, SerialNumber: "serial"})
	}
	for c := range trialCustomers {
		for i := range lasting {
			put(c, i)
		}
	}
	var mu sync.Mutex
	// How often a list was changed; whether it is to be in this reading; and when it was last.
	n, due, moved := 0, map[string]bool{}, map[string]time.Time{}
	rests := false // nothing is changed any more
	tr.replica(tr.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		for c := range trialCustomers {
			for i := range lasting {
				path := "/v1/customers/" + customerID(c) + "/deviceBatches/" + batchID(i) + "/devices"
				switch {
				case r.URL.Path != path, rests:
				case r.Header.Get("MS-ContinuationToken") == "":
					due[path] = tr.confirmedSince(c, i, moved[path]) // what two readings lack is gone
				case due[path]:
					n, due[path] = n+1, false
					tr.api.RemoveDevice(customerID(c), batchID(i), steady)
					defer func() {
						put(c, i)
						moved[path] = time.Now()
					}()
				}
			}
		}
		tr.api.ServeHTTP(w, r)
	})), db.URL)
	tr.until("lists to change", func() bool {
		mu.Lock()
		defer mu.Unlock()
		rests = n >= moves
		return rests
	})
	stop()
	tr.settle(historytest.Options{OneProcess: true})
	const query = `SELECT count(*) FROM partner_center.device_history WHERE device_id = $1 AND removed_at IS NOT NULL`
	var removed int
	if err := db.Pool.QueryRow(t.Context(), query, steady).Scan(&removed); err != nil || removed > 0 {
		t.Errorf("devices that stayed were removed %d times, %v", removed, err)
	}
}

// confirmedSince reports whether a device list has been read since, and nothing that is known was missing in it.
func (tr *trial) confirmedSince(c, i int, since time.Time) (confirmed bool) {
	const query = `
		SELECT EXISTS (
		    SELECT 1 FROM partnersync.list_state
		    WHERE customer_id = $1 AND resource = 'devices' AND batch_id = $2 AND confirmed_at > $3)`
	if err := tr.pool.QueryRow(tr.t.Context(), query, customerID(c), batchID(i), since).Scan(&confirmed); err != nil {
		tr.t.Errorf("asking for the confirmation of a list: %v", err)
	}
	return confirmed
}

// TestTrial_backfillsBesideADaemon makes three backfills while a daemon makes its passes, and fifty in the long form.
func TestTrial_backfillsBesideADaemon(t *testing.T) {
	t.Parallel()
	backfills := 3
	if *soak {
		backfills = 50
	}
	db := trialDatabase(t)
	tr := newTrial(t, 700, db.Pool, partnercentertest.Options{})
	tr.batchesStay = true // one that vanishes just before its devices are asked for is a failure of its customer
	stop := tr.mutate(20 * time.Millisecond)
	tr.mark("begin")
	r := tr.replica(tr.serve(nil), db.URL)
	tr.awaitMark("begin")
	for range backfills {
		tr.backfill(r)
	}
	stop()
	tr.settle(historytest.Options{})
	const query = `
		SELECT count(*) FILTER (WHERE kind = 'backfill' AND state = 'complete'),
		       coalesce(string_agg(r::text, '; ') FILTER (WHERE state NOT IN ('complete', 'abandoned')), '')
		FROM partner_center.sync_runs r`
	var complete int
	var others string
	if err := db.Pool.QueryRow(t.Context(), query).Scan(&complete, &others); err != nil || complete != backfills || others != "" {
		t.Errorf("%d of %d backfills are complete, and these runs are not: %s (%v)", complete, backfills, others, err)
	}
}

// backfill makes a backfill with the configuration of a daemon, which may run, and returns what it prints.
func (tr *trial) backfill(r *replica) (output string) {
	tr.t.Helper()
	ctx, cancel := context.WithTimeout(tr.t.Context(), trialTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.program, append(r.args, "--backfill", "--json")...)
	var stdout, stderr strings.Builder
	cmd.Env, cmd.Stdout, cmd.Stderr = r.env, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		tr.t.Errorf("backfill: %v\n%s", err, tail([]byte(stderr.String()), 30))
	}
	return stdout.String()
}
