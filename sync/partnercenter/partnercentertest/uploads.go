package partnercentertest

import (
	"net/http"
	"time"

	"github.com/google/uuid"
)

// createBatch answers POST /v1/customers/{customer}/deviceBatches: the batch is there at once and gets on with the job.
// The documentation wants a user signed in along with the application; here the application's own token does. It has no
// code for a batch that is there already.
func (e *Emulator) createBatch(r *http.Request, ids []string) answer {
	var sent struct {
		BatchID string
		Devices []sentDevice
	}
	body, err := readBody(r)
	if err != nil || !decode(body, &sent) || sent.BatchID == "" || !identifiable(sent.Devices) {
		return badRequest(r, "DeviceBatchCreationRequest")
	}
	return e.withCustomer(r, ids, func(c *customer, now time.Time) answer {
		if c.batches.byID[sent.BatchID] != nil {
			return apiFault(r, http.StatusConflict, "409", "The device batch already exists: "+sent.BatchID)
		}
		b := &batch{Batch: Batch{ID: sent.BatchID, Created: now}}
		j := e.upload(c, b, sent.Devices, now)
		b.Script = Lifecycle(JobQueued, JobProcessing, j.mixed())
		c.batches.add(b.ID, b)
		return c.accept(r, j)
	})
}

// addDevices answers POST /v1/customers/{customer}/deviceBatches/{batch}/devices, whose body is a bare array. What that
// does to the batch's status is not documented: here, nothing.
func (e *Emulator) addDevices(r *http.Request, ids []string) answer {
	var sent []sentDevice
	body, err := readBody(r)
	if err != nil || !decode(body, &sent) || !identifiable(sent) {
		return badRequest(r, "Devices")
	}
	return e.withBatch(r, ids, func(c *customer, b *batch, now time.Time) answer {
		return c.accept(r, e.upload(c, b, sent, now))
	})
}

// upload starts the job that puts devices into a batch, where they are once it is done. A device that another customer
// has by then gets 808, one that this customer has gets 806.
func (e *Emulator) upload(c *customer, b *batch, sent []sentDevice, now time.Time) *job {
	j := newJob(now)
	holders := e.customers.holders(sent, j.completed())
	for _, s := range sent {
		o := outcome{serialNumber: s.SerialNumber, productKey: s.ProductKey}
		switch holder := holders.of(s); holder {
		case nil:
			holders.set(s, c)
			o.deviceID = b.receive(s, now)
		case c:
			o.errorCode, o.errorDescription = "806", "ZtdDeviceAlreadyAssigned"
		default:
			o.errorCode, o.errorDescription = "808", "ZtdDeviceAssignedToOtherTenant"
		}
		if s.SerialNumber == "" && s.ProductKey == "" {
			o.deviceID = "" // as users report it of a hash alone
		}
		j.outcomes = append(j.outcomes, o)
	}
	return j
}

// receive puts an uploaded device into the batch, to be there once the job is done, and returns the id it was given.
func (b *batch) receive(s sentDevice, now time.Time) (id string) {
	d := device{Device: Device{
		ID: uuid.NewString(), Uploaded: now,
		Script: []DeviceStep{{After: JobQueued + JobProcessing, Policies: s.Policies}},
	}}
	s.applyTo(&d)
	b.devices.put(d, now)
	return d.ID
}

// holders says which customer has a device, nil for none, by each thing that the device is known by.
type holders map[identity]*customer

// holders looks for devices among those that all customers have at a time.
func (cs *customers) holders(sent []sentDevice, at time.Time) holders {
	found := holders{}
	for _, s := range sent {
		found.set(s, nil)
	}
	for _, c := range cs.order {
		c.devices(at, func(d *device, _ DeviceStep) {
			for _, id := range d.identities() {
				if _, asked := found[id]; asked {
					found[id] = c
				}
			}
		})
	}
	return found
}

func (h holders) set(s sentDevice, c *customer) {
	for _, id := range s.identities() {
		h[id] = c
	}
}

func (h holders) of(s sentDevice) *customer {
	for _, id := range s.identities() {
		if c := h[id]; c != nil {
			return c
		}
	}
	return nil
}
