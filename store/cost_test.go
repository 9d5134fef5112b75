package store

import (
	"fmt"
	"testing"

	"partnersync/migrations"
	"partnersync/store/localpg"
	"partnersync/store/storetest"
)

// TestUnchangedPass_costsNoWrite measures on a server of its own, where nobody else writes to the log.
func TestUnchangedPass_costsNoWrite(t *testing.T) {
	t.Parallel()
	const nCustomers, nBatches = 50, 2000
	w := worldOver(t, ownServer(t))
	rows := make([]DeviceBatch, nBatches)
	for i := range rows {
		rows[i] = batch(fmt.Sprintf("batch %d", i), "finished")
	}
	ids := customerIDs(nCustomers)
	load := w.begin(Scheduled, ids...)
	for _, c := range w.claims(load) {
		l := complete("digest of " + c.CustomerID)
		l.ObservedAt = minute(1)
		done, err := w.MergeDeviceBatches(t.Context(), c, l, rows)
		if w.ok(err); done.Inserted != nBatches {
			t.Fatalf("loaded %+v, want %d new rows", done, nBatches)
		}
		w.record(load, Result{Claim: c})
	}
	w.finish(load)

	run := w.begin(Scheduled, ids...)
	writesBefore, position := w.writes(), w.logPosition()
	if writesBefore < nCustomers*nBatches {
		t.Fatalf("%d rows were written by the first load, want %d at least", writesBefore, nCustomers*nBatches)
	}
	claims := w.claims(run)
	results := make([]Result, len(claims))
	for i, c := range claims {
		if string(c.BatchesDigest) != "digest of "+c.CustomerID {
			t.Fatalf("claim %+v, want the list's digest", c)
		}
		results[i] = Result{Claim: c, Confirmed: []Confirmation{{Resource: DeviceBatches, ObservedAt: minute(2)}}, Requests: 1}
	}
	w.record(run, results...)
	bytes := w.logPosition() - position
	if got := w.finish(run); got.State != Complete || got.Unchanged != nCustomers*nBatches {
		t.Errorf("run %+v, want it complete with %d unchanged rows", got, nCustomers*nBatches)
	}
	if got := w.writes() - writesBefore; got != 0 {
		t.Errorf("%d rows of partner_center were written, want 0", got)
	}
	t.Logf("%d bytes of write-ahead log for %d customers", bytes, nCustomers)
	if most := 650*nCustomers + 4000; bytes > most { // 4,000: the run's own
		t.Errorf("%d bytes of write-ahead log, want at most %d", bytes, most)
	}
	// The same rows under another digest are compared, and still not written.
	done, err := w.MergeDeviceBatches(t.Context(), w.claim(w.begin(Scheduled, ids...)), complete("another"), rows)
	if w.ok(err); done != (Outcome{Unchanged: nBatches}) {
		t.Errorf("merged %+v, want %d unchanged rows", done, nBatches)
	}
	if got := w.writes() - writesBefore; got != 0 {
		t.Errorf("%d rows of partner_center were written by a merge without a difference, want 0", got)
	}
}

// TestPass_readsFewOldRuns has as many runs behind it as half a year makes.
func TestPass_readsFewOldRuns(t *testing.T) {
	t.Parallel()
	w := worldOver(t, storetest.New(t).URL)
	w.exec(`INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, enumerated_at, finished_at, state)
		SELECT 'contoso', 'scheduled', t, t, t, t, 'complete'
		FROM generate_series($1::timestamptz - interval '180 days', $1::timestamptz - interval '1 minute', interval '15 minutes') t`, w.tick)
	w.exec("ANALYZE partnersync.runs")
	before := w.runsRead()
	w.finish(w.begin(Scheduled, alpha))
	if got := w.runsRead() - before; got > 100 {
		t.Errorf("a pass has read %d rows of runs, want as many as it asks for", got)
	}
}

// runsRead returns how many rows of partnersync.runs have been read so far.
func (w *world) runsRead() int64 {
	w.t.Helper()
	return w.statistic(`
		SELECT seq_tup_read + coalesce(idx_tup_fetch, 0)
		FROM pg_stat_user_tables
		WHERE relid = 'partnersync.runs'::regclass`)
}

// ownServer returns the URL of a migrated database on a server where nothing else runs.
func ownServer(t *testing.T) string {
	t.Helper()
	server, err := localpg.Start(t.Context(), localpg.Config{Settings: map[string]string{"fsync": "off", "autovacuum": "off", "full_page_writes": "off"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	url := server.URL("postgres")
	pool, err := OpenPool(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := migrations.Up(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	return url
}

// writes returns how many rows of partner_center have been written so far.
func (w *world) writes() int64 {
	w.t.Helper()
	return w.statistic(`
		SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint
		FROM pg_stat_user_tables
		WHERE schemaname = 'partner_center'`)
}

// statistic returns the number that a query reads from PostgreSQL's statistics. What follows has a new connection.
func (w *world) statistic(query string) int64 {
	w.t.Helper()
	w.pool.Reset()
	return storetest.Statistic(w.t, w.url, query)
}

// logPosition returns how many bytes the write-ahead log has had so far.
func (w *world) logPosition() (bytes int) {
	w.t.Helper()
	w.ok(w.pool.QueryRow(w.t.Context(), "SELECT pg_current_wal_insert_lsn() - '0/0'").Scan(&bytes))
	return bytes
}
