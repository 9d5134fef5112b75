package store

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// scheduled asks for the run of a tick, n minutes after the first, while the tick of the minute due has come.
func scheduled(n, due int) RunRequest {
	return RunRequest{Partner: "contoso", Kind: Scheduled, ScheduledFor: minute(n), Due: minute(due)}
}

func backfill(filter string) RunRequest {
	return RunRequest{Partner: "contoso", Kind: Backfill, ScheduledFor: minute(1), Filter: filter}
}

const states = `SELECT concat_ws('|', run_id, state, finished_at IS NOT NULL) FROM partner_center.sync_runs ORDER BY run_id`

func TestOpenRun_liveScheduledRunIsJoinedWhateverItsTick(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.open(scheduled(1, 1))
	if first.Joined || first.Resumed {
		t.Errorf("first worker: %+v, want a new run", first)
	}
	want := Run{ID: first.Run.ID, Partner: "contoso", Kind: Scheduled, ScheduledFor: minute(1), State: Running}
	got := first.Run
	got.StartedAt, got.ScheduledFor = time.Time{}, got.ScheduledFor.UTC()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("new run: (-want +got)\n%s", diff)
	}
	for _, tick := range []int{1, 2} {
		second := w.another().open(scheduled(tick, tick))
		if second.Run.ID != first.Run.ID || !second.Joined || second.Resumed {
			t.Errorf("second worker at tick %d: %+v, want run %d joined", tick, second, first.Run.ID)
		}
	}
	w.want("contoso|3", "SELECT concat_ws('|', r.partner, count(*)) FROM partnersync.runs r JOIN partnersync.run_workers USING (run_id) GROUP BY r.run_id")
}

func TestOpenRun_scheduledRunWithoutALiveWorker(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		request RunRequest
		goesOn  bool
	}{
		{"its own tick is the newest", scheduled(1, 1), true},
		{"no tick is due", RunRequest{Kind: Scheduled, ScheduledFor: minute(1)}, true},
		{"started between the ticks", scheduled(9, 1), true},
		{"a newer tick is due", scheduled(2, 2), false},
		{"a newer tick was due before", scheduled(9, 2), false},
	}
	w := newWorld(t)
	for _, test := range tests {
		w.run(test.name, func(t *testing.T) {
			first := scheduled(1, 1)
			first.Partner, test.request.Partner = test.name, test.name
			worker := w.another()
			dead := worker.open(first).Run
			worker.die()
			opened := w.open(test.request)
			want := Running
			if !test.goesOn {
				want = Abandoned
			}
			if goesOn := opened.Run.ID == dead.ID; goesOn != test.goesOn || opened.Joined != test.goesOn || opened.Run.State != Running {
				t.Errorf("opened %+v, want run %d continued: %t", opened, dead.ID, test.goesOn)
			}
			if dead := w.readRun(dead); dead.State != want || (dead.FinishedAt == nil) != test.goesOn {
				t.Errorf("the run is %+v, want it %s", dead, want)
			}
		})
	}
}

func TestOpenRun_tickThatIsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Scheduled)
	if run = w.finish(run); run.State != Failed {
		t.Fatalf("run is %s, want failed: it has no customer", run.State)
	}
	at := func(d time.Duration) RunRequest {
		return RunRequest{Partner: "contoso", Kind: Scheduled, ScheduledFor: w.tick.Add(d), Due: w.tick.Add(d)}
	}
	for _, early := range []time.Duration{0, -time.Minute} {
		if _, err := w.OpenRun(t.Context(), at(early)); !errors.Is(err, ErrTickDone) {
			t.Errorf("%s after the tick: %v, want ErrTickDone", early, err)
		}
	}
	next := w.open(at(time.Minute))
	if next.Run.ID == run.ID || next.Joined {
		t.Errorf("the next tick: %+v, want a new run", next)
	}
	// What was abandoned is not done.
	w.leave(next.Run)
	again := w.open(at(time.Minute))
	if again.Run.ID == next.Run.ID || again.Joined {
		t.Errorf("the tick of an abandoned run: %+v, want a new run", again)
	}
}

func TestOpenRun_partnersAreIndependent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	contoso := w.open(scheduled(1, 1)).Run
	w.die()
	other := scheduled(2, 2)
	other.Partner = "fabrikam"
	if opened := w.another().open(other); opened.Run.ID == contoso.ID || opened.Joined {
		t.Errorf("opened %+v, want a run of its own", opened)
	}
	w.want("contoso|running\nfabrikam|running", "SELECT concat_ws('|', partner, state) FROM partner_center.sync_runs ORDER BY run_id")
}

