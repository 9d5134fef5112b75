package store

import (
	"fmt"
	"testing"
	"time"
)

// stories merges what becomes of several batches, a minute for each state; the last one stays. Some batches beside them
// never change.
func (w *world) stories(states map[string][]string) {
	w.t.Helper()
	minutes := 0
	for _, s := range states {
		minutes = max(minutes, len(s))
	}
	for m := range minutes {
		rows := batches(0, len(states)+1) // so that no removal is held
		for id, s := range states {
			switch status := s[min(m, len(s)-1)]; status {
			case absent:
			case noStatus:
				rows = append(rows, DeviceBatch{BatchID: id})
			default:
				rows = append(rows, batch(id, status))
			}
		}
		w.pass(minute(m+1), Listing{Complete: true}, rows...)
	}
}

const (
	absent   = "(absent)"
	noStatus = "(none)"
)

func TestDeviceBatchStatusChanges(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		states []string // minute by minute
		want   string   // from, to, changed after, changed by, time in the status before
	}{
		{"first", []string{"queued"}, `
			-|queued|-|00:01|-`},
		{"every change", []string{"queued", "processing", "processing", "finished"}, `
			-|queued|-|00:01|-
			queued|processing|00:01|00:02|00:01:00
			processing|finished|00:03|00:04|00:02:00`},
		{"removal and return", []string{"queued", absent, absent, "queued"}, `
			-|queued|-|00:01|-`},
		{"another status after a return", []string{"queued", absent, "finished"}, `
			-|queued|-|00:01|-
			queued|finished|00:02|00:03|00:02:00`},
		{"time goes on over removal and return", []string{"queued", "processing", absent, "processing", absent, "finished"}, `
			-|queued|-|00:01|-
			queued|processing|00:01|00:02|00:01:00
			processing|finished|00:05|00:06|00:04:00`},
		{"a status that comes back starts afresh", []string{"queued", "processing", "queued", "queued", "processing"}, `
			-|queued|-|00:01|-
			queued|processing|00:01|00:02|00:01:00
			processing|queued|00:02|00:03|00:01:00
			queued|processing|00:04|00:05|00:02:00`},
		{"case counts", []string{"Queued", "queued"}, `
			-|Queued|-|00:01|-
			Queued|queued|00:01|00:02|00:01:00`},
		{"no status", []string{noStatus, noStatus, "queued", noStatus, absent, noStatus, "finished"}, `
			-|-|-|00:01|-
			-|queued|00:02|00:03|00:02:00
			queued|-|00:03|00:04|00:01:00
			-|finished|00:06|00:07|00:03:00`},
	}
	const changes = `SELECT concat_ws('|', coalesce(from_status, '-'), coalesce(to_status, '-'), coalesce(to_char(changed_after AT TIME ZONE 'UTC', 'HH24:MI'), '-'),
		to_char(changed_by AT TIME ZONE 'UTC', 'HH24:MI'), coalesce(time_in_from_status::text, '-'))
		FROM partner_center.device_batch_status_changes WHERE customer_id = $1 AND batch_id = $2 ORDER BY changed_by`
	w, states := newWorld(t), map[string][]string{}
	for _, test := range tests {
		states[test.name] = test.states
	}
	w.stories(states)
	for _, test := range tests {
		w.run(test.name, func(*testing.T) {
			w.want(test.want, changes, alpha, test.name)
		})
	}
}

func TestDeviceBatchStatusChanges_otherColumnsDoNotCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, n := range []int32{1, 2, 3} {
		w.pass(minute(i+1), Listing{}, DeviceBatch{BatchID: "b", Status: ptr("queued"), DevicesCount: ptr(n)})
	}
	w.pass(minute(4), Listing{}, DeviceBatch{BatchID: "b", Status: ptr("finished"), DevicesCount: ptr(int32(3))})
	w.want("-|-\nqueued|00:03:00", `SELECT concat_ws('|', coalesce(from_status, '-'), coalesce(time_in_from_status::text, '-'))
		FROM partner_center.device_batch_status_changes ORDER BY changed_by`)
}

