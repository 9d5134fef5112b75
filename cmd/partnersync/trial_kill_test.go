//go:build unix

package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"partnersync/store/historytest"
	"partnersync/sync/partnercenter/partnercentertest"
)

// TestTrial_killedAtAnyMoment kills daemons a hundred times, and a thousand times in the long form: ten daemons in
// worlds of their own by turns, since after each time the lease has to pass.
func TestTrial_killedAtAnyMoment(t *testing.T) {
	t.Parallel()
	kills := 100
	if *soak {
		kills = 1000
	}
	worlds := make([]*killing, 10)
	for i := range worlds {
		worlds[i] = newKilling(t, i)
	}
	for i := range kills {
		w := worlds[i%len(worlds)]
		w.untilBusy()
		w.replicas[0].kill()
		w.replicas[0].start()
	}
	for _, w := range worlds {
		w.stop()
	}
	for _, w := range worlds {
		w.settle(historytest.Options{OneProcess: true})
	}
}

// killing is a world in which the daemon is killed again and again.
type killing struct {
	*trial
	asked chan struct{} // has one when the daemon has asked for batches or devices
	stop  func()
}

func newKilling(t *testing.T, world int) *killing {
	t.Helper()
	db := trialDatabase(t)
	w := &killing{trial: newTrial(t, uint64(world), db.Pool, partnercentertest.Options{}),
		asked: make(chan struct{}, 1)}
	url := w.serve(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/deviceBatches") {
			select {
			case w.asked <- struct{}{}:
			default:
			}
		}
		w.api.ServeHTTP(rw, r)
	}))
	w.stop = w.mutate(20 * time.Millisecond)
	w.replica(url, db.URL)
	return w
}

// untilBusy waits for a moment at which the daemon may be killed: one in the middle of its work, or any after it has
// begun, or even before.
func (w *killing) untilBusy() {
	w.t.Helper()
	switch w.rand.IntN(5) {
	case 0:
		w.wait(100 * time.Millisecond)
		return
	case 1, 2:
		select {
		case <-w.asked: // a while ago
		default:
		}
	}
	select {
	case <-w.asked:
	case <-time.After(trialTimeout):
		w.t.Fatal("the daemon asks for nothing")
	}
	w.wait(100 * time.Millisecond)
}