// Each kind marks the customers that a run has done in one place, which two runs at a time would take from each other.
func TestOpenRun_oneOfAKindAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	restricted := backfill("customer=x")
	restricted.Customers = []string{alpha}
	for _, second := range []RunRequest{{Partner: "contoso", Kind: Once, ScheduledFor: minute(1)}, restricted} {
		first := second
		first.Filter = ""
		open := w.open(first)
		if _, err := w.another().OpenRun(t.Context(), second); !errors.Is(err, ErrUnderway) {
			t.Errorf("a second %s run: error %v, want ErrUnderway", second.Kind, err)
		}
		for _, other := range []RunRequest{{Partner: "fabrikam", Kind: second.Kind, ScheduledFor: minute(1)}, scheduled(1, 1)} {
			if _, err := w.another().OpenRun(t.Context(), other); err != nil {
				t.Errorf("a %s run of %s beside a %s one: %v", other.Kind, other.Partner, second.Kind, err)
			}
		}
		w.leave(open.Run)
		if got, err := w.another().OpenRun(t.Context(), second); err != nil || got.Run.ID == open.Run.ID || got.Joined || got.Resumed {
			t.Errorf("a %s run after the first one's end: %+v, error %v, want a new one", second.Kind, got, err)
		}
	}
}

func TestOpenRun_abandonsDeadRunsThatFollowNoSchedule(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{Scheduled, Once, Backfill} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			dead := w.another()
			dead.open(RunRequest{Partner: "contoso", Kind: Once, ScheduledFor: minute(1)})
			dead.open(backfill("customer=x"))
			dead.open(RunRequest{Partner: "fabrikam", Kind: Once, ScheduledFor: minute(1)})
			dead.die()
			w.open(RunRequest{Partner: "contoso", Kind: kind, ScheduledFor: minute(1), Due: minute(1)})
			w.want("1|abandoned|t\n2|abandoned|t\n3|running|f\n4|running|f", states)
		})
	}
}

func TestOpenRun_onceLeavesADeadScheduledRunToTheNextReplica(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.open(scheduled(1, 1))
	w.die()
	w.another().open(RunRequest{Partner: "contoso", Kind: Once, ScheduledFor: minute(5), Due: minute(5)})
	w.want("1|running|f\n2|running|f", states)
}

func TestOpenRun_whichBackfillGoesOn(t *testing.T) {
	t.Parallel()
	restart, elsewhere := backfill("since=2026"), backfill("since=2026")
	restart.Restart, elsewhere.Partner = true, "another"
	tests := []struct {
		name    string
		before  string // what became of the backfill with the filter since=2026
		request RunRequest
		resumed bool
	}{
		{"left", "state = 'abandoned'", backfill("since=2026"), true},
		{"its worker is dead", "state = 'running', finished_at = NULL", backfill("since=2026"), true},
		{"almost a day old", "state = 'abandoned', started_at = now() - interval '23 h 59 min'", backfill("since=2026"), true},
		{"a day old", "state = 'abandoned', started_at = now() - interval '24 h'", backfill("since=2026"), false},
		{"complete", "state = 'complete'", backfill("since=2026"), false},
		{"partial", "state = 'partial'", backfill("since=2026"), false},
		{"failed", "state = 'failed'", backfill("since=2026"), false},
		{"another filter", "state = 'abandoned'", backfill("since=2025"), false},
		{"no filter", "state = 'abandoned'", backfill(""), false},
		{"another partner", "state = 'abandoned'", elsewhere, false},
		{"restart", "state = 'abandoned'", restart, false},
	}
	w := newWorld(t)
	for _, test := range tests {
		w.run(test.name, func(t *testing.T) {
			first := backfill("since=2026")
			first.Partner = test.name
			if test.request.Partner == "contoso" {
				test.request.Partner = test.name
			}
			worker := w.another()
			before := worker.open(first).Run
			worker.die()
			w.exec("UPDATE partnersync.runs SET finished_at = now() WHERE run_id = $1", before.ID)
			w.exec("UPDATE partnersync.runs SET "+test.before+" WHERE run_id = $1", before.ID)
			opened := w.open(test.request)
			if resumed := opened.Run.ID == before.ID; resumed != test.resumed || opened.Resumed != test.resumed {
				t.Errorf("opened %+v after run %d, want it resumed: %t", opened, before.ID, test.resumed)
			}
			if opened.Run.State != Running || opened.Run.FinishedAt != nil {
				t.Errorf("opened %+v, want it running", opened)
			}
		})
	}
}

