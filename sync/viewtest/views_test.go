// Package viewtest checks every view for analysts against an answer that is worked out here, from what the emulated API
// served: over random passes, in which batches reopen, move, vanish and return, customers leave and return, and lists
// fail or are held. It shares no code and no SQL with what it checks.
//
// A recorder keeps what the API answers (recorder_test.go, served_test.go). A replay of these answers says what is known
// of each customer, batch, device and policy, and when (replay_test.go, history_test.go): the histories in the database
// must be the same. What a view shows is then worked out from that by its definition, in loops (…_views_test.go).
package viewtest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"partnersync/store/storetest"
)

var (
	soak      = flag.Bool("soak", false, "run the model test in its long form, with hundreds of worlds")
	modelSeed = flag.Uint64("model.seed", 0, "make the one world of the model test that this number makes; 0: new ones")
)

func TestMain(m *testing.M) { storetest.Main(m) }

// TestModel_views makes random passes in random worlds, and compares every view with the answer from here.
func TestModel_views(t *testing.T) {
	t.Parallel()
	first, worlds := rand.Uint64N(1<<40)+1, 4
	switch {
	case *modelSeed != 0:
		first, worlds = *modelSeed, 1
	case *soak:
		worlds = 500
	}
	var g errgroup.Group
	g.SetLimit(4)
	for i := range worlds {
		seed := first + uint64(i)
		g.Go(func() error {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				w := newWorld(t, seed)
				w.live(15 + w.n(15))
			})
			return nil
		})
	}
	g.Wait() // the tests have reported what is wrong
}

// compare compares every view with what the passes so far make of it.
func (w *world) compare() {
	w.t.Helper()
	r := replay(w.passes)
	for _, before := range w.prunes {
		r.prune(before)
	}
	for _, compare := range []func(*record){
		w.compareHistories, w.compareStatusChanges, w.compareRounds, w.comparePeriods, w.compareAsOf, w.compareDays,
		w.compareInventory, w.compareDevicePolicies, w.compareDevicePolicyChanges, w.compareMoves, w.compareListFreshness,
		w.compareFailures, w.compareSyncFreshness, w.compareFreshness, w.compareWeeks,
	} {
		compare(r)
	}
	for _, v := range storetest.Views {
		if !strings.Contains(w.asked.String(), "partner_center."+v.Name) {
			w.t.Errorf("%s is compared with nothing", v.Name)
		}
	}
}
