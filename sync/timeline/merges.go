package timeline

import (
	"slices"
	"sort"
	"time"

	"partnersync/sync/partnercenter/partnercentertest"
)

// ahead is how far the clocks of the database and of this process may be apart.
const ahead = 50 * time.Millisecond

// merges finds the serving of each listing that was written to a list, and checks the versions that began with it.
func (c *checker) merges(l partnercentertest.List, h history) {
	served := c.servings[l]
	next := 0
	for _, t := range c.moments(l, h) {
		j := next + slices.IndexFunc(served[next:], func(s listing) bool { return c.near(s, t) && s.agrees(h, t) })
		if j < next {
			c.explain(l, h, t, served, next)
			continue
		}
		next = j + 1
		for key, versions := range h {
			for i, v := range versions {
				if v.from.Equal(t) && i > 0 {
					c.bounds(l, key, versions[i-1], v, served[j].until)
				}
			}
		}
	}
}

// moments are the times at which versions of a list begin, but for those at which its batch was removed, and its devices
// with it.
func (c *checker) moments(l partnercentertest.List, h history) []time.Time {
	var all []time.Time
	batch := c.records.histories[partnercentertest.List{CustomerID: l.CustomerID, Kind: partnercentertest.BatchList}][l.BatchID]
	for _, versions := range h {
		for _, v := range versions {
			if withBatch := v.gone && len(batch) > 0 && at(batch, v.from).gone; !withBatch {
				all = append(all, v.from)
			}
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	return slices.CompactFunc(all, time.Time.Equal)
}

// near says whether a listing may have been observed at a time.
func (c *checker) near(l listing, observed time.Time) bool {
	return !observed.After(l.at.Add(ahead)) && !observed.Before(l.at.Add(-c.Slack))
}

// agrees says whether the history as of a time is what the listing held. An incomplete one need not hold all.
func (s listing) agrees(h history, t time.Time) bool { return s.differing(h, t) == nil }

// differing returns the items that the history as of a time has otherwise than the listing.
func (s listing) differing(h history, t time.Time) (keys []string) {
	for key, versions := range h {
		if listed, ok := s.items[key]; ok || s.complete {
			if listed.gone = !ok; !same(listed, at(versions, t)) {
				keys = append(keys, key)
			}
		}
	}
	for key := range s.items {
		if h[key] == nil {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// explain says why no serving from next on is that of the versions that began at t.
func (c *checker) explain(l partnercentertest.List, h history, t time.Time, served []listing, next int) {
	for _, s := range served[next:] {
		if keys := s.differing(h, t); c.near(s, t) && !slices.ContainsFunc(keys, func(key string) bool { return begins(h[key], t) }) {
			for _, key := range keys {
				c.damaged(Lost, l, key, t, "the listing served at %s has it %s, and the history %s", clock(s.at), s.state(key), at(h[key], t))
			}
			return
		}
	}
	for key, versions := range h {
		if !begins(versions, t) {
			continue
		}
		v := at(versions, t)
		has := func(s listing) bool { return same(s.state(key), v) }
		switch {
		case slices.ContainsFunc(served[next:], func(s listing) bool { return c.near(s, t) && has(s) }):
			// another item is to blame
		case slices.ContainsFunc(served, func(s listing) bool { return s.at.Before(t.Add(c.Slack)) && has(s) }):
			c.damaged(Backwards, l, key, t, "%s was served only before what precedes it", v)
		default:
			c.damaged(Unserved, l, key, t, "%s was not served then", v)
		}
	}
}

// state returns an item's state in a listing.
func (s listing) state(key string) state {
	listed, ok := s.items[key]
	listed.gone = !ok
	return listed
}

func begins(versions []version, t time.Time) bool {
	return slices.ContainsFunc(versions, func(v version) bool { return v.from.Equal(t) })
}

// bounds checks that the change to a version came after not_before: by what the emulator notes of changes, of which the
// last one before the page was served led to it, and by what it served at not_before.
func (c *checker) bounds(l partnercentertest.List, key string, before, v version, served time.Time) {
	if v.notBefore == nil {
		return // found already
	}
	changed := c.changes[item{l, key}]
	last := sort.Search(len(changed), func(i int) bool { return changed[i].After(served) }) - 1
	if last >= 0 && !changed[last].After(*v.notBefore) {
		c.damaged(Bounds, l, key, v.from, "it changed at %s, and not_before is %s", clock(changed[last]), clock(*v.notBefore))
	}
	if v.notBefore.Equal(before.from) {
		return
	}
	confirmed := slices.ContainsFunc(c.servings[l], func(s listing) bool {
		return s.complete && c.near(s, *v.notBefore) && same(s.state(key), before.state)
	})
	if !confirmed {
		c.damaged(Bounds, l, key, v.from, "not_before is %s, and no listing then had it %s", clock(*v.notBefore), before.state)
	}
}
