package viewtest

import (
	"math"
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
		finishes := map[string][]time.Duration{}
		for _, c := range r.customers {
			if row, took, there := r.week(c, monday, monday.AddDate(0, 0, 7)); there {
				want, finishes[c.id] = append(want, row), took
			}
		}
		var id, partner string
		var name *string
		var begun, finished, withErrors, unfinished, added, moved, gone int
		var median, p90, medianSeconds, p90Seconds *float64
		var successAt *time.Time
		w.scan([]any{&id, &partner, &name, &begun, &finished, &withErrors, &unfinished, &added, &moved, &gone, &median, &p90, &medianSeconds, &p90Seconds, &successAt}, func() {
			got = append(got, line(id, partner, name, begun, finished, withErrors, unfinished, added, moved, gone, r.when(successAt)))
			for part, seconds := range map[float64][]*float64{0.5: {median, medianSeconds}, 0.9: {p90, p90Seconds}} {
				for _, s := range seconds {
					if want := percentile(finishes[id], part); !near(want, s) {
						w.t.Errorf("%s took %v to finish in the week of %s, of which %v are %v, and not as reported", id, finishes[id], monday, part, want)
					}
				}
			}
		}, `
			SELECT customer_id::text, partner, company_name, batches_begun, batches_finished, batches_finished_with_errors,
			       batches_unfinished, devices_added, devices_moved, devices_gone,
			       extract(epoch FROM time_to_finish_median)::double precision,
			       extract(epoch FROM time_to_finish_p90)::double precision,
			       time_to_finish_median_seconds, time_to_finish_p90_seconds, last_success_at
			FROM partner_center.weekly_customer_report($1)`, day)
		w.same("partner_center.weekly_customer_report("+day.Format(time.DateOnly)+")", want, got)
	}
}

// week returns the line of a customer's report on the time from a Monday to the next, and how long what it finished then took,
// in order, if it was there then.
func (r *record) week(c *customer, from, to time.Time) (row string, took []time.Duration, there bool) {
	if !c.knownAt(from) {
		return "", nil, false
	}
	in := func(at time.Time) bool { return !at.Before(from) && at.Before(to) }
	var profile profile
	for _, v := range c.versions {
		if !v.removed && v.from.Before(to) && (v.to == nil || v.to.After(from)) {
			there, profile = true, v.item
		}
	}
	var begun, finished, withErrors, unfinished, added, moved, gone int
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
		departures = slices.DeleteFunc(departures, func(d departure) bool {
			return d.customer == m.from.customer && d.batch == m.from.batch && d.device == m.from.device && d.by.Equal(m.from.by)
		})
		listings = slices.DeleteFunc(listings, func(l listing) bool {
			return l.customer == m.to.customer && l.batch == m.to.batch && l.device == m.to.device && l.from.Equal(m.to.from)
		})
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
	for _, v := range c.versions {
		if v.holds(to) && !v.removed {
			success, _ = r.lastSuccess(c, v.item.Partner, to)
		}
	}
	slices.Sort(took)
	return line(c.id, profile.Partner, profile.Name, begun, finished, withErrors, unfinished, added, moved, gone,
		inPass(success)), took, there
}

// inFirstListing reports whether a device was there in the customer's first listing: its batch was, had devices then, and this
// one came no later than with the first complete list of them.
func (c *customer) inFirstListing(l listing) bool {
	first := c.batches.items[l.batch][0]
	if unknownBefore(c.batches.items[l.batch]) || c.firstListed != nil && first.from.After(*c.firstListed) {
		return false
	}
	listed := c.devices[l.batch].first
	return first.item.DevicesCount == nil || *first.item.DevicesCount != 0 && (listed == nil || !l.from.After(*listed))
}

// percentile is the value, in seconds, below which that part of sorted values lies, between two of them in proportion; nil
// for none.
func percentile(sorted []time.Duration, part float64) *float64 {
	if len(sorted) == 0 {
		return nil
	}
	at := part * float64(len(sorted)-1)
	value := sorted[int(at)].Seconds()
	if next := int(at) + 1; next < len(sorted) {
		value += (at - float64(int(at))) * (sorted[next].Seconds() - value)
	}
	return &value
}

// near reports whether two numbers of seconds are the same, but for a microsecond or two.
func near(a, b *float64) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return math.Abs(*a-*b) < 2.5e-6
}
