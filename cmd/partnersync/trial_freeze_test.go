//go:build unix

package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"partnersync/store/historytest"
	"partnersync/sync/partnercenter/partnercentertest"
)

// TestTrial_frozenReplicaWritesNothing freezes one of two replicas, five times, and fifty times in the long form, until
// the other one has taken over, and then wakes it.
func TestTrial_frozenReplicaWritesNothing(t *testing.T) {
	t.Parallel()
	rounds := 5
	if *soak {
		rounds = 50
	}
	db := trialDatabase(t)
	f := &freezing{trial: newTrial(t, 100, db.Pool, partnercentertest.Options{}), frozen: make(chan *replica, 1)}
	stop := f.mutate(50 * time.Millisecond)
	f.mark("begin")
	for i := range 2 {
		f.replica(f.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.answer(i, w, r) })), db.URL)
	}
	f.awaitMark("begin")
	for n := range rounds {
		if n%3 == 2 {
			f.atAnyMoment(n)
		} else {
			f.betweenRequestAndAnswer(n)
		}
	}
	stop()
	f.settle(historytest.Options{})
	for _, r := range f.replicas {
		t.Logf("%s lost customers %d times", r.name, bytes.Count(r.output(), []byte(" taken over by another worker")))
	}
	const written = `SELECT count(*) FROM partner_center.device_batch_history WHERE status LIKE 'frozen%'`
	var writes int
	if err := db.Pool.QueryRow(t.Context(), written).Scan(&writes); err != nil || writes != 0 {
		t.Errorf("%d writes of what only a frozen replica was served, %v", writes, err)
	}
}

// freezing is a world of replicas that are frozen.
type freezing struct {
	*trial
	armed  atomic.Pointer[string] // the status to freeze a replica with
	frozen chan *replica
	asked  [2]atomic.Int64 // requests of each replica
}

// marker is a batch whose status tells how far the replicas are.
const marker = "marker"

func (f *trial) mark(status string) {
	f.api.PutBatch(customerID(0), partnercentertest.Batch{ID: marker, Status: status, DevicesCount: 1})
}

// awaitMark waits until the marker's status is in the database.
func (f *trial) awaitMark(status string) {
	f.t.Helper()
	f.until("the status "+status, func() bool {
		const query = `SELECT status FROM partner_center.device_batches WHERE batch_id = $1`
		var got string
		return f.pool.QueryRow(f.t.Context(), query, marker).Scan(&got) == nil && got == status
	})
}

// answer answers a request of a replica. If one is to be frozen, and it asks for the marker, it is, and finds an answer
// that nobody else gets when it wakes.
func (f *freezing) answer(i int, w http.ResponseWriter, r *http.Request) {
	f.asked[i].Add(1)
	if r.URL.Path != "/v1/customers/"+customerID(0)+"/deviceBatches" {
		f.api.ServeHTTP(w, r)
		return
	}
	status := f.armed.Swap(nil)
	if status == nil {
		f.api.ServeHTTP(w, r)
		return
	}
	f.replicas[i].freeze()
	f.mark("frozen with " + *status)
	f.api.ServeHTTP(w, r)
	f.mark(*status)
	f.frozen <- f.replicas[i]
}

// freeze stops the process, and returns once it has stopped: on a busy machine its threads go on for some milliseconds
// after the signal, time enough to write an answer.
func (r *replica) freeze() {
	r.signal(syscall.SIGSTOP)
	late := time.After(trialTimeout)
	for ticker := time.NewTicker(time.Millisecond); !stopped(r.cmd.Process.Pid); {
		select {
		case <-ticker.C:
		case <-late:
			r.t.Errorf("%s does not stop", r.name)
			return
		}
	}
}

// stopped says whether all threads of a process have stopped; without /proc, whether ps says so of the process.
func stopped(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid)) // the pattern is good
	for _, thread := range threads {
		stat, err := os.ReadFile(thread)
		if _, rest, _ := strings.Cut(string(stat), ") "); err == nil && !strings.HasPrefix(rest, "T") {
			return false
		}
	}
	if threads != nil {
		return true
	}
	state, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && bytes.HasPrefix(bytes.TrimSpace(state), []byte("T"))
}

// betweenRequestAndAnswer freezes whichever replica asks for the marker next, while it waits for the answer.
func (f *freezing) betweenRequestAndAnswer(n int) {
	f.t.Helper()
	f.armed.Store(new(fmt.Sprint("round ", n)))
	var r *replica
	select {
	case r = <-f.frozen:
	case <-time.After(trialTimeout):
		f.t.Fatal("nobody asks for the marker")
	}
	f.takeOver(n)
	asked := &f.asked[slices.Index(f.replicas, r)]
	before := asked.Load()
	r.signal(syscall.SIGCONT)
	f.until(r.name+" to go on", func() bool { return asked.Load() > before })
}

// atAnyMoment freezes a replica wherever it is.
func (f *freezing) atAnyMoment(n int) {
	f.t.Helper()
	r := f.replicas[f.rand.IntN(len(f.replicas))]
	f.wait(time.Second)
	r.freeze()
	f.mark(fmt.Sprint("round ", n))
	f.takeOver(n)
	r.signal(syscall.SIGCONT)
}

// takeOver waits until the other replica has done the work of the frozen one.
func (f *freezing) takeOver(n int) {
	f.t.Helper()
	since := time.Now()
	f.awaitMark(fmt.Sprint("round ", n))
	took := time.Since(since)
	f.t.Logf("round %d: taken over after %.1f s", n, took.Seconds())
	if limit := lease + 5*time.Second; *soak && took > limit {
		f.t.Errorf("round %d: taken over after %s, want at most %s", n, took, limit)
	}
}
