package store

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

func customerIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = customerID(i)
	}
	return ids
}

func TestClaimCustomers_thoseAskedForInTheirOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := customerIDs(5)
	run := w.begin(Scheduled, ids...)
	for _, want := range [][]string{{ids[3], ids[1]}, {ids[4], ids[0], ids[2]}} {
		claims, err := w.ClaimCustomers(t.Context(), run, FirstTurn, want)
		w.ok(err)
		if diff := cmp.Diff(want, claimed(claims)); diff != "" {
			t.Errorf("claimed: (-want +got)\n%s", diff)
		}
		for _, c := range claims {
			if c.Epoch != 1 || c.Run.ID != run.ID || c.Turn != FirstTurn {
				t.Errorf("claim %+v, want epoch 1 of run %d", c, run.ID)
			}
		}
	}
	if claims, err := w.ClaimCustomers(t.Context(), run, FirstTurn, ids); err != nil || len(claims) > 0 {
		t.Errorf("claimed once more: %v, %v", claimed(claims), err)
	}
}

// What another worker of the run has done between the reading of the order and the claim is let go again.
func TestClaimCustomers_notForATurnThatIsDone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.beginReading(RunRequest{Kind: Scheduled, Devices: &DeviceReading{Refresh: day}}, alpha)
	for _, turn := range []Turn{DevicesTurn, PoliciesTurn} {
		if claims, err := w.ClaimCustomers(t.Context(), run, turn, []string{alpha}); err != nil || len(claims) > 0 {
			t.Errorf("claimed %v, %v for turn %d before the first", claimed(claims), err, turn)
		}
	}
	w.record(run, Result{Claim: w.claim(run), DevicesLeft: true})
	if claims, err := w.ClaimCustomers(t.Context(), run, FirstTurn, []string{alpha}); err != nil || len(claims) > 0 {
		t.Errorf("claimed %v, %v for a turn that is done", claimed(claims), err)
	}
	if got := claimed(w.claimsFor(run, DevicesTurn)); len(got) != 1 {
		t.Errorf("claimed %v for the next turn", got)
	}
}

func TestClaimCustomers_doneGoneAndForeignCustomersAreNotDue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := customerIDs(4)
	run := w.begin(Scheduled, ids...)
	w.record(run, Result{Claim: w.claim(run), Failure: &Failure{Code: "http_500"}})
	w.exec("UPDATE partnersync.customer_state SET active = false WHERE customer_id = $1", ids[1])
	w.exec("UPDATE partnersync.customer_state SET partner = 'fabrikam' WHERE customer_id = $1", ids[2])
	if diff := cmp.Diff(ids[3:], claimed(w.claims(run))); diff != "" {
		t.Errorf("claimed: (-want +got)\n%s", diff)
	}
}

func TestClaimCustomers_lockedOnesArePassedOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Scheduled, alpha, beta, gamma)
	tx, err := w.pool.Begin(t.Context())
	w.ok(err)
	defer tx.Rollback(t.Context())
	_, err = tx.Exec(t.Context(), "SELECT 1 FROM partnersync.customer_state WHERE customer_id = $1 FOR UPDATE", beta)
	w.ok(err)
	if diff := cmp.Diff([]string{alpha, gamma}, claimed(w.claims(run))); diff != "" {
		t.Errorf("claimed: (-want +got)\n%s", diff)
	}
}

func TestClaimCustomers_workersAtTheSameTimeShareThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := customerIDs(60)
	run := w.begin(Scheduled, ids...)
	all := make([][]string, 4)
	var g errgroup.Group
	for i := range all {
		other := w.another()
		g.Go(func() error {
			for some := range slices.Chunk(ids, 7) {
				claims, err := other.ClaimCustomers(t.Context(), run, FirstTurn, some)
				if err != nil {
					return err
				}
				all[i] = append(all[i], claimed(claims)...)
			}
			return nil
		})
	}
	w.ok(g.Wait())
	got := append(slices.Concat(all...), claimed(w.claims(run))...)
	slices.Sort(got)
	if diff := cmp.Diff(ids, got); diff != "" {
		t.Errorf("claimed by all together: (-want +got)\n%s", diff)
	}
}

