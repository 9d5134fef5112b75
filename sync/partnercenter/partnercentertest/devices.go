package partnercentertest

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"time"
)

// Device is a device of a batch and how it changes as the emulator's clock moves. Texts that are "" are omitted
// from the answer.
type Device struct {
	ID                  string
	SerialNumber        string
	ProductKey          string
	HardwareHash        string // no documented answer has it
	ModelName           string
	OEMManufacturerName string
	UploadedBy          string
	Uploaded            time.Time // zero: that of the device it replaces, or the emulator's now; its zone is served

	// Policies are those of a device without a script. nil means what each documented device has: o_o_b_e, null.
	Policies []PolicyAssignment
	// Script is what happens after Uploaded: the last step that has begun is in effect. Before the first, there is
	// no device.
	Script []DeviceStep

	Extra string // as in [Batch]
	Raw   string // as in [Batch]
}

// PolicyAssignment says which configuration policy of a category a device has.
type PolicyAssignment struct {
	Key   string // the category, such as o_o_b_e
	Value string // the policy's id or its name: the API has been seen to send either; "" is null, for none
}

// unassigned are the policies of a device without any.
var unassigned = []PolicyAssignment{{Key: "o_o_b_e"}}

// device is a device of a batch.
type device struct {
	Device
	seq  uint32 // increases from device to device
	hash string // its hardware hash, served or not
}

// devices are a batch's devices, and the pages of the list as they were last served.
type devices struct {
	ordered[device]
	last  uint32               // the newest one's seq
	pages map[uint32]rendering // by the seq after which they begin
}

// PutDevice appends a device to the batch's list, or replaces the one with that id, keeping its place. It panics if
// there is no such batch.
func (e *Emulator) PutDevice(customerID, batchID string, d Device) {
	e.PutDevices(customerID, batchID, d)
}

// PutDevices puts several devices as [Emulator.PutDevice] does. No request sees only some of them.
func (e *Emulator) PutDevices(customerID, batchID string, ds ...Device) {
	now := e.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	c, b := e.customers.batch(customerID, batchID)
	if b == nil {
		panic("partnercentertest: putting a device of an unknown batch " + batchID)
	}
	for _, d := range ds {
		d.Script = inOrder(d.Script)
		b.devices.put(device{Device: d, hash: d.HardwareHash}, now)
		e.changesDevices(c, batchID, d.ID)
	}
	c.changed()
}

// RemoveDevice removes a device, if there is one.
func (e *Emulator) RemoveDevice(customerID, batchID, deviceID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c, b := e.customers.batch(customerID, batchID); b != nil {
		e.changesDevices(c, batchID, deviceID)
		b.devices.remove(deviceID)
		b.devices.pages = nil
		c.changed()
	}
}

// batch returns a customer and its batch, nil if there is none.
func (cs *customers) batch(customerID, batchID string) (*customer, *batch) {
	c := cs.get(customerID)
	if c == nil {
		return nil, nil
	}
	return c, c.batches.byID[batchID]
}

// put adds a device, or replaces the one with that id.
func (ds *devices) put(d device, now time.Time) {
	ds.pages = nil
	if old := ds.byID[d.ID]; old != nil {
		d.Uploaded, d.seq = cmp.Or(d.Uploaded, old.Uploaded), old.seq
		*old = d
		return
	}
	ds.last++
	d.Uploaded, d.seq = cmp.Or(d.Uploaded, now), ds.last
	ds.add(d.ID, &d)
}

// each calls visit with every device that exists at a time and the step in effect, and returns when any of that
// changes next, zero for never.
func (ds *devices) each(now time.Time, visit func(*device, DeviceStep)) (next time.Time) {
	for _, d := range ds.order {
		step, changes := d.at(now)
		next = sooner(next, changes)
		if !step.Gone {
			visit(d, step)
		}
	}
	return next
}

// devices calls visit as [devices.each] does, for every batch that exists.
func (c *customer) devices(now time.Time, visit func(*device, DeviceStep)) (next time.Time) {
	for _, b := range c.batches.order {
		step, changes := b.at(now)
		next = sooner(next, changes)
		if !step.Gone {
			next = sooner(next, b.devices.each(now, visit))
		}
	}
	return next
}

// at returns the step in effect at a time, and when the next one begins, zero for never.
func (d *Device) at(now time.Time) (step DeviceStep, next time.Time) {
	i, next := holding(d.Script, d.Uploaded, now)
	switch {
	case i >= 0:
		step = d.Script[i]
	case len(d.Script) > 0:
		step.Gone = true
	default:
		step.Policies = d.Policies
	}
	if step.Policies == nil {
		step.Policies = unassigned
	}
	return step, next
}

