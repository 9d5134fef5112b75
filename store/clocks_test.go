package store

import (
	"errors"
	"testing"
	"time"
)

// Clocks that are set, of the database or of an application: times that have been left in the future must not be obeyed for
// longer than they could ever have been meant.

func TestClaims_heartbeatAheadCountsAsNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Scheduled, alpha)
	w.claim(run)
	other := w.another()
	w.exec("UPDATE partnersync.workers SET heartbeat_at = heartbeat_at + interval '1 day' WHERE worker_id = $1::uuid", w.Worker())
	if got := other.claim(run); got.Epoch != 2 {
		t.Errorf("claimed %+v, want epoch 2", got)
	}
	w.ok(w.Heartbeat(t.Context()))
	w.want("t", "SELECT (max(heartbeat_at) <= clock_timestamp())::text::char FROM partnersync.workers")
}

func TestPace_pauseAheadRunsOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok(w.Pause(t.Context(), "contoso", time.Minute))
	w.exec("UPDATE partnersync.partner_pauses SET paused_until = paused_until + interval '1 day'")
	pace, err := w.Pace(t.Context(), "contoso")
	w.ok(err)
	if pace.Pause != longestPause {
		t.Errorf("paused for %s, want the longest pause", pace.Pause)
	}
	w.want("t", "SELECT (paused_until <= clock_timestamp() + interval '5 minutes')::text::char FROM partnersync.partner_pauses")
	w.exec("UPDATE partnersync.partner_pauses SET paused_until = paused_until + interval '1 day'")
	w.ok(w.Pause(t.Context(), "contoso", time.Hour))
	w.want("t", "SELECT (paused_until <= clock_timestamp() + interval '5 minutes')::text::char FROM partnersync.partner_pauses")
}

func TestLeaseToken_leaseAheadRunsOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok(w.SignIn(t.Context(), "contoso", "somebody", []byte("token")))
	_, err := w.LeaseToken(t.Context(), "contoso", time.Minute)
	w.ok(err)
	w.exec("UPDATE partnersync.user_sign_ins SET leased_until = leased_until + interval '1 day'")
	if _, err := w.another().LeaseToken(t.Context(), "contoso", time.Minute); !errors.Is(err, ErrTokenLeased) {
		t.Errorf("got %v, want ErrTokenLeased", err)
	}
	w.want("t", "SELECT (leased_until <= clock_timestamp() + interval '1 minute')::text::char FROM partnersync.user_sign_ins")
}

func TestOpenRun_runsAheadHoldNoTickBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tick = time.Now().Truncate(time.Minute).Add(-time.Hour)
	pass := func() Run {
		run := w.begin(Scheduled, alpha)
		for _, c := range w.claims(run) {
			w.record(run, Result{Claim: c})
		}
		return w.finish(run)
	}
	pass()
	for range 2 { // the second tick of a clock that was an hour ahead is one that was made before
		w.exec("UPDATE partnersync.runs SET scheduled_for = scheduled_for + interval '1 day' WHERE run_id = (SELECT max(run_id) FROM partnersync.runs)")
		if run := pass(); run.State != Complete {
			t.Errorf("the tick after one that lies ahead: %+v, want it complete", run)
		}
		w.tick = w.tick.Add(-time.Minute)
	}
}

func TestOpenRun_backfillAheadIsNotResumedForEver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Backfill, alpha)
	w.leave(run)
	w.exec("UPDATE partnersync.runs SET started_at = started_at + interval '25 hours'")
	if opened := w.open(RunRequest{Partner: "contoso", Kind: Backfill, ScheduledFor: w.tick}); opened.Resumed {
		t.Errorf("opened %+v, want a new backfill", opened)
	}
}

// Lists that were confirmed ahead of the clock are read once, and then after the refresh time.
func TestDevices_confirmedAheadOfTheClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	batches, lists := []DeviceBatch{batch("a", "finished")}, deviceLists{"a": {device("1")}}
	w.devicesPass(Scheduled, batches, lists)
	read, _ := w.devicesPass(Scheduled, batches, lists)
	w.wantRead("nothing is due", read)
	w.exec("UPDATE partnersync.list_state SET confirmed_at = confirmed_at + interval '10 days', observed_at = observed_at + interval '10 days'")
	w.exec("UPDATE partnersync.customer_state SET devices_due_at = devices_due_at + interval '10 days'")
	read, _ = w.devicesPass(Scheduled, batches, lists)
	w.wantRead("after the clock was set back", read, "a")
	read, _ = w.devicesPass(Scheduled, batches, lists)
	w.wantRead("not at each pass", read)
	w.want("f", `SELECT (max(valid_from) < $1)::text::char FROM partner_center.devices`, minute(0))
}

// earlier and later confirmations as the pure function sees them.
func TestDeviceList_dueAt(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) *time.Time { return ptr(now.Add(-d)) }
	read := func(l DeviceList) DeviceList {
		l.CustomerID, l.BatchID, l.Status, l.ReadStatus = alpha, "b", ptr("finished"), ptr("finished")
		l.ValidFrom, l.FirstSeenAt = now.Add(-30*day), now.Add(-30*day)
		return l
	}
	changed := read(DeviceList{ConfirmedAt: ago(time.Hour)})
	changed.Status = ptr("processing")
	young := read(DeviceList{ConfirmedAt: ago(time.Hour)})
	young.Status, young.ReadStatus, young.FirstSeenAt = ptr("processing"), ptr("processing"), now.Add(-6*day)
	old := young
	old.FirstSeenAt = now.Add(-8 * day)
	for name, test := range map[string]struct {
		list     DeviceList
		from, to time.Duration // from now
	}{
		"never read":                        {read(DeviceList{}), -30 * day, -30 * day},
		"changed since":                     {changed, -30 * day, -30 * day},
		"failed":                            {read(DeviceList{ConfirmedAt: ago(day), StaleAt: ago(time.Hour)}), -time.Hour, -time.Hour},
		"failed, by a clock that was ahead": {read(DeviceList{ConfirmedAt: ago(day), StaleAt: ago(-time.Hour)}), 0, 0},
		"unfinished in its first week":      {young, -time.Hour, -time.Hour},
		"unfinished for longer":             {old, 23 * time.Hour, 29 * time.Hour},
		"finished":                          {read(DeviceList{ConfirmedAt: ago(time.Hour)}), 23 * time.Hour, 29 * time.Hour},
		"confirmed ahead of the clock":      {read(DeviceList{ConfirmedAt: ago(-10 * day)}), day, 30 * time.Hour},
	} {
		if got := test.list.dueAt(day, now).Sub(now); got < test.from || got > test.to {
			t.Errorf("%s: due in %s, want %s to %s", name, got, test.from, test.to)
		}
	}
}
