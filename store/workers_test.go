package store

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func TestHeartbeat_registersTheWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want("test|t|t|00:01:00|t",
		`SELECT concat_ws('|', version, host <> '', heartbeat_at >= started_at, lease, worker_id = $1::uuid) FROM partnersync.workers`,
		w.Worker())
}

// That a worker's runs go on is told with its next heartbeat, even if the first try of that fails.
func TestHeartbeat_tellsOfProgress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run, other := w.begin(Scheduled, w.customer), w.begin(Once, w.customer)
	const told = `SELECT coalesce(string_agg(m.run_id || ' ' || (m.progressed_at > now() - interval '1 hour'), ', '), 'none')
		FROM partnersync.run_workers m WHERE m.progressed_at IS NOT NULL`
	recent, old := fmt.Sprint(run.ID, " true"), fmt.Sprint(run.ID, " false")
	heartbeat := func(want string) {
		t.Helper()
		w.exec(`UPDATE partnersync.run_workers SET progressed_at = progressed_at - interval '1 day'`)
		w.ok(w.Heartbeat(t.Context()))
		w.want(want, told)
	}
	w.NoteProgress(run)
	w.want("none", told)
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := w.Heartbeat(stopped); err == nil {
		t.Error("a heartbeat without time for it succeeds")
	}
	heartbeat(recent)
	heartbeat(old)
	w.record(run, Result{Claim: w.claim(run)})
	heartbeat(recent)
	heartbeat(old)
	w.record(other, Result{Claim: w.claim(other)})
	heartbeat(fmt.Sprint(run.ID, " false, ", other.ID, " true"))
}

func TestLeave_forgetsThisWorkerAndThoseLongDead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	live, dead, longDead := w.another(), w.another(), w.another()
	age := func(worker *world, leases int) {
		w.exec("UPDATE partnersync.workers SET heartbeat_at = heartbeat_at - $1::interval WHERE worker_id = $2::uuid",
			time.Duration(leases)*worker.Lease(), worker.Worker())
	}
	age(dead, 9)
	age(longDead, 11)
	w.ok(w.Leave(t.Context()))
	w.want("2|2", "SELECT concat_ws('|', count(*), count(*) FILTER (WHERE worker_id IN ($1::uuid, $2::uuid))) FROM partnersync.workers", live.Worker(), dead.Worker())
	w.ok(w.Leave(t.Context()))
}

func TestNew_zeroOptions(t *testing.T) {
	t.Parallel()
	first, second := New(nil, Options{}), New(nil, Options{Lease: 2 * time.Second})
	if first.Lease() != DefaultLease || second.Lease() != 2*time.Second {
		t.Errorf("leases %s and %s, want %s and 2s", first.Lease(), second.Lease(), DefaultLease)
	}
	if first.Worker() == second.Worker() {
		t.Error("two workers have the same id")
	}
}
