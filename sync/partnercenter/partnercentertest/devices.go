package partnercentertest

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Device is a device of a batch, and what becomes of it as the emulator's clock moves. Texts that are "" are left out of
// the answer.
type Device struct {
	ID                  string
	SerialNumber        string
	ProductKey          string
	HardwareHash        string // no documented answer has it
	ModelName           string
	OEMManufacturerName string
	UploadedBy          string
	Uploaded            time.Time // zero: that of the device it replaces, else the emulator's now; its zone is served

	// Policies are those of a device without a script. nil is the one that each documented device has: o_o_b_e, null.
	Policies []PolicyAssignment
	// Script is what happens since Uploaded: the last step that has come holds. Before the first, the device is not there.
	Script []DeviceStep

	Extra string // as in [Batch]
	Raw   string // as in [Batch]
}

// PolicyAssignment says which configuration policy of a category a device has.
type PolicyAssignment struct {
	Key   string // the category, such as o_o_b_e
	Value string // the policy's id or its name: the API has been seen to give either; "" is null, for none
}

// unassigned are the policies of a device that was given none.
var unassigned = []PolicyAssignment{{Key: "o_o_b_e"}}

// device is a device of a batch.
type device struct {
	Device
	seq  uint32 // rises from device to device
	hash string // its hardware hash, served or not
}

// devices are a batch's devices, and the pages of the list as they were last served.
type devices struct {
	ordered[device]
	last  uint32               // the newest one's seq
	pages map[uint32]rendering // by the seq after which they begin
}

// PutDevice adds a device at the end of the batch's list, or replaces the one of that id in its place. It panics where
// there is no such batch.
func (e *Emulator) PutDevice(customerID, batchID string, d Device) {
	e.PutDevices(customerID, batchID, d)
}

// PutDevices puts several devices as [Emulator.PutDevice] does, so that no request sees but some of them.
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

// RemoveDevice takes a device away, if it is there.
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

// batch returns a customer and its batch, nil where there is none.
func (cs *customers) batch(customerID, batchID string) (*customer, *batch) {
	c := cs.get(customerID)
	if c == nil {
		return nil, nil
	}
	return c, c.batches.byID[batchID]
}

// put adds a device, or replaces the one of that id.
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

// each calls visit with every device that is there at a time and what holds for it, and returns when that changes next,
// zero for never.
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

// devices calls visit as [devices.each] does, for every batch that is there.
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

// at returns the step that holds at a time, and when the next one comes, zero for never.
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

// assign changes the device's policies from a time on, until its script says otherwise. Those of other keys stay.
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
		d.Script = []DeviceStep{{After: math.MinInt64, Policies: d.Policies}} // there all along
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

// appendJSON appends the assignment; the one place where the API writes null.
func (p PolicyAssignment) appendJSON(dst []byte) []byte {
	dst = appendString(append(dst, `{"key":`...), p.Key)
	if p.Value == "" {
		return append(dst, `,"value":null}`...)
	}
	return append(appendMember(dst, "value", p.Value), '}')
}
