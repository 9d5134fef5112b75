//go:build unix

package main

import (
	"fmt"
	"testing"
	"time"

	"partnersync/sync/partnercenter/partnercentertest"
)

// TestTrial_clocksAreSet sets the clocks of the database and of the daemon back by a day and an hour, and forward again,
// once, and twenty times in the long form. Nobody here can set a machine's clock, so it is everything stored that moves:
// to a daemon that goes by nothing else, that is the same.
func TestTrial_clocksAreSet(t *testing.T) {
	t.Parallel()
	rounds := 1
	if *soak {
		rounds = 20
	}
	const by = 25 * time.Hour // more than anything may lie ahead
	db := trialDatabase(t)
	tr := newTrial(t, 800, db.Pool, partnercentertest.Options{})
	stop := tr.mutate(20 * time.Millisecond)
	tr.mark("begin")
	r := tr.replica(tr.serve(nil), db.URL)
	tr.awaitMark("begin")
	for n := range rounds {
		for _, shift := range []time.Duration{by, -by} {
			tr.shift(shift)
			status := fmt.Sprint("round ", n, " after ", shift)
			tr.mark(status)
			tr.awaitMark(status)
		}
	}
	stop()
	tr.untilPasses(2)
	r.end()
	tr.unchanged(r)
	tr.joined()
}

// shift moves every time in the database, as if the clocks had been set by as much in the other direction. A deadlock
// with the daemon is tried again.
func (tr *trial) shift(by time.Duration) {
	tr.t.Helper()
	const sql = `
		DO $$
		DECLARE
		    moved record;
		BEGIN
		    -- No write is under way, since each locks one of them first.
		    LOCK TABLE partnersync.partner_state, partnersync.customer_state IN EXCLUSIVE MODE;
		    FOR moved IN
		        SELECT format('UPDATE %%I.%%I SET %%s', table_schema, table_name,
		                      string_agg(format('%%1$I = (%%1$I AT TIME ZONE ''UTC'' + interval ''%[1]s'') AT TIME ZONE ''UTC''',
		                                        column_name), ', ')) AS sql -- IMMUTABLE, for a cluster
		        FROM information_schema.columns
		        JOIN information_schema.tables USING (table_schema, table_name)
		        WHERE table_schema IN ('partner_center', 'partnersync') AND table_type = 'BASE TABLE'
		          AND data_type = 'timestamp with time zone'
		          AND column_name NOT LIKE '%%\_date' -- which are the API's
		        GROUP BY table_schema, table_name
		    LOOP
		        EXECUTE moved.sql;
		    END LOOP;
		END $$`
	tr.until("the clocks to be set", func() bool {
		_, err := tr.pool.Exec(tr.t.Context(), fmt.Sprintf(sql, fmt.Sprintf("%f seconds", by.Seconds())))
		if err != nil {
			tr.t.Logf("setting the clocks: %v", err)
		}
		return err == nil
	})
}

// untilPasses waits until so many whole passes have been made from now on.
func (tr *trial) untilPasses(n int) {
	tr.t.Helper()
	var newest int64
	const last = `SELECT max(run_id) FROM partner_center.sync_runs`
	if err := tr.pool.QueryRow(tr.t.Context(), last).Scan(&newest); err != nil {
		tr.t.Fatal(err)
	}
	tr.until("whole passes", func() bool {
		const query = `SELECT count(*) FROM partner_center.sync_runs WHERE run_id > $1 AND state = 'complete'`
		var passes int
		return tr.pool.QueryRow(tr.t.Context(), query, newest).Scan(&passes) == nil && passes >= n
	})
}

// unchanged makes a backfill, which compares everything, and wants it to find the batches and devices as they are.
// Policies are not read in each pass.
func (tr *trial) unchanged(r *replica) {
	tr.t.Helper()
	const query = `
		SELECT concat_ws(' ', (SELECT count(*) FROM partner_center.device_batch_history),
		                      (SELECT count(*) FROM partner_center.device_history))`
	versions := func() (text string) {
		if err := tr.pool.QueryRow(tr.t.Context(), query).Scan(&text); err != nil {
			tr.t.Fatal(err)
		}
		return text
	}
	before := versions()
	printed := tr.backfill(r)
	if after := versions(); after != before {
		tr.t.Errorf("a backfill finds what passes have not: there were %s versions, and are %s: %s", before, after, printed)
	}
}

// joined wants the versions of each row to follow each other without gap or overlap.
func (tr *trial) joined() {
	tr.t.Helper()
	for table, key := range map[string]string{
		"device_batch_history": "batch_id", "device_history": "batch_id, device_id", "configuration_policy_history": "policy_id",
	} {
		query := fmt.Sprintf(`
			SELECT count(*), count(*) FILTER (WHERE valid_from >= valid_to OR valid_from <> before)
			FROM (
			    SELECT valid_from, valid_to,
			           lag(valid_to) OVER (PARTITION BY customer_id, %s ORDER BY valid_from) AS before
			    FROM partner_center.%s
			) v`, key, table)
		var versions, broken int
		if err := tr.pool.QueryRow(tr.t.Context(), query).Scan(&versions, &broken); err != nil || versions == 0 || broken > 0 {
			tr.t.Errorf("%s: %d of %d versions do not join the one before, %v", table, broken, versions, err)
		}
	}
}