func TestOpenRun_newestBackfillCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leave(w.open(backfill("")).Run)
	again := backfill("")
	again.Restart = true
	w.open(again)
	w.exec("UPDATE partnersync.runs SET state = 'complete' WHERE run_id = 2")
	if opened := w.open(backfill("")); opened.Resumed || opened.Run.ID != 3 {
		t.Errorf("opened %+v, want a new run: the backfill was restarted and is over", opened)
	}
}

func TestOpenRun_resumedBackfillDoesWhatIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Backfill, alpha, beta)
	w.record(run, Result{Claim: w.claim(run)})
	w.claim(run)
	w.leave(run)
	w.want("1|abandoned|t", states)
	resumed := w.begin(Backfill)
	if got := claimed(w.claims(resumed)); !cmp.Equal(got, []string{beta}) {
		t.Errorf("claimed %v, want %s alone", got, beta)
	}
	if resumed.CustomersTotal != 2 || resumed.CustomersOK != 1 {
		t.Errorf("resumed %+v, want 1 of 2 customers done", resumed)
	}
}

func TestOpenRun_letsGoWhatAnEarlierTryOfTheWorkerClaimed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Scheduled, alpha, beta)
	theirs := w.another().claim(run)
	w.claim(run) // and its answer was lost
	if again := w.begin(Scheduled); again.ID != run.ID {
		t.Fatalf("joined run %d, want %d", again.ID, run.ID)
	}
	if got := claimed(w.claims(run)); !cmp.Equal(got, []string{beta}) {
		t.Errorf("claimed %v, want %s alone: another worker holds %s", got, beta, theirs.CustomerID)
	}
}

func TestFinishRun_states(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		ok, failed int
		error      string
		want       string
	}{
		{"all ok", 2, 0, "", Complete},
		{"some failed", 1, 1, "", Partial},
		{"all failed", 0, 2, "", Failed},
		{"all ok but for the enumeration", 2, 0, "no answer", Partial},
		{"all failed and the enumeration too", 0, 1, "no answer", Failed},
		{"no customers", 0, 0, "", Failed},
		{"no customers known and the enumeration failed", 0, 0, "no answer", Failed},
	}
	w := newWorld(t)
	for n, test := range tests {
		w.run(test.name, func(t *testing.T) {
			ask := scheduled(1, 1)
			ask.Partner = test.name
			run := w.open(ask).Run
			claim, _, err := w.ClaimEnumeration(t.Context(), run)
			w.ok(err)
			customers := named(customerIDs(10*n + test.ok + test.failed)[10*n:]) // others than those before
			_, err = w.RecordEnumeration(t.Context(), claim, Enumeration{Customers: customers, ObservedAt: minute(1), Error: test.error})
			w.ok(err)
			for i, c := range w.claims(run) {
				result := Result{Claim: c}
				if i < test.failed {
					result.Failure = &Failure{Code: "http_503"}
				}
				w.record(run, result)
			}
			got := w.finish(run)
			if got.State != test.want || got.FinishedAt == nil {
				t.Errorf("finished as %+v, want it %s", got, test.want)
			}
			want := Run{CustomersTotal: test.ok + test.failed, CustomersOK: test.ok, CustomersFailed: test.failed}
			if test.error != "" {
				want.Error = &test.error
			}
			counts := Run{CustomersTotal: got.CustomersTotal, CustomersOK: got.CustomersOK, CustomersFailed: got.CustomersFailed, Error: got.Error}
			if diff := cmp.Diff(want, counts); diff != "" {
				t.Errorf("counts: (-want +got)\n%s", diff)
			}
		})
	}
}

func TestFinishRun_waitsForWhatIsNotDone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.another()
	run := w.open(scheduled(1, 1)).Run
	if got := w.finish(run); got.State != Running {
		t.Errorf("before its customers are known, the run is %s, want running", got.State)
	}
	claim, _, err := w.ClaimEnumeration(t.Context(), run)
	w.ok(err)
	_, err = w.RecordEnumeration(t.Context(), claim, Enumeration{Customers: named([]string{alpha, beta}), ObservedAt: minute(1)})
	w.ok(err)
	mine, theirs := w.claim(run), other.claim(run)
	w.record(run, Result{Claim: mine})
	if got := w.finish(run); got.State != Running || got.FinishedAt != nil {
		t.Errorf("while another worker holds a customer, the run is %+v, want it running", got)
	}
	other.record(run, Result{Claim: theirs})
	done := w.finish(run)
	if done.State != Complete {
		t.Errorf("the run is %s, want complete", done.State)
	}
	if again := other.finish(run); !again.FinishedAt.Equal(*done.FinishedAt) {
		t.Errorf("finished again at %s, was %s", again.FinishedAt, done.FinishedAt)
	}
}

