package partnercentertest

import (
	"slices"
	"time"
)

// ordered holds values by id and in the order of their coming. The zero value is empty.
type ordered[T any] struct {
	byID  map[string]*T
	order []*T
}

// add puts a value at the end; there must be none of that id.
func (o *ordered[T]) add(id string, value *T) {
	if o.byID == nil {
		o.byID = map[string]*T{}
	}
	o.byID[id] = value
	o.order = append(o.order, value)
}

// remove takes the value of an id away, if it is there.
func (o *ordered[T]) remove(id string) {
	removed := o.byID[id]
	delete(o.byID, id)
	o.order = slices.DeleteFunc(o.order, func(value *T) bool { return value == removed })
}

// rendering is a body as it is from one time until another; an until of zero is never.
type rendering struct {
	body        []byte
	from, until time.Time
}

func (r rendering) holds(now time.Time) bool {
	return r.body != nil && !now.Before(r.from) && (r.until.IsZero() || now.Before(r.until))
}

// sooner returns the earlier of two times of which zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
