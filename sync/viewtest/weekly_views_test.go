package viewtest

import (
	"slices"
	"strings"
	"time"
)

// compareWeeks compares the weekly reports of all weeks since the first pass.
func (w *world) compareWeeks(r *record) {
	w.t.Helper()
	monday := r.passes[0].began.Truncate(24 * time.Hour)
	for monday.Weekday() != time.Monday {
		monday = monday.AddDate(0, 0, -1)
	}
	for ; monday.Before(w.now()); monday = monday.AddDate(0, 0, 7) {
		day := monday.AddDate(0, 0, w.n(7))
		var want, got []string
		for _, c := range r.customers {
			if row, there := r.week(c, monday, monday.AddDate(0, 0, 7)); there {
				want = append(want, row)
			}
		}
		var id, partner string
		var name *string
		var begun, finished, withErrors, unfinished, added, moved, gone int
		var median, p90, success any
		var successAt *time.Time
		w.scan([]any{&id, &partner, &name, &begun, &finished, &withErrors, &unfinished, &added, &moved, &gone, &median, &p90, &successAt}, func() {
			got = append(got, line(id, partner, name, begun, finished, withErrors, unfinished, added, moved, gone, median, p90, r.when(successAt)))
		}, `
			SELECT customer_id::text, partner, company_name, batches_begun, batches_finished, batches_finished_with_errors,
			       batches_unfinished, devices_added, devices_moved, devices_gone,
			       time_to_finish_median, time_to_finish_p90, last_success_at
			FROM partner_center.weekly_customer_report($1)`, day)
		_ = success
		w.same("partner_center.weekly_customer_report("+day.Format(time.DateOnly)+")", want, got)
	}
}

// week returns the line of a customer's report on the time from a Monday to the next, if it was there then.
func (r *record) week(c *customer, from, to time.Time) (row string, there bool) {
	in := func(at time.Time) bool { return !at.Before(from) && at.Before(to) }
	var profile profile
	for _, v := range c.versions {
		if !v.removed && v.from.Before(to) && (v.to == nil || v.to.After(from)) {
			there, profile = true, v.item
		}
	}
	var begun, finished, withErrors, unfinished, added, moved, gone int
	var took []time.Duration
	for _, o := range r.rounds() {
		if o.customer != c.id {
			continue
		}
		if o.beginSeen && in(o.began.from) {
			begun++
		}
		if o.finished != nil && in(o.finished.from) {
			finished++
			if strings.Contains(strings.ToLower(text(o.finished.item.Status)), "errors") {
				withErrors++
			}
			if o.beginSeen {
				took = append(took, *o.duration())
			}
		}
		if o.began.from.Before(to) && (o.finished == nil || !o.finished.from.Before(to)) {
			unfinished++
		}
	}
	listings, departures := r.listings()
	for _, m := range r.moves() {
		departures = slices.DeleteFunc(departures, func(d departure) bool { return d == m.from })
		listings = slices.DeleteFunc(listings, func(l listing) bool { return l == m.to })
		if m.to.customer == c.id && in(m.to.from) {
			moved++
		}
	}
	for _, d := range departures {
		if d.customer == c.id && in(d.by) {
			gone++
		}
	}
	for _, l := range listings {
		if l.customer == c.id && l.arrives && l.after == nil && in(l.from) && !c.inFirstListing(l) {
			added++
		}
	}
	success := -1
	if c.thereAt(to) {
		success, _ = r.lastSuccess(c, c.current().item.Partner, to)
	}
	slices.Sort(took)
	return line(c.id, profile.Partner, profile.Name, begun, finished, withErrors, unfinished, added, moved, gone,
		percentile(took, 0.5), percentile(took, 0.9), inPass(success)), there
}

// inFirstListing reports whether a device was there in the customer's first listing.
func (c *customer) inFirstListing(s listing) bool {
	return c.firstListed == nil || !c.batches.items[s.batch][0].from.After(*c.firstListed)
}

// percentile is the value below which that part of sorted values lies, between two of them in proportion; nil for none.
func percentile(sorted []time.Duration, part float64) any {
	if len(sorted) == 0 {
		return nil
	}
	at := part * float64(len(sorted)-1)
	below := int(at)
	if below == len(sorted)-1 {
		return sorted[below]
	}
	return sorted[below] + time.Duration((at-float64(below))*float64(sorted[below+1]-sorted[below]))
}
