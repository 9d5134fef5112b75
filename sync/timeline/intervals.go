package timeline

import (
	"time"

	"partnersync/sync/partnercenter/partnercentertest"
)

// intervals checks that an item's versions join, and that each has what a version of its place has.
func (c *checker) intervals(l partnercentertest.List, key string, versions []version) {
	first, last := versions[0], versions[len(versions)-1]
	if first.gone {
		c.damaged(Lost, l, key, first.from, "the first version is a removal")
	}
	if first.notBefore != nil {
		c.damaged(Bounds, l, key, first.from, "the first version has not_before %s", clock(*first.notBefore))
	}
	if last.to != nil {
		c.damaged(Lost, l, key, *last.to, "there is no current row")
	}
	for _, v := range versions {
		if v.removed != nil && !v.removed.Equal(v.from) {
			c.damaged(Bounds, l, key, v.from, "removed_at is %s and not valid_from", clock(*v.removed))
		}
	}
	for i, v := range versions[1:] {
		c.successor(l, key, versions[i], v)
	}
}

// successor checks a version against the one before.
func (c *checker) successor(l partnercentertest.List, key string, before, v version) {
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
	if same(before.state, v.state) {
		c.damaged(Doubled, l, key, v.from, "it is %s as before", v.state)
	}
	switch {
	case v.notBefore == nil:
		c.damaged(Bounds, l, key, v.from, "a later version has no not_before")
	case v.notBefore.Before(before.from) || !v.notBefore.Before(v.from):
		c.damaged(Bounds, l, key, v.from, "not_before is %s, and the version before began at %s", clock(*v.notBefore), clock(before.from))
	}
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05.000000") }
