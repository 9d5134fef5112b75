package viewtest

import (
	"maps"
	"slices"
	"time"
)

// version is how an item was known for a time.
type version[T any] struct {
	item      T
	from      time.Time  // when it was first observed
	notBefore *time.Time // the change to it happened after this time; nil: it is the item's first version
	removed   bool       // the item was not there
	to        *time.Time // when the next version was observed; nil: it is the current one
}

// holds reports whether the version is how the item was known at a time.
func (v version[T]) holds(at time.Time) bool {
	return !v.from.After(at) && (v.to == nil || v.to.After(at))
}

// list is the history of a list of the API: what is known of each item, and how the list was last read.
type list[T any] struct {
	items     map[string][]version[T]
	confirmed *time.Time // when a listing was last taken as a whole
	pages     int        // of that listing
	first     *time.Time // when that was so for the first time
	held      []string   // what the last complete listing lacked, and the mass removal guard held back
	refusals  int        // in a row
}

// current returns the current version of an item.
func (l *list[T]) current(key string) (v version[T], known bool) {
	if versions := l.items[key]; len(versions) > 0 {
		return versions[len(versions)-1], true
	}
	return v, false
}

// there returns the keys of the items that are there, in order.
func (l *list[T]) there() (keys []string) {
	for _, key := range slices.Sorted(maps.Keys(l.items)) {
		if v, _ := l.current(key); !v.removed {
			keys = append(keys, key)
		}
	}
	return keys
}

// begin ends the current version of an item, and begins another.
func (l *list[T]) begin(key string, v version[T]) {
	if l.items == nil {
		l.items = map[string][]version[T]{}
	}
	if versions := l.items[key]; len(versions) > 0 {
		versions[len(versions)-1].to = &v.from
	}
	l.items[key] = append(l.items[key], v)
}

// merge takes in a listing that was observed at a time, and reports whether the mass removal guard held it.
func (l *list[T]) merge(at time.Time, s served, item func(servedItem) T, holdsAll bool) (held bool) {
	known := l.there()
	listed := map[string]bool{}
	for _, i := range s.items {
		listed[i.ID] = true
		now := item(i)
		switch before, known := l.current(i.ID); {
		case !known:
			l.begin(i.ID, version[T]{item: now, from: at})
		case before.removed:
			// A listing of several pages may have missed what was there, and says nothing of when it returned.
			notBefore := before.from
			if l.pages <= 1 {
				notBefore = later(l.confirmed, before.from)
			}
			l.begin(i.ID, version[T]{item: now, from: at, notBefore: &notBefore})
		case !same(before.item, now):
			notBefore := later(l.confirmed, before.from)
			l.begin(i.ID, version[T]{item: now, from: at, notBefore: &notBefore})
		}
	}
	if !s.complete {
		return false
	}
	absent := slices.DeleteFunc(slices.Clone(known), func(key string) bool { return listed[key] })
	many := len(absent) > 5 && 2*len(absent) > len(known) || holdsAll && len(absent) == len(known)
	heldBefore := l.held
	l.held = nil
	for _, key := range absent {
		if many && !slices.Contains(heldBefore, key) {
			l.held = append(l.held, key)
			continue
		}
		l.remove(key, at)
	}
	if len(l.held) > 0 {
		return true
	}
	l.confirmed, l.pages = &at, s.pages
	if l.first == nil {
		l.first = &at
	}
	return false
}

// remove begins a version in which the item is not there.
func (l *list[T]) remove(key string, at time.Time) {
	before, _ := l.current(key)
	notBefore := later(l.confirmed, before.from)
	l.begin(key, version[T]{item: before.item, from: at, notBefore: &notBefore, removed: true})
}

// prune drops the versions that ended before a time, and reports whether there were any.
func (l *list[T]) prune(before time.Time) (any bool) {
	for key, versions := range l.items {
		l.items[key] = pruned(versions, before)
		any = any || len(l.items[key]) < len(versions)
	}
	return any
}

// pruned returns the versions that are left when those that ended before a time are gone.
func pruned[T any](versions []version[T], before time.Time) []version[T] {
	for len(versions) > 1 && versions[0].to.Before(before) {
		versions = versions[1:]
	}
	return versions
}

// unknownBefore reports whether the first version that is kept has a predecessor that was pruned.
func unknownBefore[T any](versions []version[T]) bool { return versions[0].notBefore != nil }

// later returns the later of two times, of which the first may be none.
func later(a *time.Time, b time.Time) time.Time {
	if a != nil && a.After(b) {
		return *a
	}
	return b
}
