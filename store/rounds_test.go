package store

import (
	"testing"
	"time"
)

// hm is an expression for the hour and minute of a time, "-" for null.
func hm(column string) string {
	return "coalesce(to_char(" + column + " AT TIME ZONE 'UTC', 'HH24:MI'), '-')"
}

var (
	rounds = `SELECT concat_ws('|', round, ` + hm("began_after") + `, ` + hm("began_by") + `, ` + hm("finished_after") + `, ` + hm("finished_by") + `,
		coalesce(duration::text, '-'), coalesce(outcome, '-'), ` + hm("removed_by") + `, begin_seen)
		FROM partner_center.device_batch_rounds WHERE customer_id = $1 AND batch_id = $2 ORDER BY round`
	periods = `SELECT concat_ws('|', coalesce(status, '-'), ` + hm("began_after") + `, ` + hm("began_by") + `, ` + hm("ended_after") + `, ` + hm("ended_by") + `,
		CASE WHEN ended_by IS NULL THEN CASE WHEN duration = now() - began_by THEN 'lasts' ELSE 'unknown' END ELSE coalesce(duration::text, 'unknown') END)
		FROM partner_center.device_batch_status_periods WHERE customer_id = $1 AND batch_id = $2 ORDER BY began_by NULLS FIRST`
)

func TestDeviceBatchRoundsAndPeriods(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		states  []string // minute by minute
		rounds  string   // round, began after, began by, finished after, finished by, duration, outcome, removed by, begin seen
		periods string   // status, began after, began by, ended after, ended by, duration
	}{
		{"there at first", []string{"queued", "processing", "processing", "Finished"}, `
			1|-|00:01|00:03|00:04|00:03:00|Finished|-|f`, `
			queued|-|00:01|00:01|00:02|00:01:00
			processing|00:01|00:02|00:03|00:04|00:02:00
			Finished|00:03|00:04|-|-|lasts`},
		{"created later", []string{absent, "queued", "finished"}, `
			1|-|00:02|00:02|00:03|00:01:00|finished|-|t`, `
			queued|-|00:02|00:02|00:03|00:01:00
			finished|00:02|00:03|-|-|lasts`},
		{"several rounds", []string{absent, "queued", "finished-with-errors", "finished", "finished", "processing", "processing", "finished", noStatus}, `
			1|-|00:02|00:02|00:03|00:01:00|finished-with-errors|-|t
			2|00:05|00:06|00:07|00:08|00:02:00|finished|-|t
			3|00:08|00:09|-|-|-|-|-|t`, `
			queued|-|00:02|00:02|00:03|00:01:00
			finished-with-errors|00:02|00:03|00:03|00:04|00:01:00
			finished|00:03|00:04|00:05|00:06|00:02:00
			processing|00:05|00:06|00:07|00:08|00:02:00
			finished|00:07|00:08|00:08|00:09|00:01:00
			-|00:08|00:09|-|-|lasts`},
		{"found finished", []string{"finished", "FINISHED_WITH_ERRORS", "queued", "finished"}, `
			1|00:02|00:03|00:03|00:04|00:01:00|finished|-|t`, `
			finished|-|00:01|00:01|00:02|00:01:00
			FINISHED_WITH_ERRORS|00:01|00:02|00:02|00:03|00:01:00
			queued|00:02|00:03|00:03|00:04|00:01:00
			finished|00:03|00:04|-|-|lasts`},
		{"never unfinished", []string{"finished", absent, "finished"}, "", `
			finished|-|00:01|00:01|00:02|00:01:00
			finished|00:02|00:03|-|-|lasts`},
		{"gone and back in between", []string{absent, "queued", absent, absent, "queued", "finished", absent, "finished"}, `
			1|-|00:02|00:05|00:06|00:04:00|finished|-|t`, `
			queued|-|00:02|00:02|00:03|00:01:00
			queued|00:04|00:05|00:05|00:06|00:01:00
			finished|00:05|00:06|00:06|00:07|00:01:00
			finished|00:07|00:08|-|-|lasts`},
		{"back in the next status", []string{absent, "queued", absent, "finished", absent, "processing"}, `
			1|-|00:02|00:03|00:04|00:02:00|finished|-|t
			2|00:05|00:06|-|-|-|-|-|t`, `
			queued|-|00:02|00:02|00:03|00:01:00
			finished|00:03|00:04|00:04|00:05|00:01:00
			processing|00:05|00:06|-|-|lasts`},
		{"gone for good", []string{absent, "queued", "processing", absent}, `
			1|-|00:02|-|-|-|-|00:04|t`, `
			queued|-|00:02|00:02|00:03|00:01:00
			processing|00:02|00:03|00:03|00:04|00:01:00`},
		{"gone finished", []string{absent, "queued", "finished", absent}, `
			1|-|00:02|00:02|00:03|00:01:00|finished|-|t`, `
			queued|-|00:02|00:02|00:03|00:01:00
			finished|00:02|00:03|00:03|00:04|00:01:00`},
		{"case is another status", []string{"queued", "Queued"}, `
			1|-|00:01|-|-|-|-|-|f`, `
			queued|-|00:01|00:01|00:02|00:01:00
			Queued|00:01|00:02|-|-|lasts`},
	}
	w, states := newWorld(t), map[string][]string{}
	for _, test := range tests {
		states[test.name] = test.states
	}
	w.stories(states)
	for _, test := range tests {
		w.run(test.name, func(*testing.T) {
			w.want(test.rounds, rounds, alpha, test.name)
			w.want(test.periods, periods, alpha, test.name)
		})
	}
}

