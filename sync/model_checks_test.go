package sync

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"partnersync/store"
	"partnersync/store/historytest"
)

// quietWorker returns a worker that reads everything.
func (m *model) quietWorker(request Request) *modelWorker {
	w := m.bareWorker()
	for _, p := range m.partners {
		partner := w.newPartner(p, 0)
		partner.Policies, partner.Devices, partner.DevicesRefresh, partner.Concurrency = true, true, time.Millisecond, 3
		w.runner.Partners = append(w.runner.Partners, partner)
	}
	w.request = request
	return w
}

// quietPasses makes passes until all is well, and then a backfill, which must find nothing new: no digest has kept
// anything from the passes before it. What removals are held by the guard, or wait for another partner to let go of a
// customer, takes a few passes.
func (m *model) quietPasses() {
	var runs []store.Run
	for try := 1; ; try++ {
		runs = m.quietPass(Request{Kind: store.Once})
		if m.t.Failed() || m.allWell(runs) {
			break
		}
		if try == 6 {
			m.t.Errorf("the sixth pass in a row is not complete: %+v", runs)
			return
		}
	}
	// A device list that the API has refused lastingly is read once a day, and by backfills.
	var refused int
	const query = "SELECT count(*) FROM partnersync.customer_state WHERE lists_refused > 0"
	if err := m.db.Pool.QueryRow(m.t.Context(), query).Scan(&refused); err != nil {
		m.t.Error(err)
	}
	if refused > 0 {
		m.quietPass(Request{Kind: store.Backfill, Restart: true})
	}
	runs = m.quietPass(Request{Kind: store.Backfill, Restart: true})
	for _, run := range runs {
		if run.Inserted+run.Changed+run.Removed > 0 {
			m.t.Errorf("a backfill finds what the pass before it has not: %+v", run)
		}
	}
	if !m.allWell(runs) {
		m.t.Errorf("after a complete pass, a backfill is none: %+v", runs)
	}
}

// quietPass makes a pass, and returns its runs.
func (m *model) quietPass(request Request) []store.Run {
	w := m.quietWorker(request)
	defer w.pool.Close()
	defer w.cancel()
	runs, err := w.pass()
	if err != nil {
		m.t.Errorf("%s, with nothing in its way: %v", w.name, err)
	}
	m.note("%s ends: %+v", w.name, runs)
	return runs
}

// allWell reports whether each customer is one of the partners', and ok there. A second partner that lists it fails
// with it.
func (m *model) allWell(runs []store.Run) bool {
	const query = `
		SELECT count(*) FILTER (WHERE partner = $1), count(*) FROM partner_center.customers WHERE removed_at IS NULL`
	for i, run := range runs {
		listed := 0
		for _, id := range m.customers {
			if m.partners[i].has(id) {
				listed++
			}
		}
		var own, all int
		if err := m.db.Pool.QueryRow(m.t.Context(), query, run.Partner).Scan(&own, &all); err != nil {
			m.t.Error(err)
		}
		wrong := run.Error != nil && listed > 0
		if all != len(m.customers) || wrong || run.CustomersOK != own || run.CustomersFailed != listed-own {
			return false
		}
	}
	return true
}

// none fails the test if a query has rows.
func (m *model) none(what, query string, args ...any) {
	m.t.Helper()
	rows, _ := m.db.Pool.Query(m.t.Context(), query, args...) // CollectRows returns its error
	found, err := pgx.CollectRows(rows, pgx.RowToMap)
	if err != nil {
		m.t.Error(err)
	}
	for _, row := range found {
		m.t.Errorf("%s: %s", what, fmt.Sprint(row))
	}
}

// checkRuns checks what the runs say of themselves.
func (m *model) checkRuns() {
	m.t.Helper()
	m.none("a run counts more customers than it has", `
		SELECT run_id, kind, state, customers_total, customers_ok, customers_failed
		FROM partner_center.sync_runs
		WHERE customers_ok + customers_failed > customers_total OR customers_ok + customers_failed > $1
		   OR customers_ok < 0 OR customers_failed < 0`, len(m.customers))
	m.none("a run's state does not go with its counts", `
		SELECT run_id, kind, state, customers_total, customers_ok, customers_failed, customers_deferred, error
		FROM partner_center.sync_runs
		WHERE state <> 'running' AND customers_ok + customers_failed + customers_deferred <> customers_total
		   OR customers_deferred > 0 AND kind <> 'scheduled' AND state <> 'abandoned'
		   OR state = 'complete' AND (customers_failed > 0 OR customers_total = 0 OR error IS NOT NULL)
		   OR state = 'partial' AND (customers_ok = 0 AND customers_failed > 0 OR customers_failed = 0 AND error IS NULL)
		   OR state = 'failed' AND (customers_ok > 0 OR customers_failed = 0 AND customers_total > 0)
		   OR (state = 'running') <> (finished_at IS NULL)`)
}

// checkClaims checks that nobody holds anything after the last worker has left.
func (m *model) checkClaims() {
	m.t.Helper()
	m.none("a claim is left", `
		SELECT customer_id::text AS claimed, partner, owner::text FROM partnersync.customer_state WHERE owner IS NOT NULL
		UNION ALL
		SELECT partner, partner, owner::text FROM partnersync.partner_state WHERE owner IS NOT NULL`)
	m.none("a worker is left", `
		SELECT worker_id::text FROM partnersync.live_workers`)
	m.none("a run is left open", `
		SELECT run_id, partner, kind FROM partner_center.sync_runs WHERE state = 'running' AND kind <> 'scheduled'`)
}

// checkHistory compares the history and the current rows with what was served.
func (m *model) checkHistory() {
	m.t.Helper()
	var served []historytest.Serving
	var changed []historytest.Change
	record := m.data.Timeline()
	for _, s := range record.Servings {
		served = append(served, historytest.Serving{
			List: historytest.List(s.List), At: s.At, CorrelationID: s.CorrelationID, First: s.First, Body: s.Body,
		})
	}
	for _, c := range record.Changes {
		changed = append(changed, historytest.Change{List: historytest.List(c.List), Key: c.Key, At: c.At})
	}
	damages, err := historytest.Check(m.t.Context(), m.db.Pool, served, changed,
		historytest.Options{CaughtUp: true, Pruned: m.pruned, Slack: 30 * time.Second})
	if err != nil {
		m.t.Error(err)
	}
	for _, d := range damages {
		m.t.Error(d)
	}
}
