package partnercentertest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Batch is a device batch, and what becomes of it as the emulator's clock moves.
type Batch struct {
	ID           string    // as its uploader named it
	CreatedBy    string    // "" is left out of the answer
	Created      time.Time // zero: that of the batch it replaces, else the emulator's now
	DevicesCount int

	// Status is that of a batch without a script; "" is left out of the answer.
	Status string
	// Script is what happens since Created: the last step that has come holds. Before the first, the batch is not there.
	Script []Step

	// Extra is further members of the item as raw JSON, such as `"region":"EU","createdBy":7`: what the API may add one
	// day, and what it should never send. Of equal names, these come last.
	Extra string
	// Raw, if set, is served in place of the item, as it is.
	Raw string
}

// Step is a state that a batch enters.
type Step struct {
	After        time.Duration // since the batch's Created
	Status       string        // "" is left out of the answer
	DevicesCount int           // from this step to the next; 0: the batch's own
	Gone         bool          // the list lacks the batch
}

// Lifecycle returns the script of a batch that is queued and processing for so long each, and then finished, or
// finished_with_errors.
func Lifecycle(queued, processing time.Duration, withErrors bool) []Step {
	end := "finished"
	if withErrors {
		end = "finished_with_errors"
	}
	return []Step{
		{Status: "queued"},
		{After: queued, Status: "processing"},
		{After: queued + processing, Status: end},
	}
}

// batches are a customer's batches, by id and in the order of their coming, and the list as it was last served.
type batches struct {
	byID     map[string]*Batch
	order    []*Batch
	rendered rendering
}

// PutBatch adds a batch at the end of the customer's list, or replaces the one of that id in its place. It panics where
// there is no such customer.
func (e *Emulator) PutBatch(customerID string, b Batch) {
	b.Script = slices.Clone(b.Script)
	slices.SortStableFunc(b.Script, func(x, y Step) int { return cmp.Compare(x.After, y.After) })
	now := e.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.customers.get(customerID)
	if c == nil {
		panic("partnercentertest: putting a batch of an unknown customer " + customerID)
	}
	c.rendered = rendering{}
	if old := c.byID[b.ID]; old != nil {
		if b.Created.IsZero() {
			b.Created = old.Created
		}
		*old = b
		return
	}
	if b.Created.IsZero() {
		b.Created = now
	}
	c.byID[b.ID] = &b
	c.order = append(c.order, &b)
}

// RemoveBatch takes a batch off a customer's list, if it is there.
func (e *Emulator) RemoveBatch(customerID, batchID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.customers.get(customerID)
	if c == nil {
		return
	}
	removed := c.byID[batchID]
	delete(c.byID, batchID)
	c.order = slices.DeleteFunc(c.order, func(b *Batch) bool { return b == removed })
	c.rendered = rendering{}
}

// listBatches answers GET /v1/customers/{customer}/deviceBatches: all of them at once, as documented.
func (e *Emulator) listBatches(r *http.Request, ids []string) answer {
	now := e.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.customers.get(ids[0])
	if c == nil {
		return apiFault(r, http.StatusForbidden, "20002", fmt.Sprintf(
			"The partner ID %s has no commerce relationship with the customer ID %s", e.opts.TenantID, ids[0]))
	}
	return apiAnswer(r, http.StatusOK, c.list(now))
}

// rendering is a list as it is from one time until another; an until of zero is never.
type rendering struct {
	body        []byte
	from, until time.Time
}

func (r rendering) holds(now time.Time) bool {
	return r.body != nil && !now.Before(r.from) && (r.until.IsZero() || now.Before(r.until))
}

// list returns the body of the customer's list of batches.
func (c *customer) list(now time.Time) []byte {
	if c.rendered.holds(now) {
		return c.rendered.body
	}
	items := make([]byte, 0, 256*len(c.order))
	var until time.Time
	count := 0
	for _, b := range c.order {
		step, next := b.at(now)
		if !next.IsZero() && (until.IsZero() || next.Before(until)) {
			until = next
		}
		if step.Gone {
			continue
		}
		if count > 0 {
			items = append(items, ',')
		}
		items = b.appendJSON(items, c.ID, step)
		count++
	}
	c.rendered = rendering{body: collection(count, items, ""), from: now, until: until}
	return c.rendered.body
}

// at returns the step that holds at a time, and when the next one comes, zero for never.
func (b *Batch) at(now time.Time) (step Step, next time.Time) {
	step = Step{Status: b.Status, Gone: len(b.Script) > 0}
	for _, s := range b.Script {
		if due := b.Created.Add(s.After); due.After(now) {
			return step, due
		}
		step = s
	}
	return step, time.Time{}
}

// appendJSON appends the batch as an item of the list: dates without zone or fraction, a link that has its spaces raw
// and no version.
func (b *Batch) appendJSON(dst []byte, customerID string, step Step) []byte {
	if b.Raw != "" {
		return append(dst, b.Raw...)
	}
	dst = appendString(append(dst, `{"id":`...), b.ID)
	if b.CreatedBy != "" {
		dst = appendString(append(dst, `,"createdBy":`...), b.CreatedBy)
	}
	if step.Status != "" {
		dst = appendString(append(dst, `,"status":`...), step.Status)
	}
	dst = b.Created.UTC().AppendFormat(append(dst, `,"creationDate":"`...), "2006-01-02T15:04:05")
	dst = append(dst, `","devicesCount":`...)
	dst = strconv.AppendInt(dst, int64(cmp.Or(step.DevicesCount, b.DevicesCount)), 10)
	dst = appendEscaped(append(dst, `,"devicesLink":{"uri":"/customers/`...), customerID)
	dst = appendEscaped(append(dst, `/deviceBatches/`...), b.ID)
	dst = append(dst, `/devices","method":"GET","headers":[]},"attributes":{"objectType":"DeviceBatch"}`...)
	if b.Extra != "" {
		dst = append(append(dst, ','), b.Extra...)
	}
	return append(dst, '}')
}
