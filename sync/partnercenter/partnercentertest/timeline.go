package partnercentertest

import (
	"slices"
	"strings"
	"time"
)

// The kinds of list that a timeline is about.
const (
	BatchList  = "deviceBatches"
	PolicyList = "policies"
	DeviceList = "devices"
)

// List is one list of the API.
type List struct {
	CustomerID string // lower case
	Kind       string // BatchList, PolicyList or DeviceList
	BatchID    string // of a DeviceList
}

// Serving is one page of a list as it was answered, whole and unaltered. Whether the client got it is another matter.
type Serving struct {
	List
	At            time.Time // when the list was like this, by the time of this process and not by the emulator's clock
	CorrelationID string    // MS-CorrelationId of request and answer
	First         bool      // the page with which the list begins
	Body          []byte    // shared with other servings: not to be changed
}

// Change is a moment at which an item of a list became another, came or went, by a call of the emulator's methods.
type Change struct {
	List
	Key string    // the item's id
	At  time.Time // as in Serving, in one order with it
}

// Timeline is what an emulator with Options.Timeline served, and what changed meanwhile, each in the order of its times.
// Changes by scripts and by the API's writing calls are not among them.
type Timeline struct {
	Servings []Serving
	Changes  []Change
}

// Timeline returns what was served and changed so far.
func (e *Emulator) Timeline() Timeline {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := Timeline{Servings: slices.Clone(e.timeline.Servings), Changes: slices.Clone(e.timeline.Changes)}
	slices.SortStableFunc(t.Servings, func(a, b Serving) int { return a.At.Compare(b.At) })
	return t
}

// serves notes with an answer which page of which list it is. The caller holds the lock, so that nothing changes between
// the page and its time.
func (e *Emulator) serves(a answer, l List, first bool) answer {
	if e.opts.Timeline {
		a.serving = &Serving{List: l, At: time.Now(), CorrelationID: a.header.Get("MS-CorrelationId"), First: first, Body: a.body}
	}
	return a
}

// served puts an answer that is about to be sent on the timeline, unless the fault spoils it.
func (e *Emulator) served(a answer, f *fault) {
	if a.serving == nil || f.ResetBody || f.Edit != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.timeline.Servings = append(e.timeline.Servings, *a.serving)
}

// changes puts a change of items on the timeline. The caller holds the lock.
func (e *Emulator) changes(l List, keys ...string) {
	if !e.opts.Timeline {
		return
	}
	now := time.Now()
	for _, key := range keys {
		e.timeline.Changes = append(e.timeline.Changes, Change{List: l, Key: key, At: now})
	}
}

// changesDevices puts a change of devices on the timeline: the batch has their number.
func (e *Emulator) changesDevices(c *customer, batchID string, keys ...string) {
	e.changes(c.list(DeviceList, batchID), keys...)
	e.changes(c.list(BatchList, ""), batchID)
}

// list names one of the customer's lists.
func (c *customer) list(kind, batchID string) List {
	return List{CustomerID: strings.ToLower(c.ID), Kind: kind, BatchID: batchID}
}

// ids returns the ids of the devices.
func (ds *devices) ids() []string {
	ids := make([]string, len(ds.order))
	for i, d := range ds.order {
		ids[i] = d.ID
	}
	return ids
}
