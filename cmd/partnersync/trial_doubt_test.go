//go:build unix

package main

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"partnersync/store/storetest"
)

// TestTrial_commitsInDoubt ends a node of a cluster, or cuts its connection to the coordinator, just when a transaction is
// prepared there, committed in the second phase, or committed in a single one: before that comes to the node, and before
// its answer gets back. A commit in doubt must neither be read over nor end in one place only.
func TestTrial_commitsInDoubt(t *testing.T) {
	t.Parallel()
	if !storetest.IsCitus() {
		t.Skip("allowed: only the commits of a cluster have two phases")
	}
	for _, noDevices := range []bool{false, true} {
		t.Run(fmt.Sprintf("without devices %t", noDevices), func(t *testing.T) { commitsInDoubt(t, noDevices) })
	}
}

// commitsInDoubt is a trial in which device lists may not be read: then fewer tables are written together.
func commitsInDoubt(t *testing.T, noDevices bool) {
	rounds := 1
	if *soak {
		rounds = 20
	}
	c := newCrashing(t)
	c.noDevices = noDevices
	var awaited atomic.Pointer[ending]
	for _, p := range storetest.WorkerProxies(t, c.db) {
		p.Sent = func(text []byte) bool { return !reached(&awaited, text, false) }
		p.Answered = func(text []byte) bool { return !reached(&awaited, text, true) }
	}
	c.replica(c.serve(nil), c.db.URL)
	c.awaitMark("begin")
	for n := range rounds * 18 {
		m := &ending{
			t: t, message: []string{"PREPARE TRANSACTION", "COMMIT PREPARED", "COMMIT"}[n%3], answered: n/3%2 == 1,
			now: make(chan struct{}), over: make(chan struct{}),
		}
		awaited.Store(m)
		select {
		case <-m.now:
		case <-time.After(trialTimeout):
			t.Fatalf("there is no %s", m.message)
		}
		if what := n / 6 % 3; what < 2 { // the coordinator or a worker, which is the one concerned or the other
			node := c.nodes[what+what*c.rand.IntN(2)]
			c.end(node, syscall.SIGQUIT)
			close(m.over)
			c.begin(node)
		} else {
			close(m.over)
		}
		c.resume(n)
	}
	c.stop()
	c.settle()
}

// ending is a message that ends a transaction or prepares that, on its way to a worker or back.
type ending struct {
	t         *testing.T
	message   string
	answered  bool
	now, over chan struct{} // closed when it has come, and when its connection may end
}

// reached reports whether the message that is awaited has come, and returns when it may go on.
func reached(awaited *atomic.Pointer[ending], text []byte, answered bool) bool {
	m := awaited.Load()
	if m == nil || m.answered != answered || !m.in(text) || !awaited.CompareAndSwap(m, nil) {
		return false
	}
	close(m.now)
	select {
	case <-m.over:
	case <-m.t.Context().Done():
	}
	return true
}

// in reports whether a text has the message, which a name follows where a transaction is prepared.
func (m *ending) in(text []byte) bool {
	return bytes.Contains(text, []byte(m.message+"\x00")) || bytes.Contains(text, []byte(m.message+" '"))
}