func TestClaimCustomers_takesOverFromTheDeadOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Scheduled, alpha)
	w.claim(run)
	other := w.another()
	if got := claimed(other.claims(run)); len(got) > 0 {
		t.Errorf("claimed %v from a live worker", got)
	}
	if got := claimed(w.claims(run)); len(got) > 0 {
		t.Errorf("claimed %v, which this worker has claimed already", got)
	}
	w.die()
	if got := other.claim(run); got.CustomerID != alpha || got.Epoch != 2 {
		t.Errorf("claimed %+v from a dead worker, want epoch 2", got)
	}
	w.ok(w.Heartbeat(t.Context()))
	if got := claimed(w.claims(run)); len(got) > 0 {
		t.Errorf("the dead worker woke and claimed %v back", got)
	}
	w.ok(other.Leave(t.Context()))
	if got := w.claim(run); got.Epoch != 3 {
		t.Errorf("claimed %+v after the other worker left, want epoch 3", got)
	}
}

// Others pass over the customers that a frozen replica has locked, whatever the lease says, until its transaction is ended.
func TestClaimCustomers_takesOverFromAFrozenTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Scheduled, alpha)
	stale := w.claim(run)
	w.die()
	other := w.another()
	frozen := New(w.pool, Options{Lease: 300 * time.Millisecond})
	var taken []Claim
	err := frozen.write(t.Context(), func(tx pgx.Tx) error {
		w.enter(tx, stale)
		for len(taken) == 0 {
			taken = other.claims(run)
		}
		_, err := tx.Exec(t.Context(), "SELECT 1") // it wakes
		return err
	})
	if err == nil || taken[0].Epoch != stale.Epoch+1 {
		t.Errorf("taken over: %+v; the frozen transaction ended with %v", taken, err)
	}
	if _, err := w.MergeDeviceBatches(t.Context(), stale, complete("1"), nil); !errors.Is(err, ErrClaimLost) {
		t.Errorf("the one that woke merges: %v, want ErrClaimLost", err)
	}
}

func TestClaimCustomers_restrictedRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.begin(Scheduled, alpha, beta, gamma)
	ask := RunRequest{Partner: "contoso", Kind: Once, ScheduledFor: w.tick, Customers: []string{gamma, alpha}, Filter: "x"}
	run := w.open(ask).Run
	if diff := cmp.Diff([]string{alpha, gamma}, claimed(w.claims(run))); diff != "" {
		t.Errorf("claimed: (-want +got)\n%s", diff)
	}
}

func TestClaimCustomers_kindsDoNotBlockEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// The runs of later kinds are opened first: what the run of one kind has done is to be done by the others.
	runs := []Run{w.begin(Backfill, alpha), w.begin(Once, alpha), w.begin(Scheduled, alpha)}
	for i := range runs {
		run := runs[len(runs)-1-i]
		w.record(run, Result{Claim: w.claim(run)})
		if got := claimed(w.claims(run)); len(got) > 0 {
			t.Errorf("the %s run claimed %v twice", run.Kind, got)
		}
		if got := w.finish(run); got.State != Complete {
			t.Errorf("the %s run is %s, want complete", run.Kind, got.State)
		}
	}
	w.want("backfill 1,once 2,scheduled 3", "SELECT concat_ws('|', string_agg(kind || ' ' || run_id, ',' ORDER BY run_id)) FROM partnersync.customer_runs")
}

func TestClaimCustomers_digestOfTheBatchList(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		listing Listing
		want    string
	}{
		{"complete", complete("d1"), "d1"},
		{"complete without a digest", Listing{Complete: true}, ""},
		{"incomplete", Listing{Digest: []byte("d1")}, ""},
	}
	w := newWorld(t)
	for _, test := range tests {
		w.run(test.name, func(t *testing.T) {
			w.pass(minute(1), complete("d0"), batch("b", "queued"))
			w.pass(minute(2), test.listing, batch("b", "queued"))
			if c := w.claim(w.begin(Once, w.customer)); string(c.BatchesDigest) != test.want {
				t.Errorf("digest %q, want %q", c.BatchesDigest, test.want)
			}
		})
	}
}

func TestClaim_clockIsNotAheadOfTheDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var before, after time.Time
	const now = "SELECT clock_timestamp()"
	w.ok(w.pool.QueryRow(t.Context(), now).Scan(&before))
	c := w.claim(w.begin(Scheduled, alpha))
	observed := c.ObservedAt(time.Now())
	w.ok(w.pool.QueryRow(t.Context(), now).Scan(&after))
	if observed.Before(before) || observed.After(after) {
		t.Errorf("observed at %s, want it from %s to %s", observed, before, after)
	}
}

// A clock on the wall that jumps, between a claim and a request, must not move what is observed: times without a
// monotonic reading would be compared by it.
func TestClaim_observedTimesGoByTheMonotonicClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.open(scheduled(1, 1)).Run
	enumeration, _, err := w.ClaimEnumeration(t.Context(), run)
	w.ok(err)
	_, err = w.RecordEnumeration(t.Context(), enumeration, Enumeration{Customers: named([]string{alpha}), ObservedAt: minute(0), Complete: true})
	w.ok(err)
	for _, learned := range []Clock{enumeration.Clock, w.claim(run).Clock} {
		if !strings.Contains(learned.Local.String(), " m=") {
			t.Errorf("the database's clock was learned at %v, which has no monotonic reading", learned.Local)
		}
	}
}

func TestClock_observedAt(t *testing.T) {
	t.Parallel()
	local := time.Now()
	zone := time.FixedZone("far away", 5*60*60)
	c := Clock{Database: time.Date(2020, 2, 3, 4, 5, 6, 7000, zone), Local: local}
	for _, test := range []struct {
		sent time.Duration // after the claim
		want time.Time
	}{
		{0, time.Date(2020, 2, 2, 23, 5, 6, 7000, time.UTC)},
		{time.Hour + 1999*time.Nanosecond, time.Date(2020, 2, 3, 0, 5, 6, 8000, time.UTC)},
		{-time.Second, time.Date(2020, 2, 2, 23, 5, 5, 7000, time.UTC)},
	} {
		if got := c.ObservedAt(local.Add(test.sent)); got != test.want {
			t.Errorf("%s after the claim: %s, want %s", test.sent, got, test.want)
		}
	}
}

func TestClaimEnumeration_oneAtATimeAndOnceARun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.open(scheduled(1, 1)).Run
	other := w.another()
	first, mine, err := w.ClaimEnumeration(t.Context(), run)
	w.ok(err)
	if !mine || first.Epoch != 1 || first.Run.ID != run.ID {
		t.Errorf("claimed %+v, %t, want epoch 1", first, mine)
	}
	if _, _, err := other.ClaimEnumeration(t.Context(), run); !errors.Is(err, ErrClaimHeld) {
		t.Errorf("claim while another worker is at it: %v, want ErrClaimHeld", err)
	}
	if again, mine, err := w.ClaimEnumeration(t.Context(), run); err != nil || !mine || again.Epoch != 2 {
		t.Errorf("claimed by the same worker again: %+v, %t, %v, want epoch 2", again, mine, err)
	}
	w.die()
	last, mine, err := other.ClaimEnumeration(t.Context(), run)
	w.ok(err)
	if !mine || last.Epoch != 3 {
		t.Errorf("claimed from a dead worker: %+v, %t, want epoch 3", last, mine)
	}
	_, err = other.RecordEnumeration(t.Context(), last, Enumeration{ObservedAt: last.ObservedAt(time.Now())})
	w.ok(err)
	if _, mine, err := other.ClaimEnumeration(t.Context(), run); err != nil || mine {
		t.Errorf("claim after the run's customers were settled: %t, %v, want none needed", mine, err)
	}
}

// While a worker waits to claim the enumeration, another one claims it and makes it: it is not made once more.
func TestClaimEnumeration_notAgainAfterWaitingForIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.open(scheduled(1, 1)).Run
	other := w.another()
	var g errgroup.Group
	mine := false
	w.ok(w.write(t.Context(), func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "UPDATE partnersync.partner_state SET owner = $1, lease_epoch = 1", w.Worker())
		w.ok(err)
		e := enumerating{tx: tx, run: run, enumeration: Enumeration{ObservedAt: minute(0), Complete: true}}
		w.ok(e.checkClaim(t.Context(), w.Worker(), 1))
		g.Go(func() (err error) {
			_, mine, err = other.ClaimEnumeration(t.Context(), run)
			return err
		})
		w.untilLocked()
		_, err = e.countCustomers(t.Context(), Enumerated{})
		return err
	}))
	if err := g.Wait(); err != nil || mine {
		t.Errorf("claimed once more: %t, %v", mine, err)
	}
	w.want("f", `SELECT (owner IS NOT NULL)::text::char FROM partnersync.partner_state`)
}

