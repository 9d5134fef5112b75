package store

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// reserve reserves places half an hour apart: the time that the test itself takes is nothing beside it.
func (w *world) reserve(n int) (wait, pause time.Duration) {
	w.t.Helper()
	wait, pause, err := w.Reserve(w.t.Context(), "contoso", n, 30*time.Minute)
	w.ok(err)
	return wait, pause
}

// wantReserved checks up to when places are reserved, to the minute, from now.
func (w *world) wantReserved(want string) {
	w.t.Helper()
	w.want(want, "round(extract(epoch FROM reserved_until - clock_timestamp()) / 60)) FROM partnersync.partner_pace")
}

func TestReserve_blocksFollowEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.another()
	for i, test := range []struct {
		by   *world
		n    int
		want time.Duration
	}{{w, 1, 0}, {other, 4, 30 * time.Minute}, {w, 1, 150 * time.Minute}, {w, 2, 3 * time.Hour}} {
		wait, pause := test.by.reserve(test.n)
		if got := wait.Round(time.Minute); got != test.want || pause != 0 {
			t.Errorf("block %d begins in %s with a pause of %s, want %s and 0", i+1, got, pause, test.want)
		}
	}
	w.wantReserved("240")
	if wait, _, err := w.Reserve(t.Context(), "fabrikam", 1, time.Minute); err != nil || wait != 0 {
		t.Errorf("another partner's first block begins in %s, %v", wait, err)
	}
}

func TestReserve_atTheSameTimeGivesNoPlaceTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var g errgroup.Group
	for range 10 {
		other := w.another()
		g.Go(func() error {
			for range 3 {
				if _, _, err := other.Reserve(t.Context(), "contoso", 2, 30*time.Minute); err != nil {
					return err
				}
			}
			return nil
		})
	}
	w.ok(g.Wait())
	w.wantReserved("1800")
}

func TestReserve_placesOfThePastLapse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.reserve(1)
	w.exec("UPDATE partnersync.partner_pace SET reserved_until = reserved_until - interval '1 day'")
	if wait, _ := w.reserve(1); wait != 0 {
		t.Errorf("after a day's rest the next block begins in %s", wait)
	}
	w.wantReserved("30")
}

func TestReserve_nothingInAPause(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok(w.Pause(t.Context(), "contoso", time.Hour)) // before any reservation, and any run
	for range 2 {
		if wait, pause := w.reserve(3); wait != 0 || pause.Round(time.Minute) != time.Hour {
			t.Errorf("wait of %s and pause of %s, want 0 and an hour", wait, pause)
		}
	}
	w.want("t", "reserved_until IS NULL) FROM partnersync.partner_pace")
	w.exec("UPDATE partnersync.partner_pace SET paused_until = clock_timestamp() - interval '1 second'")
	w.reserve(1)
	w.ok(w.Pause(t.Context(), "contoso", time.Hour))
	w.reserve(1)
	w.wantReserved("30")
	w.want("f", "(SELECT count(*) FROM partnersync.partner_state) > 0)") // whose rows others may have locked
}

// A server whose clock went back by days must not keep everybody waiting for days.
func TestReserve_clockThatGoesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.reserve(1)
	w.exec("UPDATE partnersync.partner_pace SET reserved_until = reserved_until + interval '7 days'")
	if wait, _ := w.reserve(1); wait != 0 {
		t.Errorf("the next block begins in %s", wait)
	}
	w.wantReserved("30")
}

// The rate goes on while somebody holds the partner's state, as a frozen replica may.
func TestReserve_waitsForNoTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.open(scheduled(1, 1))
	tx, err := w.pool.Begin(t.Context())
	w.ok(err)
	defer tx.Rollback(t.Context())
	batch := &pgx.Batch{}
	lockPartner(batch, "contoso")
	w.ok(tx.SendBatch(t.Context(), batch).Close())
	w.reserve(1)
	w.ok(w.Pause(t.Context(), "contoso", time.Minute))
}

func TestReserve_leavesTheSessionAsItWas(t *testing.T) {
	t.Parallel()
	w := worldOver(t, withParameter(t, newWorld(t).url, "pool_max_conns", "1"))
	const setting = "current_setting('synchronous_commit'))"
	before := w.lines(setting)
	w.reserve(1)
	w.want(before, setting)
}

func TestPause_isKeptForAllReplicasAndNeverShortened(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.open(scheduled(1, 1))
	left := func(partner string) time.Duration {
		t.Helper()
		d, err := w.another().PauseOf(t.Context(), partner)
		w.ok(err)
		return d
	}
	for _, partner := range []string{"contoso", "unknown"} {
		if d := left(partner); d != 0 {
			t.Errorf("partner %s is paused for %s, want 0", partner, d)
		}
	}
	w.ok(w.Pause(t.Context(), "contoso", 24*time.Hour))
	until := w.lines("paused_until) FROM partnersync.partner_pace")
	if d := left("contoso"); d <= 0 || d > 24*time.Hour {
		t.Errorf("paused for %s, want up to a day", d)
	}
	w.ok(w.Pause(t.Context(), "contoso", time.Minute))
	w.want(until, "paused_until) FROM partnersync.partner_pace")
	w.exec("UPDATE partnersync.partner_pace SET paused_until = clock_timestamp() - interval '1 second'")
	if d := left("contoso"); d != 0 {
		t.Errorf("paused for %s after the pause, want 0", d)
	}
}

func TestPause_comesWithClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, paused := range []bool{false, true} {
		if paused {
			w.ok(w.Pause(t.Context(), "contoso", time.Hour))
		}
		opened := w.open(RunRequest{Partner: "contoso", Kind: Once, ScheduledFor: w.tick, Enumerate: true})
		enumerated, err := w.SettleCustomers(t.Context(), *opened.Enumeration, Enumeration{
			Customers: named([]string{alpha}), ObservedAt: minute(1), Complete: true, Claim: 1,
		})
		w.ok(err)
		claim := enumerated.Claims[0]
		for what, pause := range map[string]time.Duration{"enumeration": opened.Enumeration.Pause, "customer": claim.Pause} {
			if pause > time.Hour || paused != (pause > 59*time.Minute) || pause < 0 {
				t.Errorf("paused %v: the claim on the %s says %s", paused, what, pause)
			}
		}
		w.record(enumerated.Run, Result{Claim: claim})
		w.finish(enumerated.Run)
	}
}
