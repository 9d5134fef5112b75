package timeline

import (
	"slices"
	"time"

	"partnersync/sync/partnercenter/partnercentertest"
)

// served checks that what must have been written of a list's servings is there.
func (c *checker) served(l partnercentertest.List) {
	h := c.records.histories[l]
	moments := c.moments(l, h)
	var newest *listing
	for i, s := range c.servings[l] {
		if c.Sole && s.wentOn && !c.written(s, h, moments) {
			c.damaged(Lost, l, "", s.at, "the listing served then was written, and the history never was like it")
		}
		if s.complete {
			newest = &c.servings[l][i]
		}
	}
	if !c.CaughtUp || newest == nil {
		return
	}
	want := *newest
	if batch := c.current(partnercentertest.List{CustomerID: l.CustomerID, Kind: partnercentertest.BatchList}, l.BatchID); l.BatchID != "" && batch.gone {
		want = listing{at: want.at, complete: true} // its devices are removed with it
	}
	end := time.Now().AddDate(1, 0, 0)
	for _, key := range want.differing(h, end) {
		c.damaged(Behind, l, key, want.at, "it was last served %s, and the current row is %s", want.state(key), at(h[key], end))
	}
}

// current returns an item's state now.
func (c *checker) current(l partnercentertest.List, key string) state {
	versions := c.records.histories[l][key]
	if len(versions) == 0 {
		return state{gone: true}
	}
	return versions[len(versions)-1].state
}

// written says whether the history was at some moment near its time what the listing held.
func (c *checker) written(s listing, h history, moments []time.Time) bool {
	return s.agrees(h, s.at.Add(-c.Slack)) || slices.ContainsFunc(moments, func(t time.Time) bool { return c.near(s, t) && s.agrees(h, t) })
}

// withoutBatch checks that the devices of a batch were removed together with it.
func (c *checker) withoutBatch(l partnercentertest.List, h history) {
	for _, b := range c.records.histories[partnercentertest.List{CustomerID: l.CustomerID, Kind: partnercentertest.BatchList}][l.BatchID] {
		if !b.gone {
			continue
		}
		end := b.from.AddDate(1, 0, 0)
		if b.to != nil {
			end = b.to.Add(-time.Microsecond)
		}
		for key, versions := range h {
			if v := at(versions, end); !v.gone {
				c.damaged(Unserved, l, key, b.from, "the batch was removed, and the device stayed %s", v)
			}
		}
	}
}
