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
	first, worlds := rand.Uint64N(1<<40)+1, 6
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
	for _, v := range []struct {
		name    string // of a view that the comparison needs
		compare func(*record)
	}{
		{"customer_history", w.compareHistories},
		{"device_batch_status_changes", w.compareStatusChanges},
		{"device_batch_rounds", w.compareRounds},
		{"device_batch_status_periods", w.comparePeriods},
		{"configuration_policies_as_of", w.compareAsOf},
		{"daily_devices", w.compareDays},
		{"device_policies", w.compareDevicePolicies},
		{"device_policies", w.compareDevicePolicyChanges},
		{"device_inventory", w.compareInventory},
		{"device_moves", w.compareMoves},
		{"device_list_freshness", w.compareListFreshness},
		{"weekly_customer_report", w.compareWeeks},
		{"sync_freshness", w.compareSyncFreshness},
		{"sync_failures", w.compareFailures},
		{"freshness_as_of", w.compareFreshness},
	} {
		if w.has(v.name) {
			v.compare(r)
		}
	}
}

// has reports whether there is a view or function of that name.
func (w *world) has(name string) (has bool) {
	w.t.Helper()
	w.ok(w.pool.QueryRow(w.t.Context(), `
		SELECT EXISTS (SELECT FROM pg_class WHERE relname = $1) OR EXISTS (SELECT FROM pg_proc WHERE proname = $1)`, name).Scan(&has))
	return has
}