func TestFinishRun_abandonedRunStaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Scheduled)
	w.leave(run)
	if got := w.finish(run); got.State != Abandoned {
		t.Errorf("the run is %s, want abandoned", got.State)
	}
}

func TestLeaveRun_lastLiveWorkerAbandonsTheRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Scheduled, alpha, beta)
	dead := w.another()
	dead.open(scheduled(1, 1))
	dead.die()
	w.claim(run)
	w.leave(run)
	w.want("1|abandoned|t", states)
	next := w.another()
	if got := claimed(next.claims(next.begin(Scheduled, alpha, beta))); len(got) != 2 {
		t.Errorf("claimed %v afterwards, want both customers", got)
	}
}

func TestLeaveRun_othersGoOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Scheduled, alpha, beta)
	other := w.another()
	other.open(scheduled(1, 1))
	theirs := other.claim(run)
	w.claim(run)
	w.leave(run)
	w.want("1|running|f", states)
	if got := claimed(other.claims(run)); !cmp.Equal(got, []string{beta}) {
		t.Errorf("the other worker claimed %v, want %s, which was let go", got, beta)
	}
	if theirs.CustomerID != alpha {
		t.Fatalf("the other worker held %s, want %s", theirs.CustomerID, alpha)
	}
}

func TestLeaveRun_letsTheEnumerationGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.open(scheduled(1, 1)).Run
	other := w.another()
	other.open(scheduled(1, 1))
	_, _, err := w.ClaimEnumeration(t.Context(), run)
	w.ok(err)
	w.leave(run)
	if _, mine, err := other.ClaimEnumeration(t.Context(), run); err != nil || !mine {
		t.Errorf("the other worker's claim: %t, %v, want it granted", mine, err)
	}
}

func TestLeaveRun_finishedRunStaysAsItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Scheduled, alpha)
	w.record(run, Result{Claim: w.claim(run)})
	w.finish(run)
	w.leave(run)
	w.want("1|complete|t", states)
}

func TestReadRun_keepsTheRestriction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ask := RunRequest{Partner: "contoso", Kind: Once, ScheduledFor: minute(1), Customers: []string{beta}, Filter: "customer=" + beta}
	run := w.open(ask).Run
	if diff := cmp.Diff(run, w.readRun(run)); diff != "" {
		t.Errorf("the run read again: (-want +got)\n%s", diff)
	}
	w.want("customer="+beta+"|{"+beta+"}", "SELECT concat_ws('|', filter, customers) FROM partnersync.runs")
	if gone := w.readRun(Run{ID: 99}); gone.State != Abandoned {
		t.Errorf("a run that was removed is %+v, want it abandoned", gone)
	}
}

func TestFinishRun_oneWorkerEndsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Scheduled, alpha)
	w.record(run, Result{Claim: w.claim(run)})
	if first := w.finish(run); !first.EndedHere {
		t.Error("the first did not end it")
	}
	if second := w.another().finish(run); second.EndedHere || second.State != Complete {
		t.Errorf("the second: %+v", second)
	}
}

// A worker may wake after its run was given up and removed with other old ones: nothing is counted then.
func TestRecord_forARunThatWasRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.open(RunRequest{Partner: "contoso", Kind: Once, ScheduledFor: minute(1)}).Run
	enumeration, _, err := w.ClaimEnumeration(t.Context(), run)
	w.ok(err)
	w.exec("DELETE FROM partnersync.runs WHERE run_id = $1", run.ID)
	e := listed(alpha)
	e.Requests = 1
	done, err := w.RecordEnumeration(t.Context(), enumeration, e)
	if w.ok(err); done.Run.State != Abandoned {
		t.Errorf("%+v, want it abandoned", done.Run)
	}
	run = w.begin(Once, alpha)
	claim := w.claim(run)
	w.exec("DELETE FROM partnersync.runs WHERE run_id = $1", run.ID)
	_, err = w.MergeDeviceBatches(t.Context(), claim, complete("1"), []DeviceBatch{batch("a", "queued")})
	w.ok(err)
	w.record(run, Result{Claim: claim, Requests: 1})
	w.want("a", "SELECT batch_id FROM partner_center.device_batches")
}

// A worker that wakes after its run was given up and removed with other old ones has nothing to finish.
func TestFinishRun_ofARunThatWasRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Once, alpha)
	w.exec("DELETE FROM partnersync.runs WHERE run_id = $1", run.ID)
	if run = w.finish(run); run.State != Abandoned || run.EndedHere {
		t.Errorf("%+v, want it abandoned", run)
	}
	w.leave(run)
}
