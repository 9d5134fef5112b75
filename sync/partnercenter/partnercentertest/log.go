package partnercentertest

import (
	"net/http"
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

// Serving is one page of a list as it was served, whole and unaltered. Whether it arrived is another matter.
type Serving struct {
	List
	At            time.Time // when the list was like this, by real time and not by the emulator's clock
	CorrelationID string    // MS-CorrelationId of the request and the answer
	First         bool      // it is the page with which the list begins
	Body          []byte    // shared with other servings; do not change it
}

// Change is a moment at which a call of the emulator's methods changed, added or removed an item of a list.
type Change struct {
	List
	Key string    // the item's id
	At  time.Time // by the same clock as in Serving
}

// Timeline is what an emulator with Options.Timeline served and what changed meanwhile, each in the order of its
// times. Changes by scripts and by the API's writing requests are not included.
type Timeline struct {
	Servings []Serving
	Changes  []Change
}

// Timeline returns what has been served and changed so far.
func (e *Emulator) Timeline() Timeline {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := Timeline{Servings: slices.Clone(e.timeline.Servings), Changes: slices.Clone(e.timeline.Changes)}
	slices.SortStableFunc(t.Servings, func(a, b Serving) int { return a.At.Compare(b.At) })
	return t
}

// serves adds to an answer which page of which list it is. The caller holds the lock, so that nothing changes between
// the page and its time.
func (e *Emulator) serves(a answer, l List, first bool) answer {
	if e.opts.Timeline {
		id := a.header.Get("MS-CorrelationId")
		a.serving = &Serving{List: l, At: time.Now(), CorrelationID: id, First: first, Body: a.body}
	}
	return a
}

// served records an answer that is about to be sent on the timeline, unless the fault spoils it.
func (e *Emulator) served(a answer, f *fault) {
	if a.serving == nil || f.ResetBody || f.Edit != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.timeline.Servings = append(e.timeline.Servings, *a.serving)
}

// changes records a change of items on the timeline. The caller holds the lock.
func (e *Emulator) changes(l List, keys ...string) {
	if !e.opts.Timeline {
		return
	}
	now := time.Now()
	for _, key := range keys {
		e.timeline.Changes = append(e.timeline.Changes, Change{List: l, Key: key, At: now})
	}
}

// changesDevices records a change of devices on the timeline, and of the batch, which has their number.
func (e *Emulator) changesDevices(c *customer, batchID string, keys ...string) {
	e.changes(c.list(DeviceList, batchID), keys...)
	e.changes(c.list(BatchList, ""), batchID)
}

// list returns the identity of one of the customer's lists.
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

// Request is a request that the emulator received, and what it answered.
type Request struct {
	At     time.Time // when it was answered, by real time and not by the emulator's clock
	Method string
	Path   string // unescaped
	Query  string // as received
	Header http.Header
	Status int // 0: no answer
	Bytes  int // of the body sent
}

// requestLog keeps the newest requests: at least limit of them, and at most twice as many.
type requestLog struct {
	limit    int
	requests []Request
}

// newest returns up to limit requests.
func (l *requestLog) newest() []Request {
	return l.requests[max(0, len(l.requests)-l.limit):]
}

// Requests returns the newest requests, up to Options.LogSize, in the order of their answers, including those to the
// authority. Their Authorization headers are not kept.
func (e *Emulator) Requests() []Request {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.log.newest())
}

// record logs a request before its answer is sent.
func (e *Emulator) record(r *http.Request, status, bytes int) {
	header := r.Header.Clone()
	if header.Get("Authorization") != "" {
		header.Set("Authorization", "[redacted]")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	l := &e.log
	if len(l.requests) == 2*l.limit {
		l.requests = append(l.requests[:0], l.newest()...)
	}
	l.requests = append(l.requests, Request{
		At: time.Now(), Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery,
		Header: header, Status: status, Bytes: bytes,
	})
}
