package viewtest

import (
	"fmt"
	"slices"
	"time"
)

// failing is a time in which a customer failed in each pass of its partner.
type failing struct {
	partner                   string
	since                     int // the pass in which it failed first
	until                     int // the pass in which it did not fail, or had left; -1: it lasts
	passes                    int
	code                      string // the last one
	firstRequest, lastRequest string
	lastSuccess               int // the pass before in which the customer was last read as a whole; -1: none
}

// failings returns the times in which a customer failed, in their order.
func (r *record) failings(c *customer) (all []failing) {
	var open *failing
	end := func(pass int) {
		if open != nil {
			open.until, open = pass, nil
		}
	}
	success := -1
	for i, p := range r.passes {
		for _, v := range c.versions[1:] {
			if moved := v.removed || open != nil && open.partner != v.item.Partner; moved && r.passOf(v.from) == i {
				end(i)
			}
		}
		for _, t := range c.turns {
			switch {
			case t.pass != i || t.contested:
			case t.code == "":
				end(i)
			case open == nil:
				if success < 0 && t.listed {
					success = i // of a customer's first pass, the devices are read after the batches of all
				}
				all = append(all, failing{
					partner: p.partner, since: i, until: -1, passes: 1, code: t.code, firstRequest: t.requestID, lastRequest: t.requestID,
					lastSuccess: success,
				})
				open = &all[len(all)-1]
			default:
				open.passes, open.code, open.lastRequest = open.passes+1, t.code, t.requestID
			}
			if t.pass == i && t.listed {
				success = i
			}
		}
	}
	return append(all, r.contests(c)...)
}

// contests returns the times in which a partner listed a customer that was another's, by its complete lists.
func (r *record) contests(c *customer) (all []failing) {
	for _, partner := range partners {
		var open *failing
		for i, p := range r.passes {
			contested := slices.ContainsFunc(c.turns, func(t turn) bool { return t.pass == i && t.contested })
			switch {
			case p.partner != partner:
			case contested && open == nil:
				all = append(all, failing{partner: partner, since: i, until: -1, passes: 1, code: "customer_of_two_partners", lastSuccess: -1})
				open = &all[len(all)-1]
			case contested:
				open.passes++
			case open != nil && lists(p.answers)[listID{kind: "customers"}].complete:
				open.until, open = i, nil
			}
		}
	}
	return all
}

// passOf returns the position of the pass that a time is in; -1 if it is in none.
func (r *record) passOf(at time.Time) int {
	for i, p := range r.passes {
		if !at.Before(p.began) && !at.After(p.finished) {
			return i
		}
	}
	return -1
}

// when writes a time within a pass as the pass, and no time as "".
func (r *record) when(at *time.Time) string {
	if at == nil {
		return ""
	}
	return inPass(r.passOf(*at))
}

func inPass(i int) string {
	if i < 0 {
		return ""
	}
	return fmt.Sprint("in pass ", i)
}

func (w *world) compareFailures(r *record) {
	w.t.Helper()
	var want, got []string
	for _, c := range r.customers {
		for _, f := range r.failings(c) {
			want = append(want, line(c.id, f.partner, inPass(f.since), inPass(f.until), f.passes, f.code, f.firstRequest, f.lastRequest))
		}
	}
	var id, partner, code, first, last string
	var since, until *time.Time
	var passes int
	w.scan([]any{&id, &partner, &since, &until, &passes, &code, &first, &last}, func() {
		got = append(got, line(id, partner, r.when(since), r.when(until), passes, code, first, last))
	}, `
		SELECT customer_id::text, partner, failing_since, failing_until, passes, error_code,
		       coalesce(first_request_id, ''), coalesce(last_request_id, '')
		FROM partner_center.sync_failures`)
	w.same("partner_center.sync_failures", want, got)
}

// compareFreshness compares how fresh the customers' data was before and after some passes.
func (w *world) compareFreshness(r *record) {
	w.t.Helper()
	for range 6 {
		p := pickOf(w, r.passes...)
		at := pickOf(w, p.began, p.finished)
		var want, got []string
		for _, c := range r.customers {
			if f, there := r.freshness(c, at); there {
				want = append(want, f)
			}
		}
		var id, partner, code string
		var success, since *time.Time
		w.scan([]any{&id, &partner, &success, &since, &code}, func() {
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
		return line(c.id, v.item.Partner, inPass(success), inPass(f.since), f.code), true
	}
	return "", false
}

// lastSuccess returns the pass in which a customer that was there at a time between passes was last read as a whole: where
// it was failing, the last before it failed, and else the last of its partner. f says how it was failing; else its since
// is -1.
func (r *record) lastSuccess(c *customer, partner string, at time.Time) (pass int, f failing) {
	for _, f := range r.failings(c) {
		if f.partner == partner && r.endedBy(f.since, at) && (f.until < 0 || !r.endedBy(f.until, at)) {
			return f.lastSuccess, f
		}
	}
	pass = -1
	for i, p := range r.passes {
		if p.partner == partner && r.endedBy(i, at) {
			pass = i
		}
	}
	return pass, failing{since: -1}
}

// endedBy reports whether a pass had ended by a time.
func (r *record) endedBy(pass int, at time.Time) bool { return !r.passes[pass].finished.After(at) }

// compareSyncFreshness compares how customers fail now that have never left.
func (w *world) compareSyncFreshness(r *record) {
	w.t.Helper()
	var want, got []string
	stayed := map[string]bool{}
	for _, c := range r.customers {
		left := func(v version[profile]) bool { return v.removed }
		if stayed[c.id] = !slices.ContainsFunc(c.versions, left); !stayed[c.id] {
			continue
		}
		now := failing{since: -1}
		for _, f := range r.failings(c) {
			if f.until < 0 && f.partner == c.partner() {
				now = f
			}
		}
		want = append(want, line(c.id, c.partner(), now.passes, inPass(now.since), now.code, now.lastRequest))
	}
	var id, partner, code, last string
	var since *time.Time
	var passes int
	w.scan([]any{&id, &partner, &passes, &since, &code, &last}, func() {
		if stayed[id] {
			got = append(got, line(id, partner, passes, r.when(since), code, last))
		}
	}, `
		SELECT customer_id::text, partner, consecutive_failures, failing_since, coalesce(last_error_code, ''), coalesce(last_request_id, '')
		FROM partner_center.sync_freshness
		WHERE last_error_code IS DISTINCT FROM 'customer_of_two_partners'`)
	w.same("partner_center.sync_freshness", want, got)
}
