package viewtest

import (
	"fmt"
	"time"
)

// compareFreshness compares how fresh the customers' data was before and after some passes.
func (w *world) compareFreshness(r *record) {
	w.t.Helper()
	for range 6 {
		p := r.passes[w.at.IntN(len(r.passes))]
		at := []time.Time{p.began, p.finished}[w.at.IntN(2)]
		var want, got []string
		for _, c := range r.customers {
			if f, there := r.freshness(c, at); there {
				want = append(want, f)
			}
		}
		var id, partner, code string
		var success, since *time.Time
		w.scan([]any{&id, &partner, &success, &since, &code}, func() {
			if _, f := r.lastSuccess(r.customers[id], partner, at); r.customers[id].failedWith(f.last, code) {
				code = inPass(f.last) // the last one of those in which it was failing
			}
			got = append(got, line(id, partner, r.when(success), r.when(since), code))
		}, `
			SELECT customer_id::text, partner, last_success_at, failing_since, coalesce(error_code, '')
			FROM partner_center.freshness_as_of($1)`, at)
		w.same(fmt.Sprintf("partner_center.freshness_as_of(%s)", at), want, got)
		w.want(nil, `
			SELECT customer_id::text, last_success_at, age, age_seconds
			FROM partner_center.freshness_as_of($1)
			WHERE age IS DISTINCT FROM $1 - last_success_at
			   OR age_seconds IS DISTINCT FROM extract(epoch FROM age)::double precision`, at)
	}
}

// freshness returns the line of a customer that was there at a time between passes.
func (r *record) freshness(c *customer, at time.Time) (string, bool) {
	for _, v := range c.versions {
		if !v.holds(at) || v.removed {
			continue
		}
		success, f := r.lastSuccess(c, v.item.Partner, at)
		return line(c.id, v.item.Partner, inPass(success), inPass(f.since), inPass(f.last)), true
	}
	return "", false
}

// lastSuccess returns the pass in which a customer that was there at a time between passes was last read as a whole.
// Where it was failing, that is the last before it failed. Else it is the last of its partner over all customers, or where
// the customer failed in that one, the one since in which it did not. f says how it was failing; else its since is -1.
func (r *record) lastSuccess(c *customer, partner string, at time.Time) (pass int, f failing) {
	for _, f := range r.failings(c) {
		if f.partner == partner && r.endedBy(f.since, at) && (f.until < 0 || !r.endedBy(f.until, at)) {
			return f.lastSuccess, f
		}
	}
	pass = -1
	for i, p := range r.passes {
		if p.partner == partner && p.only == nil && r.endedBy(i, at) {
			pass = i
		}
	}
	if pass >= 0 && !c.thereAt(r.passes[pass].finished) {
		pass = -1 // it was not there, or that was pruned
	}
	for _, f := range r.failings(c) {
		if f.partner == partner && f.since <= pass && f.until > pass {
			pass = f.until
		}
	}
	return pass, failing{since: -1, last: -1}
}

// endedBy reports whether a pass had ended by a time.
func (r *record) endedBy(pass int, at time.Time) bool { return !r.passes[pass].finished.After(at) }

// compareSyncFreshness compares how customers fail now that did not fail before they were first read as a whole: it begins
// anew when their batches are read for the first time.
func (w *world) compareSyncFreshness(r *record) {
	w.t.Helper()
	var want, got []string
	compared := map[string]bool{}
	for _, c := range r.customers {
		if compared[c.id] = c.there() && len(c.turns) > 0 && c.turns[0].listed; !compared[c.id] {
			continue
		}
		now := failing{since: -1, last: -1}
		for _, f := range r.failings(c) {
			if f.until < 0 && f.partner == c.partner() {
				now = f
			}
		}
		want = append(want, line(c.id, c.partner(), now.passes, inPass(now.since), inPass(now.last)))
	}
	var id, partner, code, last string
	var since *time.Time
	var passes int
	w.scan([]any{&id, &partner, &passes, &since, &code, &last}, func() {
		if compared[id] {
			got = append(got, line(id, partner, passes, r.when(since), r.customers[id].failed(code, last)))
		}
	}, `
		SELECT customer_id::text, partner, consecutive_failures, failing_since,
		       coalesce(last_error_code, ''), coalesce(last_request_id, '')
		FROM partner_center.sync_freshness
		WHERE last_error_code IS DISTINCT FROM 'customer_of_two_partners'`)
	w.same("partner_center.sync_freshness", want, got)
}
