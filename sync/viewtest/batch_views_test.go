package viewtest

import (
	"slices"
	"strings"
	"time"
)

// isFinished reports whether a status is terminal.
func isFinished(status *string) bool {
	s := strings.ReplaceAll(strings.ToLower(text(status)), "-", "_")
	return s == "finished" || s == "finished_with_errors"
}

// round is a time from unfinished to finished.
type round struct {
	customer, batch string
	number          int
	began           version[batch]
	pruned          bool            // it began with a version that is not kept
	finished        *version[batch] // nil: not yet
	removedBy       *time.Time      // while it is not finished, and the batch is gone
	beginSeen       bool
}

// rounds returns the rounds of all batches.
func (r *record) rounds() (all []round) {
	for _, c := range r.customers {
		for key, versions := range c.batches.items {
			all = append(all, c.roundsOf(key, versions)...)
		}
	}
	return all
}

// roundsOf returns the rounds of a batch. While it is gone, it is in no status.
func (c *customer) roundsOf(key string, versions []version[batch]) (all []round) {
	var open *round
	for i, v := range versions {
		switch pruned := i == 0 && unknownBefore(versions); {
		case pruned && !isFinished(v.item.Status): // also if it was gone: it had been unfinished before
			all = append(all, round{customer: c.id, batch: key, number: 1, pruned: true})
			open = &all[0]
		case v.removed:
		case open == nil && !isFinished(v.item.Status):
			there := v.notBefore == nil && (c.firstListed == nil || !v.from.After(*c.firstListed))
			all = append(all, round{customer: c.id, batch: key, number: len(all) + 1, began: v, beginSeen: !there})
			open = &all[len(all)-1]
		case open != nil && isFinished(v.item.Status):
			open.finished, open = &v, nil
		}
	}
	if last := versions[len(versions)-1]; open != nil && last.removed {
		open.removedBy = &last.from
	}
	return all
}

// duration is nil for a round that is not finished.
func (r round) duration() *time.Duration {
	if r.finished == nil || r.pruned {
		return nil
	}
	d := r.finished.from.Sub(r.began.from)
	return &d
}

func (w *world) compareRounds(r *record) {
	w.t.Helper()
	var want []string
	for _, o := range r.rounds() {
		var finished version[batch]
		var finishedBy *time.Time
		if o.finished != nil {
			finished, finishedBy = *o.finished, &o.finished.from
		}
		begun := &o.began.from
		if o.pruned {
			begun = nil
		}
		want = append(want, line(o.customer, o.batch, o.number, o.began.notBefore, begun, finished.notBefore, finishedBy,
			o.duration(), finished.item.Status, finished.item.DevicesCount, o.removedBy, o.beginSeen, seconds(o.duration())))
	}
	w.want(want, `
		SELECT customer_id::text, batch_id, round, began_after, began_by, finished_after, finished_by,
		       duration, outcome, devices_count, removed_by, begin_seen, duration_seconds
		FROM partner_center.device_batch_rounds`)
}

// period is a time in which a batch was there in one status, of a customer that was there.
type period struct {
	pruned                 bool // it began with a version that is not kept
	status                 *string
	from                   time.Time
	to                     *time.Time // nil: it lasts
	beganAfter, endedAfter *time.Time
}

// periods returns the periods of a batch, in their order: what the versions of the batch and of the customer have in
// common. Those that join, in the same status, are one.
func (c *customer) periods(versions []version[batch]) (all []period) {
	for i, v := range versions {
		for j, there := range c.versions {
			if v.removed || there.removed {
				continue
			}
			p := period{status: v.item.Status, from: v.from, beganAfter: v.notBefore, to: v.to}
			if p.pruned = i == 0 && unknownBefore(versions); p.pruned {
				p.beganAfter = nil
			}
			if v.to != nil {
				p.endedAfter = versions[i+1].notBefore
			}
			if there.from.After(v.from) {
				p.from, p.beganAfter = there.from, there.notBefore
				if p.pruned = j == 0 && unknownBefore(c.versions); p.pruned { // it may have left before, and returned then
					p.beganAfter = nil
				}
			}
			if there.to != nil && (v.to == nil || there.to.Before(*v.to)) {
				p.to, p.endedAfter = there.to, c.versions[j+1].notBefore
			}
			if p.to == nil || p.to.After(p.from) {
				all = append(all, p)
			}
		}
	}
	slices.SortFunc(all, func(a, b period) int { return a.from.Compare(b.from) })
	for i := len(all) - 1; i > 0; i-- {
		before, p := &all[i-1], all[i]
		if before.to.Equal(p.from) && same(before.status, p.status) {
			before.to, before.endedAfter = p.to, p.endedAfter
			all = slices.Delete(all, i, i+1)
		}
	}
	return all
}

