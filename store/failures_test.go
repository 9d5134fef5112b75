package store

import (
	"testing"
	"time"
)

// failures are the periods in which a customer failed under a partner.
const failures = `SELECT concat_ws('|', partner, passes, error_code, coalesce(error, '-'), coalesce(first_request_id, '-'), coalesce(last_request_id, '-'),
	CASE WHEN failing_until IS NULL THEN 'fails' WHEN failing_until >= failing_since THEN CASE WHEN recovered THEN 'recovered' ELSE 'left' END END, last_success_at < failing_since)
	FROM partner_center.sync_failures WHERE customer_id = $1 ORDER BY failing_since`

// sameSince says whether both views have a customer that fails fail since the same time.
const sameSince = `SELECT concat_ws('|', s.failing_since = f.failing_since)
	FROM partner_center.sync_failures s JOIN partner_center.sync_freshness f USING (customer_id)`

func TestSyncFailures_fromTheFirstFailureToTheFirstSuccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	attempt := func(kind string, f *Failure) {
		t.Helper()
		run := w.begin(kind, alpha)
		w.record(run, Result{Claim: w.claim(run), Failure: f})
		w.finish(run)
	}
	attempt(Scheduled, &Failure{Code: "20002", Message: "no relationship", RequestID: "r1"})
	w.want("contoso|1|20002|no relationship|r1|r1|fails", failures, alpha)
	attempt(Backfill, &Failure{Code: "http_503", Message: "no answer", RequestID: "r2"})
	attempt(Scheduled, &Failure{Code: "mass_removal_held", Message: "held"})
	w.want("contoso|3|mass_removal_held|held|r1|-|fails", failures, alpha)
	w.want("t", sameSince)
	attempt(Once, nil)
	w.want("t", `SELECT concat_ws('|', s.failing_until = f.last_success_at) FROM partner_center.sync_failures s JOIN partner_center.sync_freshness f USING (customer_id)`)
	success := w.lines("SELECT concat_ws('|', last_success_at) FROM partner_center.sync_freshness")
	attempt(Scheduled, &Failure{Code: "http_500", Message: "again", RequestID: "r3"})
	w.want(`
		contoso|3|mass_removal_held|held|r1|-|recovered
		contoso|1|http_500|again|r3|r3|fails|t`, failures, alpha)
	w.want(success, "SELECT concat_ws('|', last_success_at) FROM partner_center.sync_failures WHERE failing_until IS NULL")
}

func TestSyncFailures_ofDeviceListsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lists := deviceLists{"a": {device("1")}, "b": nil}
	var success string
	for _, want := range []string{"contoso|1|http_503|devices of b|-|-|fails|t", "contoso|2|http_503|devices of b|-|-|fails|t"} {
		w.wholePass(Scheduled, lists, nil, batch("a", "queued"), batch("b", "queued"))
		w.want(want, failures, alpha)
		if success == "" {
			success = w.lines("SELECT concat_ws('|', last_success_at) FROM partner_center.sync_freshness")
		}
		w.want(success, "SELECT concat_ws('|', last_success_at) FROM partner_center.sync_failures") // not that of later passes
	}
	lists["b"] = []Device{device("2")}
	w.wholePass(Scheduled, lists, nil, batch("a", "queued"), batch("b", "queued"))
	w.want("contoso|2|http_503|devices of b|-|-|recovered|t", failures, alpha)
	w.want("t", `SELECT concat_ws('|', s.failing_until = f.last_attempt_at) FROM partner_center.sync_failures s JOIN partner_center.sync_freshness f USING (customer_id)`)
}

func TestSyncFailures_goOnWhereALaterTurnOfTheRunFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.attempt(&Failure{Code: "http_503", Message: "no answer"})
	lists := deviceLists{"a": nil}
	w.wholePass(Scheduled, lists, nil, batch("a", "queued"))
	w.want("contoso|2|http_503|devices of a|-|-|fails", failures, alpha)
	w.want("t", sameSince)
	lists["a"] = []Device{device("1")}
	w.wholePass(Scheduled, lists, nil, batch("a", "queued"))
	w.want("contoso|2|http_503|devices of a|-|-|recovered", failures, alpha)
}

