package partnercentertest

import (
	"cmp"
	"net/http"
	"strconv"
	"time"
)

// Batch is a device batch and how it changes as the emulator's clock moves.
type Batch struct {
	ID           string    // the name that its uploader gave it
	CreatedBy    string    // "" is omitted from the answer
	Created      time.Time // zero: that of the batch it replaces, or the emulator's now
	DevicesCount int       // 0: the number of its devices

	// Status is the status of a batch without a script; "" is omitted from the answer.
	Status string
	// Script is what happens after Created: the last step that has begun is in effect. Before the first, there is
	// no batch.
	Script []Step

	// Extra is further members of the item as raw JSON, such as `"region":"EU","createdBy":7`: what the API may add
	// one day, and what it should never send. They follow the other members, which may have the same names.
	Extra string
	// Raw, if set, is served instead of the item, as it is.
	Raw string
}

// batch is a batch with its devices.
type batch struct {
	Batch
	devices devices
}

// PutBatch appends a batch to the customer's list, or replaces the one with that id, keeping its place and its
// devices. It panics if there is no such customer.
func (e *Emulator) PutBatch(customerID string, b Batch) {
	b.Script = inOrder(b.Script)
	now := e.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.customers.get(customerID)
	if c == nil {
		panic("partnercentertest: putting a batch of an unknown customer " + customerID)
	}
	c.changed()
	e.changes(c.list(BatchList, ""), b.ID)
	if old := c.batches.byID[b.ID]; old != nil {
		b.Created = cmp.Or(b.Created, old.Created)
		old.Batch = b
		return
	}
	b.Created = cmp.Or(b.Created, now)
	c.batches.add(b.ID, &batch{Batch: b})
}

// RemoveBatch removes a batch and its devices, if there is one.
func (e *Emulator) RemoveBatch(customerID, batchID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c := e.customers.get(customerID); c != nil {
		if b := c.batches.byID[batchID]; b != nil {
			e.changesDevices(c, batchID, b.devices.ids()...)
		}
		c.batches.remove(batchID)
		c.changed()
	}
}

// listBatches answers GET /v1/customers/{customer}/deviceBatches: all of them at once, as documented.
func (e *Emulator) listBatches(r *http.Request, ids []string) answer {
	return e.withCustomer(r, ids, func(c *customer, now time.Time) answer {
		a := apiAnswer(r, http.StatusOK, c.batchList(now))
		return e.serves(a, c.list(BatchList, ""), true)
	})
}

// withBatch answers with do for a batch, or that there is none.
func (e *Emulator) withBatch(r *http.Request, ids []string, do func(*customer, *batch, time.Time) answer) answer {
	return e.withCustomer(r, ids, func(c *customer, now time.Time) answer {
		b := c.batches.byID[ids[1]]
		if b == nil {
			return notFound(r)
		}
		if step, _ := b.at(now); step.Gone {
			return notFound(r)
		}
		return do(c, b, now)
	})
}

// batchList returns the body of the customer's list of batches.
func (c *customer) batchList(now time.Time) []byte {
	if c.batchesRendered.holds(now) {
		return c.batchesRendered.body
	}
	items := make([]byte, 0, 256*len(c.batches.order))
	var until time.Time
	count := 0
	for _, b := range c.batches.order {
		step, next := b.at(now)
		until = sooner(until, next)
		if step.Gone {
			continue
		}
		if count > 0 {
			items = append(items, ',')
		}
		devices, next := b.count(step, now)
		until = sooner(until, next)
		items = b.appendJSON(items, c.ID, step.Status, devices)
		count++
	}
	c.batchesRendered = rendering{body: collection(count, items, ""), from: now, until: until}
	return c.batchesRendered.body
}

// at returns the step in effect at a time, and when the next one begins, zero for never.
func (b *Batch) at(now time.Time) (step Step, next time.Time) {
	if len(b.Script) == 0 {
		return Step{Status: b.Status}, time.Time{}
	}
	i, next := holding(b.Script, b.Created, now)
	if i < 0 {
		return Step{Gone: true}, next
	}
	return b.Script[i], next
}

// count returns how many devices the batch claims to have in a step, and when that changes next, zero for never.
func (b *batch) count(step Step, now time.Time) (n int, next time.Time) {
	if n := cmp.Or(step.DevicesCount, b.DevicesCount); n != 0 {
		return n, time.Time{}
	}
	next = b.devices.each(now, func(*device, DeviceStep) { n++ })
	return n, next
}

// appendJSON appends the batch as an item of the list: dates without zone or fraction, and a link with raw spaces
// and no version.
func (b *Batch) appendJSON(dst []byte, customerID, status string, devices int) []byte {
	if b.Raw != "" {
		return append(dst, b.Raw...)
	}
	dst = appendString(append(dst, `{"id":`...), b.ID)
	dst = appendMember(dst, "createdBy", b.CreatedBy)
	dst = appendMember(dst, "status", status)
	dst = appendMember(dst, "creationDate", zoneless(b.Created))
	dst = append(dst, `,"devicesCount":`...)
	dst = strconv.AppendInt(dst, int64(devices), 10)
	dst = appendEscaped(append(dst, `,"devicesLink":{"uri":"/customers/`...), customerID)
	dst = appendEscaped(append(dst, `/deviceBatches/`...), b.ID)
	dst = append(dst, `/devices","method":"GET","headers":[]}`...)
	return appendEnd(dst, "DeviceBatch", b.Extra)
}