func (w *world) comparePeriods(r *record) {
	w.t.Helper()
	var want []string
	for _, c := range r.customers {
		for key, versions := range c.batches.items {
			for _, p := range c.periods(versions) {
				var duration *time.Duration // it grows while the period lasts
				if p.to != nil && !p.pruned {
					d := p.to.Sub(p.from)
					duration = &d
				}
				begun := &p.from
				if p.pruned {
					begun = nil
				}
				want = append(want, line(c.id, key, p.status, p.beganAfter, begun, p.endedAfter, p.to, duration, seconds(duration)))
			}
		}
	}
	w.want(want, `
		SELECT customer_id::text, batch_id, status, began_after, began_by, ended_after, ended_by,
		       CASE WHEN ended_by IS NOT NULL THEN duration END, CASE WHEN ended_by IS NOT NULL THEN duration_seconds END
		FROM partner_center.device_batch_status_periods`)
	w.want(nil, `
		SELECT customer_id::text, batch_id, began_by, duration, duration_seconds
		FROM partner_center.device_batch_status_periods
		WHERE ended_by IS NULL AND (duration IS DISTINCT FROM now() - began_by
		                            OR duration_seconds IS DISTINCT FROM extract(epoch FROM duration)::double precision)`)
}

// compareStatusChanges compares the changes of status, and the batches that are unfinished.
func (w *world) compareStatusChanges(r *record) {
	w.t.Helper()
	var changes, unfinished []string
	for _, c := range r.customers {
		for key, versions := range c.batches.items {
			since := &versions[0].from // when the batch was first seen in its status
			if unknownBefore(versions) {
				since = nil
			} else {
				changes = append(changes, line(c.id, key, nil, versions[0].item.Status, nil, since, nil, nil))
			}
			for i, v := range versions[1:] {
				if before := versions[i].item.Status; !same(before, v.item.Status) {
					var took *time.Duration
					if since != nil {
						d := v.from.Sub(*since)
						took = &d
					}
					changes = append(changes, line(c.id, key, before, v.item.Status, v.notBefore, v.from, took, seconds(took)))
					since = &v.from
				}
			}
			if last := versions[len(versions)-1]; c.there() && !last.removed && !isFinished(last.item.Status) {
				unfinished = append(unfinished, line(c.id, key, last.item.Status, last.item.Created, last.from, since))
			}
		}
	}
	w.want(changes, `
		SELECT customer_id::text, batch_id, from_status, to_status, changed_after, changed_by, time_in_from_status,
		       time_in_from_status_seconds
		FROM partner_center.device_batch_status_changes`)
	w.want(unfinished, `
		SELECT customer_id::text, batch_id, status, creation_date, valid_from, status_since
		FROM partner_center.unfinished_device_batches`)
	w.want(nil, `
		SELECT customer_id::text, batch_id, in_status_for, in_status_for_seconds, age, age_seconds
		FROM partner_center.unfinished_device_batches
		WHERE in_status_for IS DISTINCT FROM now() - status_since OR age IS DISTINCT FROM now() - creation_date
		   OR in_status_for_seconds IS DISTINCT FROM extract(epoch FROM in_status_for)::double precision
		   OR age_seconds IS DISTINCT FROM extract(epoch FROM age)::double precision`)
	w.want(nil, "SELECT batch_key FROM partner_center.device_list_freshness GROUP BY batch_key HAVING count(*) > 1")
}

// seconds is a duration as an interval's twin has it.
func seconds(d *time.Duration) any {
	if d == nil {
		return nil
	}
	return float64(d.Microseconds()) / 1e6
}
