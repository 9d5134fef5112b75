package viewtest

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// report is a customer's week.
type report struct {
	counts
	Median, P90, MedianSeconds, P90Seconds *float64 // seconds
	SuccessAt                              *time.Time
}

// counts are what can be counted of a customer's week.
type counts struct {
	Customer, Partner                       string
	Name                                    *string
	Begun, Finished, WithErrors, Unfinished int // batches
	Added, Moved, Gone                      int // devices
}

// line is the report without the times to finish; success is when the customer was last read as a whole.
func (n counts) line(success string) string {
	return line(n.Customer, n.Partner, n.Name, n.Begun, n.Finished, n.WithErrors, n.Unfinished, n.Added, n.Moved, n.Gone, success)
}

// compareWeeks compares the weekly reports of all weeks since the first pass, each asked for by one of its days.
func (w *world) compareWeeks(r *record) {
	w.t.Helper()
	monday := r.passes[0].began.Truncate(24 * time.Hour)
	for monday.Weekday() != time.Monday {
		monday = monday.AddDate(0, 0, -1)
	}
	for ; monday.Before(w.now()); monday = monday.AddDate(0, 0, 7) {
		day := monday.AddDate(0, 0, w.at.IntN(7))
		var want, got []string
		took := map[string][]time.Duration{}
		for _, c := range r.customers {
			if week, ok := r.week(c, monday, monday.AddDate(0, 0, 7)); ok {
				want, took[c.id] = append(want, week.line(inPass(week.success))), week.took
			}
		}
		for _, reported := range w.reports(day) {
			got = append(got, reported.line(r.when(reported.SuccessAt)))
			took := took[reported.Customer]
			median, p90 := percentile(took, 0.5), percentile(took, 0.9)
			if !near(median, reported.Median) || !near(median, reported.MedianSeconds) ||
				!near(p90, reported.P90) || !near(p90, reported.P90Seconds) {
				w.t.Errorf("the week of %s of %s: %v is how long it took, and not as reported", monday, reported.Customer, took)
			}
		}
		w.same("partner_center.weekly_customer_report("+day.Format(time.DateOnly)+")", want, got)
	}
}

// reports returns what is reported of the week that a day is in.
func (w *world) reports(day time.Time) []report {
	w.t.Helper()
	const query = `
		SELECT customer_id::text, partner, company_name, batches_begun, batches_finished, batches_finished_with_errors,
		       batches_unfinished, devices_added, devices_moved, devices_gone,
		       extract(epoch FROM time_to_finish_median)::double precision,
		       extract(epoch FROM time_to_finish_p90)::double precision,
		       time_to_finish_median_seconds, time_to_finish_p90_seconds, last_success_at
		FROM partner_center.weekly_customer_report($1)`
	w.asked.WriteString(query)
	rows, _ := w.pool.Query(w.t.Context(), query, day) // CollectRows returns its error
	reports, err := pgx.CollectRows(rows, pgx.RowToStructByPos[report])
	w.ok(err)
	return reports
}

// week is what there is to report of a customer's week.
type week struct {
	counts
	took    []time.Duration // from begin to finish, in order, where the begin was seen
	success int             // the pass in which it was last read as a whole; -1: none
}

// week works out what there is to report of the time from a Monday to the next; ok is false if the customer was not there
// then.
func (r *record) week(c *customer, from, to time.Time) (k week, ok bool) {
	if !c.knownAt(from) {
		return k, false
	}
	k.Customer, k.success = c.id, -1
	for _, v := range c.versions {
		if v.removed {
			continue
		}
		if v.from.Before(to) && (v.to == nil || v.to.After(from)) {
			ok, k.Partner, k.Name = true, v.item.Partner, v.item.Name
		}
		if v.holds(to) {
			k.success, _ = r.lastSuccess(c, v.item.Partner, to)
		}
	}
	in := func(at time.Time) bool { return !at.Before(from) && at.Before(to) }
	r.countRounds(c, &k, to, in)
	r.countDevices(c, &k, in)
	return k, ok
}

// countRounds counts the rounds that were begun or finished in a week, or open at its end.
func (r *record) countRounds(c *customer, k *week, end time.Time, in func(time.Time) bool) {
	for _, o := range r.rounds() {
		if o.customer != c.id {
			continue
		}
		if o.beginSeen && in(o.began.from) {
			k.Begun++
		}
		if o.finished != nil && in(o.finished.from) {
			k.Finished++
			if strings.Contains(strings.ToLower(text(o.finished.item.Status)), "errors") {
				k.WithErrors++
			}
			if o.beginSeen {
				k.took = append(k.took, *o.duration())
			}
		}
		if o.began.from.Before(end) && (o.finished == nil || !o.finished.from.Before(end)) {
			k.Unfinished++
		}
	}
	slices.Sort(k.took)
}

// countDevices counts the devices that came and went in a week.
func (r *record) countDevices(c *customer, k *week, in func(time.Time) bool) {
	// place is a device in a batch at a time.
	type place struct {
		customer, batch, device string
		at                      time.Time
	}
	left, arrived := map[place]bool{}, map[place]bool{} // by a move
	for _, m := range r.moves() {
		left[place{m.from.customer, m.from.batch, m.from.device, m.from.by}] = true
		arrived[place{m.to.customer, m.to.batch, m.to.device, m.to.from}] = true
	}
	listings, departures := r.listings()
	for _, l := range listings {
		switch p := (place{l.customer, l.batch, l.device, l.from}); {
		case l.customer != c.id || !in(l.from):
		case arrived[p]:
			k.Moved++
		case l.arrives && l.after == nil && !c.inFirstListing(l):
			k.Added++
		}
	}
	for _, d := range departures {
		if d.customer == c.id && in(d.by) && !left[place{d.customer, d.batch, d.device, d.by}] {
			k.Gone++
		}
	}
}

// inFirstListing reports whether a device was there in the customer's first listing: its batch was, had devices then, and
// this one came no later than with the first complete list of them.
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
