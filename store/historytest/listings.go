package historytest

import (
	"slices"
	"sort"
	"time"
)

// clockSkew is how far the clocks of the database and of this process may be apart.
const clockSkew = 50 * time.Millisecond

// checkOrigins finds for each moment at which versions of a list begin the listing that they come from, and checks
// them against it.
func (c *checker) checkOrigins(l List, h history) {
	served := c.served[l]
	next := 0
	for _, t := range c.moments(l, h) {
		i := slices.IndexFunc(served[next:], func(s listing) bool { return c.near(s, t) && s.agrees(h, t) })
		if i < 0 {
			c.explain(l, h, t, served, next)
			continue
		}
		origin := served[next+i]
		next += i + 1
		for key, versions := range h {
			for i, v := range versions {
				if v.from.Equal(t) && i > 0 {
					c.checkNotBefore(l, key, versions[i-1], v, origin.until)
				}
			}
		}
	}
}

// moments returns the times at which versions of a list begin, except those at which its batch was removed, and its
// devices with it.
func (c *checker) moments(l List, h history) []time.Time {
	var all []time.Time
	batch := c.batch(l)
	for _, versions := range h {
		for _, v := range versions {
			if withBatch := v.absent && len(batch) > 0 && asOf(batch, v.from).absent; !withBatch {
				all = append(all, v.from)
			}
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	return slices.CompactFunc(all, time.Time.Equal)
}

// near reports whether a listing may have been observed at a time.
func (c *checker) near(s listing, observed time.Time) bool {
	return !observed.After(s.at.Add(clockSkew)) && !observed.Before(s.at.Add(-c.Slack))
}

// agrees reports whether the history as of a time is what the listing had, but for what it may lack without a removal.
func (l listing) agrees(h history, t time.Time) bool {
	l.complete = l.complete && !l.mayKeep(h, t)
	return l.differing(h, t) == nil
}

// mayKeep reports whether the rows stay that a listing lacks which was merged at a time: if they are so many that the
// mass removal guard holds them, or if no other listing confirms one of several pages.
func (l listing) mayKeep(h history, t time.Time) bool {
	known, lacks := 0, 0
	for key, versions := range h {
		before := asOf(versions, t.Add(-time.Microsecond))
		if before.pruned {
			return true // how many were known is not known
		}
		if !before.absent {
			known++
			if l.state(key).absent {
				lacks++
			}
		}
	}
	return lacks > 0 && (l.pages > 1 || lacks > 5 && 2*lacks > known || lacks == known)
}

// differing returns the items that differ between the listing and the history as of a time. An incomplete listing
// says nothing about the items that it lacks, but for those that begin then: they do not come from it.
func (l listing) differing(h history, t time.Time) (keys []string) {
	for key, versions := range h {
		listed := l.state(key)
		if compared := l.complete || !listed.absent || begins(versions, t); compared && !equal(listed, asOf(versions, t)) {
			keys = append(keys, key)
		}
	}
	for key := range l.items {
		if h[key] == nil {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// explain says why no listing from next on is the origin of the versions that began at t.
func (c *checker) explain(l List, h history, t time.Time, served []listing, next int) {
	for _, s := range served[next:] {
		keys := s.differing(h, t)
		if !c.near(s, t) || slices.ContainsFunc(keys, func(key string) bool { return begins(h[key], t) }) {
			continue
		}
		// What began is as this listing had it, so that something else is missing.
		for _, key := range keys {
			c.damaged(Lost, l, key, t, "the listing served at %s has it %s, and the history %s",
				clock(s.at), s.state(key), asOf(h[key], t))
		}
		return
	}
	for key, versions := range h {
		if !begins(versions, t) {
			continue
		}
		v := asOf(versions, t)
		has := func(s listing) bool { return equal(s.state(key), v) }
		switch {
		case slices.ContainsFunc(served[next:], func(s listing) bool { return c.near(s, t) && has(s) }):
			// It is as it should be; another item is not.
		case slices.ContainsFunc(served, func(s listing) bool { return s.at.Before(t.Add(c.Slack)) && has(s) }):
			c.damaged(Backwards, l, key, t, "%s was served only before what precedes it", v)
		default:
			c.damaged(Unserved, l, key, t, "%s was not served then", v)
		}
	}
}

func begins(versions []version, t time.Time) bool {
	return slices.ContainsFunc(versions, func(v version) bool { return v.from.Equal(t) })
}

// checkNotBefore checks that the change to a version, which came with a listing served until then, happened after
// not_before: by the record of changes, of which the last one before that time led to the version, and by what was
// served at not_before.
func (c *checker) checkNotBefore(l List, key string, before, v version, until time.Time) {
	if v.notBefore == nil {
		return // reported already
	}
	changed := c.changed[item{l, key}]
	last := sort.Search(len(changed), func(i int) bool { return changed[i].After(until) }) - 1
	if last >= 0 && !changed[last].After(*v.notBefore) {
		c.damaged(Bounds, l, key, v.from, "it changed at %s, and not_before is %s", clock(changed[last]), clock(*v.notBefore))
	}
	if v.notBefore.Equal(before.from) {
		return
	}
	confirmed := slices.ContainsFunc(c.served[l], func(s listing) bool {
		return s.complete && c.near(s, *v.notBefore) && equal(s.state(key), before.state)
	})
	if !confirmed {
		c.damaged(Bounds, l, key, v.from, "not_before is %s, and no listing then had it %s",
			clock(*v.notBefore), before.state)
	}
}

// checkWritten checks that the history has what must have been written of a list's listings.
func (c *checker) checkWritten(l List) {
	h := c.histories[l]
	moments := c.moments(l, h)
	var newest *listing
	for i, s := range c.served[l] {
		if c.OneProcess && s.wentOn && !c.written(s, h, moments) {
			c.damaged(Lost, l, "", s.at, "the listing served then was written, and the history never was like it")
		}
		if s.complete {
			newest = &c.served[l][i]
		}
	}
	if !c.CaughtUp || newest == nil {
		return
	}
	want := *newest
	end := time.Now().AddDate(1, 0, 0)
	if l.BatchID != "" && asOf(c.batch(l), end).absent {
		want.items = nil // the devices are removed with their batch
	}
	for _, key := range want.differing(h, end) {
		c.damaged(Behind, l, key, want.at, "it was last served %s, and the current row is %s",
			want.state(key), asOf(h[key], end))
	}
}

// written reports whether the history was at some moment near its time what the listing had.
func (c *checker) written(s listing, h history, moments []time.Time) bool {
	return s.agrees(h, s.at.Add(-c.Slack)) ||
		slices.ContainsFunc(moments, func(t time.Time) bool { return c.near(s, t) && s.agrees(h, t) })
}