func TestDeviceBatchRounds_otherColumns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, b := range []DeviceBatch{
		{Status: ptr("queued"), DevicesCount: ptr(int32(1))},
		{Status: ptr("queued"), DevicesCount: ptr(int32(2)), CreationDate: ptr(minute(0))}, // neither a round nor a period
		{Status: ptr("finished"), DevicesCount: ptr(int32(3))},
		{Status: ptr("finished"), DevicesCount: ptr(int32(4))},
	} {
		b.BatchID = "b"
		w.pass(minute(i+1), complete(""), b)
	}
	w.want("3|120|t", `SELECT concat_ws('|', devices_count, duration_seconds, batch_key = partner_center.batch_key(customer_id, batch_id))
		FROM partner_center.device_batch_rounds`)
	w.want("queued|120|t\nfinished|true|t", `SELECT concat_ws('|', status, CASE WHEN ended_by IS NULL THEN (duration_seconds > 0)::text ELSE duration_seconds::text END,
		batch_key = partner_center.batch_key(customer_id, batch_id)) FROM partner_center.device_batch_status_periods ORDER BY began_by`)
}

func TestDeviceBatchRoundsAndPeriods_customersThatLeaveAndReturn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	renamed := listed(alpha, beta)
	renamed.Customers[0].CompanyName = ptr("Alpha Ltd") // which ends nothing
	w.pass(minute(1), complete("1"), batch("b", "queued"), batch("gone", "queued"))
	w.exec(`UPDATE partner_center.customers SET first_seen_at = $1`, minute(0))
	w.pass(minute(2), complete("2"), batch("b", "processing"))
	w.enumerate("contoso", minute(3), renamed)
	w.enumerate("contoso", minute(4), listed(beta))
	w.want("processing|00:01|00:02|00:03|00:04|00:02:00", periods+" OFFSET 1", alpha, "b")
	w.want("1|-|00:01|-|-|-|-|-|f", rounds, alpha, "b")
	w.enumerate("contoso", minute(6), renamed)
	w.enumerate("contoso", minute(7), listed(beta))
	w.enumerate("contoso", minute(8), renamed)
	w.pass(minute(9), complete("3"), batch("b", "finished"))
	w.want(`
		queued|-|00:01|00:01|00:02|00:01:00
		processing|00:01|00:02|00:03|00:04|00:02:00
		processing|00:04|00:06|00:06|00:07|00:01:00
		processing|00:07|00:08|00:02|00:09|00:01:00
		finished|00:02|00:09|-|-|lasts`, periods, alpha, "b")
	w.want("queued|-|00:01|00:01|00:02|00:01:00", periods, alpha, "gone")
	w.want("1|-|00:01|00:02|00:09|00:08:00|finished|-|f", rounds, alpha, "b")
	w.want("1|-|00:01|-|-|-|-|00:02|f", rounds, alpha, "gone")
	w.want("processing|00:04:00", `SELECT concat_ws('|', status, sum(duration)) FROM partner_center.device_batch_status_periods
		WHERE status = 'processing' GROUP BY status`)
}

func TestPruneVersions_roundsAndPeriodsThatBeganBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stories(map[string][]string{
		"many":     {absent, "queued", "finished", "processing", "queued", "finished", "queued"},
		"one":      {absent, "queued", "processing", "processing", "processing", "finished"},
		"gone":     {absent, "queued", "processing", absent},
		"finished": {absent, "queued", "finished"},
	})
	prune := func(before time.Time) {
		_, err := w.PruneVersions(t.Context(), Pruning{Before: before})
		w.ok(err)
	}
	prune(minute(5)) // where the second round of many is queued since
	w.want(`
		1|-|-|00:05|00:06|-|finished|-|f
		2|00:06|00:07|-|-|-|-|-|t`, rounds, alpha, "many")
	w.want(`
		processing|-|-|00:04|00:05|unknown
		queued|00:04|00:05|00:05|00:06|00:01:00
		finished|00:05|00:06|00:06|00:07|00:01:00
		queued|00:06|00:07|-|-|lasts`, periods, alpha, "many")
	w.want("1|-|-|00:05|00:06|-|finished|-|f", rounds, alpha, "one")
	w.want("1|-|-|-|-|-|-|00:04|f", rounds, alpha, "gone")
	w.want("", rounds, alpha, "finished")
	w.want("finished|-|-|-|-|unknown", periods, alpha, "finished")
	w.want("", periods, alpha, "gone")
	prune(minute(60))
	w.want("1|-|-|-|-|-|-|-|f", rounds, alpha, "many")
	w.want("queued|-|-|-|-|unknown", periods, alpha, "many")
	w.want("", rounds, alpha, "one")
}

func TestPruneVersions_periodsOfACustomerWhoseReturnWasPruned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pass(minute(1), complete("1"), batch("b", "queued"))
	w.exec(`UPDATE partner_center.customers SET first_seen_at = $1`, minute(0))
	w.enumerate("contoso", minute(3), listed(beta))
	w.enumerate("contoso", minute(4), listed(alpha, beta))
	w.pass(minute(5), complete("2"), batch("b", "queued"), batch("new", "queued"))
	_, err := w.PruneVersions(t.Context(), Pruning{Before: minute(6)})
	w.ok(err)
	w.want("queued|-|-|-|-|unknown", periods, alpha, "b")
	w.want("queued|-|00:05|-|-|lasts", periods, alpha, "new")
}