func TestSyncFailures_endWithTheLeaving(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.attempt(&Failure{Code: "20002", Message: "no relationship"})
	w.exec("UPDATE partnersync.sync_failures SET failing_since = $1", minute(0))
	w.enumerate("contoso", minute(2), listed(beta))
	w.want("00:02", `SELECT concat_ws('|', to_char(failing_until AT TIME ZONE 'UTC', 'HH24:MI')) FROM partner_center.sync_failures`)
	w.enumerate("contoso", minute(4), listed(alpha, beta))
	w.want("contoso|1|20002|no relationship|-|-|left", failures, alpha)
	w.attempt(&Failure{Code: "http_503", Message: "no answer"})
	w.want(`
		contoso|1|20002|no relationship|-|-|left
		contoso|1|http_503|no answer|-|-|fails`, failures, alpha)
	w.enumerate("contoso", minute(6), listed(beta)) // observed before the failure, and written after it
	w.enumerate("fabrikam", minute(7), listed(alpha))
	w.want(`
		contoso|1|20002|no relationship|-|-|left
		contoso|1|http_503|no answer|-|-|left`, failures, alpha)
}

func TestSyncFailures_ofACustomerOfTwoPartners(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const contested = `SELECT concat_ws('|', partner, passes, error_code, error LIKE '%belongs to partner contoso%', first_request_id, to_char(failing_since AT TIME ZONE 'UTC', 'HH24:MI'),
		coalesce(to_char(failing_until AT TIME ZONE 'UTC', 'HH24:MI'), '-')) FROM partner_center.sync_failures WHERE customer_id = $1 ORDER BY failing_since`
	w.enumerate("contoso", minute(1), listed(alpha, beta))
	w.enumerate("fabrikam", minute(2), listed(alpha, gamma))
	w.enumerate("fabrikam", minute(3), listed(alpha, gamma))
	w.enumerate("fabrikam", minute(4), Enumeration{Customers: named([]string{gamma}), Error: "503"}) // which says nothing of alpha
	w.want("fabrikam|2|customer_of_two_partners|t|00:02|-", contested, alpha)
	w.enumerate("contoso", minute(5), listed(beta))
	w.enumerate("fabrikam", minute(6), listed(alpha, gamma))
	w.want("fabrikam|2|customer_of_two_partners|t|00:02|00:06", contested, alpha)
	w.enumerate("contoso", minute(7), listed(gamma, beta))
	w.want("contoso|1|customer_of_two_partners|f|00:07|-", contested, gamma)
}

func TestPruneRuns_failuresGoWithThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`INSERT INTO partnersync.sync_failures (customer_id, partner, failing_since, failing_until)
		VALUES ($1, 'contoso', clock_timestamp() - interval '30 days', clock_timestamp() - interval '11 days'),
		       ($1, 'contoso', clock_timestamp() - interval '11 days', clock_timestamp() - interval '9 days'),
		       ($2, 'contoso', clock_timestamp() - interval '30 days', NULL)`, alpha, beta)
	w.wantRunsPruned(10*day, 0)
	w.want(alpha+"|t\n"+beta+"|f", `SELECT concat_ws('|', customer_id, failing_until IS NOT NULL) FROM partner_center.sync_failures ORDER BY customer_id`)
}

// freshnessThen are the customers at a time, with what was known of them.
var freshnessThen = `SELECT concat_ws('|', CASE customer_id WHEN '` + alpha + `' THEN 'alpha' WHEN '` + beta + `' THEN 'beta' ELSE 'gamma' END, partner,
	` + hm("last_success_at") + `, coalesce(age::text, '-'), ` + hm("failing_since") + `, coalesce(error_code, '-'))
	FROM partner_center.freshness_as_of($1) ORDER BY customer_id`

func TestFreshnessAsOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`INSERT INTO partner_center.customers (customer_id, partner, first_seen_at) VALUES ($1, 'contoso', $4), ($2, 'contoso', $4), ($3, 'fabrikam', $4)`,
		alpha, beta, gamma, minute(1))
	run := func(partner string, end int, all bool) {
		w.exec(`INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, finished_at, state, read_all_customers)
			VALUES ($1, 'once', $2, $2, $2, 'partial', $3)`, partner, minute(end), all)
	}
	for _, end := range []int{5, 15, 25, 35, 55} {
		run("contoso", end, true)
	}
	run("contoso", 8, false) // restricted, or some were left for later
	run("fabrikam", 10, true)
	fail := func(id string, since, until, success int) {
		w.exec(`INSERT INTO partnersync.sync_failures (customer_id, partner, failing_since, failing_until, recovered_run, last_success_at, error_code)
			VALUES ($1, 'contoso', $2, $3, CASE WHEN $3::timestamptz <> $6 THEN 1 END, nullif($4::timestamptz, $5), 'http_503')`,
			id, minute(since), minute(until), minute(success), minute(0), minute(40))
	}
	fail(alpha, 14, 24, 4)
	fail(alpha, 34, 37, 25)
	fail(alpha, 38, 50, 37)
	fail(beta, 2, 6, 0)
	fail(beta, 33, 40, 25) // and then it left
	w.enumerate("contoso", minute(40), listed(alpha))
	w.enumerate("contoso", minute(45), listed(alpha, beta))
	for _, test := range []struct {
		at   time.Time
		want string
	}{
		{minute(1).Add(-time.Microsecond), ""},
		{minute(1), `
			alpha|contoso|-|-|-|-
			beta|contoso|-|-|-|-
			gamma|fabrikam|-|-|-|-`},
		{minute(5), `
			alpha|contoso|00:05|00:00:00|-|-
			beta|contoso|-|-|00:02|http_503
			gamma|fabrikam|-|-|-|-`},
		{minute(9), `
			alpha|contoso|00:05|00:04:00|-|-
			beta|contoso|00:06|00:03:00|-|-
			gamma|fabrikam|-|-|-|-`},
		{minute(14), `
			alpha|contoso|00:04|00:10:00|00:14|http_503
			beta|contoso|00:06|00:08:00|-|-
			gamma|fabrikam|00:10|00:04:00|-|-`},
		{minute(24), `
			alpha|contoso|00:24|00:00:00|-|-
			beta|contoso|00:15|00:09:00|-|-
			gamma|fabrikam|00:10|00:14:00|-|-`},
		{minute(39), `
			alpha|contoso|00:37|00:02:00|00:38|http_503
			beta|contoso|00:25|00:14:00|00:33|http_503
			gamma|fabrikam|00:10|00:29:00|-|-`},
		{minute(44), `
			alpha|contoso|00:37|00:07:00|00:38|http_503
			gamma|fabrikam|00:10|00:34:00|-|-`},
		{minute(46), `
			alpha|contoso|00:37|00:09:00|00:38|http_503
			beta|contoso|00:25|00:21:00|-|-
			gamma|fabrikam|00:10|00:36:00|-|-`},
		{minute(60), `
			alpha|contoso|00:55|00:05:00|-|-
			beta|contoso|00:55|00:05:00|-|-
			gamma|fabrikam|00:10|00:50:00|-|-`},
	} {
		w.want(test.want, freshnessThen, test.at)
	}
	w.want("t", "SELECT concat_ws('|', bool_and(age_seconds = 300)) FROM partner_center.freshness_as_of($1) WHERE partner = 'contoso'", minute(60))
	w.want("3|t", "SELECT concat_ws('|', count(*), bool_and(age > '0')) FROM partner_center.freshness_as_of('infinity')")
}

func TestFreshnessAsOf_runsThatReadAllCustomers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const now = `SELECT concat_ws('|', f.customer_id, f.last_success_at = (SELECT finished_at FROM partner_center.sync_runs WHERE run_id = $1))
		FROM partner_center.freshness_as_of(clock_timestamp()) f ORDER BY f.customer_id`
	run := w.begin(Scheduled, alpha, beta)
	w.record(run, Result{Claim: w.claim(run)}, Result{Claim: w.claim(run), Failure: &Failure{Code: "http_503"}})
	w.finish(run)
	w.want(alpha+"|t\n"+beta, now, run.ID)
	deferring := w.begin(Scheduled, alpha, beta)
	w.record(deferring, Result{Claim: w.claim(deferring)})
	_, err := w.FinishRun(t.Context(), deferring, AtCutOff)
	w.ok(err)
	w.want(alpha+"|t\n"+beta, now, run.ID)
	restricted := w.beginReading(RunRequest{Kind: Once, Customers: []string{alpha}}, alpha, beta)
	w.record(restricted, Result{Claim: w.claim(restricted)})
	w.finish(restricted)
	w.want(alpha+"|t\n"+beta, now, run.ID)
	w.want("t|f|f", "SELECT string_agg(left(read_all_customers::text, 1), '|' ORDER BY run_id) FROM partner_center.sync_runs")
}