// assign changes the device's policies from a time on, until its script says otherwise. Those with other keys stay.
func (d *Device) assign(changes []PolicyAssignment, from time.Time) {
	step, _ := d.at(from)
	step.After = from.Sub(d.Uploaded)
	step.Policies = slices.Clone(step.Policies)
	for _, change := range changes {
		i := slices.IndexFunc(step.Policies, func(p PolicyAssignment) bool { return p.Key == change.Key })
		if i < 0 {
			step.Policies = append(step.Policies, change)
		} else {
			step.Policies[i].Value = change.Value
		}
	}
	if len(d.Script) == 0 {
		d.Script = []DeviceStep{{After: math.MinInt64, Policies: d.Policies}} // from the beginning
	}
	d.Script = inOrder(append(d.Script, step))
}

// appendJSON appends the device as an item of the list.
func (d *Device) appendJSON(dst []byte, policies []PolicyAssignment) []byte {
	if d.Raw != "" {
		return append(dst, d.Raw...)
	}
	dst = appendString(append(dst, `{"id":`...), d.ID)
	dst = appendMember(dst, "serialNumber", d.SerialNumber)
	dst = appendMember(dst, "productKey", d.ProductKey)
	dst = appendMember(dst, "hardwareHash", d.HardwareHash)
	dst = appendMember(dst, "modelName", d.ModelName)
	dst = appendMember(dst, "oemManufacturerName", d.OEMManufacturerName)
	dst = append(dst, `,"policies":[`...)
	for i, p := range policies {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = p.appendJSON(dst)
	}
	dst = append(dst, ']')
	dst = appendMember(dst, "uploadedDate", zoned(d.Uploaded))
	dst = appendMember(dst, "uploadedBy", d.UploadedBy)
	return appendEnd(dst, "Device", d.Extra)
}

// appendJSON appends the assignment. This is the one place where the API sends null.
func (p PolicyAssignment) appendJSON(dst []byte) []byte {
	dst = appendString(append(dst, `{"key":`...), p.Key)
	if p.Value == "" {
		return append(dst, `,"value":null}`...)
	}
	return append(appendMember(dst, "value", p.Value), '}')
}

// listDevices answers GET /v1/customers/{customer}/deviceBatches/{batch}/devices, by pages. According to the
// documentation the token alone leads to the next page; seekOperation is not mentioned.
func (e *Emulator) listDevices(r *http.Request, ids []string) answer {
	operation, token := foldedQuery(r).Get("seekoperation"), r.Header.Get("MS-ContinuationToken")
	if token != "" {
		operation = cmp.Or(operation, "Next")
	}
	after, ok := seek(operation, token)
	if !ok {
		return badRequest(r, "seekOperation or MS-ContinuationToken")
	}
	return e.withBatch(r, ids, func(c *customer, b *batch, now time.Time) answer {
		a := apiAnswer(r, http.StatusOK, e.devicePage(c, b, after, now))
		return e.serves(a, c.list(DeviceList, b.ID), after == 0)
	})
}

// devicePage returns the body of the page that begins after a device.
func (e *Emulator) devicePage(c *customer, b *batch, after uint32, now time.Time) []byte {
	if page := b.devices.pages[after]; page.holds(now) {
		return page.body
	}
	p := b.devices.page(after, e.opts.DevicePageSize, now)
	uri := fmt.Sprintf("%s/customers/%s/deviceBatches/%s/devices?seekOperation=Next",
		e.linkVersion(), url.PathEscape(c.ID), url.PathEscape(b.ID))
	link, tail := nextPage(cmp.Or(e.opts.Paging, BodyToken), uri, p.token)
	if link != "" {
		tail = `,"links":{` + link + `}` + tail
	}
	body := collection(p.count, p.items, tail)
	if b.devices.pages == nil {
		b.devices.pages = map[uint32]rendering{}
	}
	b.devices.pages[after] = rendering{body: body, from: now, until: p.until}
	return body
}

// devicePage is a page before it is serialized.
type devicePage struct {
	items []byte // as for collection
	count int
	token string    // of the next page, "" on the last
	until time.Time // when it changes, zero for never
}

// page returns the page of up to size devices that begins after one.
func (ds *devices) page(after uint32, size int, now time.Time) devicePage {
	start := sort.Search(len(ds.order), func(i int) bool { return ds.order[i].seq > after })
	var p devicePage
	var last uint32
	for _, d := range ds.order[start:] {
		step, next := d.at(now)
		p.until = sooner(p.until, next)
		if step.Gone {
			continue
		}
		if p.count == size {
			p.token = continuationToken(last)
			break
		}
		if p.count > 0 {
			p.items = append(p.items, ',')
		}
		p.items = d.appendJSON(p.items, step.Policies)
		p.count++
		last = d.seq
	}
	return p
}
