package viewtest

import (
	"fmt"
	"slices"
	"time"
)

// failing is a time in which a customer failed in each pass of its partner.
type failing struct {
	partner     string
	since, last int // the first pass in which it failed, and the last
	until       int // the pass in which it did not fail, or had left; -1: it lasts
	passes      int
	contested   bool // since it is another partner's
	lastSuccess int  // the pass before in which the customer was last read as a whole; -1: none
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
	versions := c.versions
	if c.unpruned != nil {
		versions = c.unpruned // failures are kept as long as runs
	}
	for i, p := range r.passes {
		for _, v := range versions[1:] {
			if moved := v.removed || open != nil && open.partner != v.item.Partner; moved && r.passOf(v.from) == i {
				end(i)
			}
		}
		for _, t := range c.turns {
			switch {
			case t.pass != i || t.contested:
			case len(t.failures) == 0:
				end(i)
			case open == nil:
				if success < 0 && t.listed {
					success = i // of a customer's first pass, the devices are read after the batches of all
				}
				all = append(all, failing{partner: p.partner, since: i, last: i, until: -1, passes: 1, lastSuccess: success})
				open = &all[len(all)-1]
			default:
				open.passes, open.last = open.passes+1, i
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
			case p.partner != partner || p.only != nil:
			case contested && open == nil:
				all = append(all, failing{partner: partner, since: i, until: -1, passes: 1, contested: true, lastSuccess: -1})
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

// failed writes an error code and a request as the pass in which a customer failed so.
func (c *customer) failed(code, requestID string) string {
	for _, t := range c.turns {
		if slices.Contains(t.failures, failure{code, requestID}) {
			return inPass(t.pass)
		}
	}
	return code + requestID
}

// requested writes a request as the pass in which it failed a customer.
func (c *customer) requested(id string) string {
	for _, t := range c.turns {
		if slices.ContainsFunc(t.failures, func(f failure) bool { return f.requestID == id }) {
			return inPass(t.pass)
		}
	}
	return id
}

// failedWith reports whether a customer failed in a pass with an error.
func (c *customer) failedWith(pass int, code string) bool {
	return slices.ContainsFunc(c.turns, func(t turn) bool {
		return t.pass == pass && slices.ContainsFunc(t.failures, func(f failure) bool { return f.code == code })
	})
}

func (w *world) compareFailures(r *record) {
	w.t.Helper()
	var want, got []string
	for _, c := range r.customers {
		for _, f := range r.failings(c) {
			first, last := inPass(f.since), inPass(f.last)
			if f.contested {
				first, last = "", contested
			}
			want = append(want, line(c.id, f.partner, inPass(f.since), inPass(f.until), f.passes, first, last))
		}
	}
	var id, partner, code, first, last string
	var since, until *time.Time
	var passes int
	w.scan([]any{&id, &partner, &since, &until, &passes, &code, &first, &last}, func() {
		c := r.customers[id]
		got = append(got, line(id, partner, r.when(since), r.when(until), passes, c.requested(first), c.failed(code, last)))
	}, `
		SELECT customer_id::text, partner, failing_since, failing_until, passes, error_code,
		       coalesce(first_request_id, ''), coalesce(last_request_id, '')
		FROM partner_center.sync_failures`)
	w.same("partner_center.sync_failures", want, got)
	w.want(nil, "SELECT * FROM partner_center.sync_failures WHERE coalesce(error, '') = ''")
}

// contested is the error of a customer that another partner has.
const contested = "customer_of_two_partners"
