package historytest

import "time"

// checkVersions checks that an item's versions join, and that the columns of each fit its place among them.
func (c *checker) checkVersions(l List, key string, versions []version) {
	first, last := versions[0], versions[len(versions)-1]
	if first.absent && !c.Pruned {
		c.damaged(Lost, l, key, first.from, "the first version is a removal")
	}
	if first.notBefore != nil && !c.Pruned {
		c.damaged(Bounds, l, key, first.from, "the first version has not_before %s", clock(*first.notBefore))
	}
	if last.to != nil {
		c.damaged(Lost, l, key, *last.to, "there is no current row")
	}
	for i, v := range versions {
		if v.removedAt != nil && !v.removedAt.Equal(v.from) {
			c.damaged(Bounds, l, key, v.from, "removed_at is %s and not valid_from", clock(*v.removedAt))
		}
		if i > 0 {
			c.checkSuccessor(l, key, versions[i-1], v)
		}
	}
}

// checkSuccessor checks a version against the one before.
func (c *checker) checkSuccessor(l List, key string, before, v version) {
	switch {
	case before.to == nil:
		c.damaged(Overlap, l, key, v.from, "there are two current rows")
	case before.to.After(v.from):
		c.damaged(Overlap, l, key, v.from, "the version before ends at %s", clock(*before.to))
	case before.to.Before(v.from):
		c.damaged(Gap, l, key, v.from, "the version before ended at %s", clock(*before.to))
	}
	if !v.from.After(before.from) {
		c.damaged(Backwards, l, key, v.from, "the version before began at %s", clock(before.from))
	}
	if equal(before.state, v.state) {
		c.damaged(Duplicate, l, key, v.from, "it is %s as before", v.state)
	}
	switch {
	case v.notBefore == nil:
		c.damaged(Bounds, l, key, v.from, "a later version has no not_before")
	case v.notBefore.Before(before.from) || !v.notBefore.Before(v.from):
		c.damaged(Bounds, l, key, v.from, "not_before is %s, and the version before began at %s",
			clock(*v.notBefore), clock(before.from))
	}
}

// checkRemovedWithBatch checks that the devices of a batch were removed together with it.
func (c *checker) checkRemovedWithBatch(l List, h history) {
	for _, b := range c.batch(l) {
		if !b.absent {
			continue
		}
		end := b.from.AddDate(1, 0, 0)
		if b.to != nil {
			end = b.to.Add(-time.Microsecond)
		}
		for key, versions := range h {
			if v := asOf(versions, end); !v.absent {
				c.damaged(Unserved, l, key, b.from, "the batch was removed, and the device stayed %s", v)
			}
		}
	}
}

// batch returns the versions of the batch that a list of devices belongs to, and nothing for other lists.
func (c *checker) batch(l List) []version {
	return c.histories[List{CustomerID: l.CustomerID, Kind: "deviceBatches"}][l.BatchID]
}

// checkCounts compares the runs' counts with the versions.
func (c *checker) checkCounts() {
	var got counts
	for _, h := range c.histories {
		for _, versions := range h {
			got.Inserted++
			for _, v := range versions[1:] {
				if v.absent {
					got.Removed++
				} else {
					got.Changed++
				}
			}
		}
	}
	if got != c.counted {
		c.damaged(Miscounted, List{}, "", time.Time{}, "the runs counted %+v, and there are %+v", c.counted, got)
	}
}
