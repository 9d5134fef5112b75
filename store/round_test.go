package store

import (
	"fmt"
	"testing"
	"time"
)

func TestLoad_Rounds(t *testing.T) {
	t.Parallel()
	quarter := Rate{RequestsPerMinute: 500, Interval: 15 * time.Minute}
	for name, tt := range map[string]struct {
		load           Load
		rate           Rate
		urgent, atRest time.Duration
	}{
		"all are read at each tick":              {Load{Urgent: 500, AtRest: 3000, Policies: 3000}, quarter, 15 * time.Minute, 15 * time.Minute},
		"a large partner":                        {Load{Urgent: 1000, AtRest: 19_000, Policies: 19_000}, quarter, 15 * time.Minute, 45 * time.Minute},
		"nobody is urgent":                       {Load{AtRest: 20_000, Policies: 20_000}, quarter, 15 * time.Minute, 41 * time.Minute},
		"the urgent alone need more":             {Load{Urgent: 15_000, AtRest: 5000}, quarter, 33 * time.Minute, 100 * time.Minute},
		"no limit, at the rate of the last hour": {Load{Urgent: 1000, AtRest: 19_000, PerMinute: 250}, Rate{Interval: 15 * time.Minute}, 15 * time.Minute, 103 * time.Minute},
		"no limit, and no hour yet":              {Load{Urgent: 1000, AtRest: 19_000}, Rate{Interval: 15 * time.Minute}, 15 * time.Minute, 15 * time.Minute},
		"more policies a day than there is rate": {Load{AtRest: 2_000_000, Policies: 2_000_000}, quarter, 15 * time.Minute, 40_000 * time.Minute},
	} {
		urgent, atRest := tt.load.Rounds(tt.rate)
		if urgent, atRest = urgent.Truncate(time.Minute), atRest.Truncate(time.Minute); urgent != tt.urgent || atRest != tt.atRest {
			t.Errorf("%s: rounds of %s and %s, want %s and %s", name, urgent, atRest, tt.urgent, tt.atRest)
		}
	}
}

// The view and the order of passes agree on who is urgent, and the view says when each is expected to be read.
func TestSyncFreshness_urgent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	states := []string{
		"", "reread = true", "last_success_at = NULL", "last_success_at = NULL, last_attempt_at = now(), consecutive_failures = 4",
		"consecutive_failures = 3", "consecutive_failures = 4", "consecutive_failures = 4, reread = true",
		"unfinished_at = now() - interval '6 days'", "unfinished_at = now() - interval '8 days'",
		"changed_at = now() - interval '23 hours'", "changed_at = now() - interval '25 hours'",
		"changed_at = now(), consecutive_failures = 5",
	}
	ids := customerIDs(len(states))
	run := w.begin(Scheduled, ids...)
	for _, c := range w.claims(run) {
		w.record(run, Result{Claim: c})
	}
	for i, state := range states {
		if state != "" {
			w.exec("UPDATE partnersync.customer_state SET "+state+" WHERE customer_id = $1", ids[i])
		}
	}
	w.want("0", "SELECT concat_ws('|', count(next_expected_at)) FROM partner_center.sync_freshness")
	tick := time.Now().Add(15 * time.Minute).UTC().Truncate(time.Second)
	run.Rate = Rate{RequestsPerMinute: 1, Interval: time.Minute, NextTick: tick}
	w.finish(run)
	candidates, err := w.Candidates(t.Context(), w.begin(Scheduled, ids...))
	w.ok(err)
	if len(candidates) != len(states) {
		t.Fatalf("%d candidates, want %d", len(candidates), len(states))
	}
	for _, c := range candidates {
		want := fmt.Sprintf("%t|%t", c.Urgent(w.Now()), c.Urgent(w.Now()))
		w.want(want, `SELECT concat_ws('|', urgent::text, (next_expected_at = $2)::text) FROM partner_center.sync_freshness
			WHERE customer_id = $1`, c.CustomerID, tick)
	}
	w.want("6", "SELECT concat_ws('|', count(*)) FROM partner_center.sync_freshness WHERE urgent")
}