// A worker that has not noticed yet that its run is over claims no customer for it that has come since.
func TestClaimCustomers_noneForARunThatIsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Scheduled, alpha)
	w.record(run, Result{Claim: w.claim(run)})
	if done := w.finish(run); done.State != Complete {
		t.Fatalf("run %+v, want complete", done)
	}
	w.begin(Once, alpha, beta)
	if got := claimed(w.claims(run)); len(got) > 0 {
		t.Errorf("claimed %v for a run that is over", got)
	}
}

// Of two runs that go on at the same time, the one that began later may have had a customer before the earlier one: it is
// another partner's, which let the customer go. The earlier one leaves it out, and does not ask for its policies alone.
func TestClaimCustomers_triedByALaterRunOfAnotherPartner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	earlier := w.open(RunRequest{Partner: "contoso", Kind: Once, ScheduledFor: minute(1), Policies: true}).Run
	later, _ := w.enumerate("fabrikam", minute(2), listed(alpha, beta, gamma))
	for range 3 {
		w.record(later, Result{Claim: w.claim(later), DevicesLeft: true})
	}
	w.exec("UPDATE partnersync.runs SET state = 'abandoned', finished_at = clock_timestamp() WHERE run_id = $1", later.ID)
	w.enumerate("fabrikam", minute(3), listed(beta, gamma))
	claim, _, err := w.ClaimEnumeration(t.Context(), earlier)
	w.ok(err)
	_, err = w.RecordEnumeration(t.Context(), claim, listed(alpha))
	w.ok(err)
	for _, turn := range []Turn{FirstTurn, DevicesTurn, PoliciesTurn} {
		claims, err := w.ClaimCustomers(t.Context(), earlier, turn, []string{alpha})
		w.ok(err)
		if left := w.left(earlier, turn); len(left)+len(claims) > 0 {
			t.Errorf("turn %d: %v are left, and claimed %v, want none", turn, left, claimed(claims))
		}
	}
	if total := w.readRun(earlier).CustomersTotal; total != 0 {
		t.Errorf("the run counts %d customers, want none", total)
	}
}

// A customer of two partners is counted as failed in a run, and once more by none when it becomes the partner's own.
func TestClaimCustomers_contestedWhenTheRunBegan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	holder, _ := w.enumerate("fabrikam", minute(1), listed(alpha, beta, gamma))
	_, err := w.FinishRun(t.Context(), holder, AtCutOff)
	w.ok(err)
	run := w.open(RunRequest{Partner: "contoso", Kind: Scheduled, ScheduledFor: minute(2), Due: minute(2)}).Run
	claim, _, err := w.ClaimEnumeration(t.Context(), run)
	w.ok(err)
	e := listed(alpha)
	e.ObservedAt = time.Now()
	_, err = w.RecordEnumeration(t.Context(), claim, e)
	w.ok(err)
	w.enumerate("fabrikam", minute(3), listed(beta, gamma)) // lets it go
	own, _ := w.enumerate("contoso", minute(4), listed(alpha))
	if got := w.left(run, FirstTurn); len(got) > 0 {
		t.Errorf("%v are left, want none", got)
	}
	if got := claimed(w.claims(own)); !slices.Equal(got, []string{alpha}) {
		t.Errorf("the run that took it claims %v", got)
	}
	if run = w.finish(run); run.CustomersFailed != 1 || run.CustomersTotal != 1 || run.State != Failed {
		t.Errorf("%+v, want the customer counted once", run)
	}
}

func TestMerge_emptyListThatStaysEmptyIsNoChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pass(minute(1), complete("1"))
	w.pass(minute(2), complete("2"))
	w.want("t", "SELECT concat_ws('|', changed_at IS NULL) FROM partnersync.customer_state")
	w.pass(minute(3), complete("3"), batch("a", "queued"))
	w.want("f", "SELECT concat_ws('|', changed_at IS NULL) FROM partnersync.customer_state")
}