func TestUnfinishedDeviceBatches_terminalStatuses(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{ // status: whether the batch is unfinished
		"queued":                true,
		"processing":            true,
		"something new":         true,
		"":                      true,
		"finished ":             true,
		"finished_with":         true,
		noStatus:                true,
		"finished":              false,
		"Finished":              false,
		"FINISHED":              false,
		"finished_with_errors":  false,
		"finished-with-errors":  false,
		"Finished_With-Errors":  false,
		"FINISHED-WITH-ERRORS":  false,
		"finished with errors":  true,
		"finished__with_errors": true,
	}
	w := newWorld(t)
	rows := []DeviceBatch{{BatchID: noStatus}}
	for status := range tests {
		if status != noStatus {
			rows = append(rows, batch(status, status))
		}
	}
	w.pass(minute(1), Listing{Complete: true}, rows...)
	for status, unfinished := range tests {
		w.want(fmt.Sprintf("%t", unfinished), "SELECT concat_ws('|', (count(*) = 1)::text) FROM partner_center.unfinished_device_batches WHERE batch_id = $1", status)
	}
	w.pass(minute(2), Listing{Complete: true}, batch("done", "finished"))
	w.pass(minute(3), Listing{Complete: true}, batch("done", "finished"))
	w.want("0", "SELECT concat_ws('|', count(*)) FROM partner_center.unfinished_device_batches")
}

func TestUnfinishedDeviceBatches_statusSince(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		states []string
		want   string // "" if the batch is in no row
	}{
		{"first version", []string{"queued", "queued"}, "00:01"},
		{"second status", []string{"queued", "processing", "processing"}, "00:02"},
		{"removal and return", []string{"queued", "processing", absent, "processing"}, "00:02"},
		{"return in another status", []string{"queued", absent, "processing"}, "00:03"},
		{"first status, removal and return", []string{"queued", absent, "queued"}, "00:01"},
		{"no status", []string{"queued", noStatus, absent, noStatus}, "00:02"},
		{"never a status", []string{noStatus, absent, noStatus}, "00:01"},
		{"back from finished", []string{"processing", "finished", "processing"}, "00:03"},
		{"removed", []string{"queued", absent}, ""},
		{"finished", []string{"queued", "finished"}, ""},
	}
	w, states := newWorld(t), map[string][]string{}
	for _, test := range tests {
		states[test.name] = test.states
	}
	w.stories(states)
	for _, test := range tests {
		w.run(test.name, func(*testing.T) {
			w.want(test.want, `SELECT concat_ws('|', to_char(status_since AT TIME ZONE 'UTC', 'HH24:MI'))
				FROM partner_center.unfinished_device_batches WHERE customer_id = $1 AND batch_id = $2`, alpha, test.name)
		})
	}
}

func TestUnfinishedDeviceBatches_times(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := DeviceBatch{BatchID: "b", Status: ptr("queued"), DevicesCount: ptr(int32(1)), CreationDate: ptr(minute(0))}
	w.pass(minute(1), Listing{Complete: true}, b, batch("undated", "queued"))
	b.DevicesCount = ptr(int32(2)) // opens a version, in the same status
	w.pass(minute(2), Listing{Complete: true}, b, batch("undated", "queued"))
	w.want("b|t|00:01|00:02|f\nundated|t|00:01|00:01|t", `SELECT concat_ws('|', batch_id, in_status_for = now() - status_since,
		to_char(status_since AT TIME ZONE 'UTC', 'HH24:MI'), to_char(valid_from AT TIME ZONE 'UTC', 'HH24:MI'), age IS NULL)
		FROM partner_center.unfinished_device_batches ORDER BY 1`)
	w.want("t", "SELECT concat_ws('|', age = now() - creation_date) FROM partner_center.unfinished_device_batches WHERE batch_id = 'b'")
}

func TestDeviceBatchesAsOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stories(map[string][]string{"b": {"queued", "finished", absent, "finished"}})
	tests := []struct {
		name string
		at   time.Time
		want string
	}{
		{"before all", minute(1).Add(-time.Microsecond), ""},
		{"when it was first seen", minute(1), "queued"},
		{"just before the next version", minute(2).Add(-time.Microsecond), "queued"},
		{"when the next version was seen", minute(2), "finished"},
		{"just before the removal", minute(3).Add(-time.Microsecond), "finished"},
		{"when it was missed", minute(3), ""},
		{"while it was gone", minute(4).Add(-time.Microsecond), ""},
		{"when it was back", minute(4), "finished"},
		{"long after", minute(60), "finished"},
	}
	for _, test := range tests {
		w.run(test.name, func(*testing.T) {
			w.want(test.want, "SELECT concat_ws('|', status) FROM partner_center.device_batches_as_of($1) WHERE customer_id = $2 AND batch_id = 'b'", test.at, alpha)
		})
	}
	w.want("3", "SELECT concat_ws('|', count(*)) FROM partner_center.device_batches_as_of(now())")
}

func TestDeviceBatchHistory_hasNeitherOverlapsNorGaps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stories(map[string][]string{"b": {"queued", "processing", absent, absent, "processing", noStatus, "finished", absent, "queued", "queued"}})
	w.want("b|8|8|1", `SELECT concat_ws('|', batch_id, count(*), count(DISTINCT valid_from), count(*) FILTER (WHERE is_current AND valid_to IS NULL))
		FROM partner_center.device_batch_history WHERE batch_id = 'b' GROUP BY batch_id`)
	w.want("0", `SELECT concat_ws('|', count(*)) FROM (
		SELECT valid_to, lead(valid_from) OVER (PARTITION BY customer_id, batch_id ORDER BY valid_from) AS next
		FROM partner_center.device_batch_history) v WHERE valid_to IS DISTINCT FROM next`)
	w.want("0", `SELECT concat_ws('|', count(*)) FROM partner_center.device_batch_history
		WHERE valid_from >= valid_to OR not_before >= valid_from OR removed_at <> valid_from`)
	w.want("b00|-", `SELECT concat_ws('|', batch_id, coalesce(not_before::text, '-')) FROM partner_center.device_batch_history WHERE batch_id = 'b00'`)
}

func TestSyncRuns_runWithoutCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.open(scheduled(1, 1))
	w.want("contoso|scheduled|running|f|0|0|0|0|0|0|0|0|0", `SELECT concat_ws('|', partner, kind, state, finished_at IS NOT NULL, customers_total, customers_ok,
		customers_failed, inserted, changed, removed, unchanged, requests, retries) FROM partner_center.sync_runs`)
}

func TestSyncFreshness_oneRowACustomer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := listed(alpha, beta, gamma)
	e.Customers[0].CompanyName = ptr("Alpha")
	w.enumerate("contoso", minute(1), e)
	w.enumerate("contoso", minute(2), listed(alpha, beta))
	run, _ := w.enumerate("fabrikam", minute(3), listed(beta, gamma))
	w.record(run, Result{Claim: w.claim(run)})
	// gamma left contoso and belongs to fabrikam now; beta is listed by both.
	w.want(alpha+"|contoso|Alpha|-|-\n"+beta+"|contoso|-|-|-\n"+beta+"|fabrikam|-|-|customer_of_two_partners\n"+gamma+"|fabrikam|-|t|-",
		`SELECT concat_ws('|', customer_id, partner, coalesce(company_name, '-'), CASE WHEN age >= '0' THEN 't' ELSE '-' END, coalesce(last_error_code, '-'))
		FROM partner_center.sync_freshness ORDER BY customer_id, partner`)
}
