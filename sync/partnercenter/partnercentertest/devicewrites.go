package partnercentertest

import (
	"net/http"
	"time"
)

// withDevice answers for a device that is there, or that there is none. Whatever is done to it, no list is served as
// before.
func (e *Emulator) withDevice(r *http.Request, ids []string, do func(b *batch, d *device, now time.Time) answer) answer {
	return e.withBatch(r, ids, func(c *customer, b *batch, now time.Time) answer {
		d := b.devices.byID[ids[2]]
		if d == nil {
			return notFound(r)
		}
		if step, _ := d.at(now); step.Gone {
			return notFound(r)
		}
		b.devices.pages = nil
		c.changed()
		return do(b, d, now)
	})
}

// updateDevice answers PUT /v1/customers/{customer}/deviceBatches/{batch}/devices/{device}: what the body has, but for
// the id, takes the place of what was. The documentation has no more of it than that it exists.
func (e *Emulator) updateDevice(r *http.Request, ids []string) answer {
	body, err := readBody(r)
	if err != nil {
		return badRequest(r, "body")
	}
	return e.withDevice(r, ids, func(_ *batch, d *device, now time.Time) answer {
		sent := d.sent()
		if !decode(body, &sent) || len(sent.identities()) == 0 {
			return badRequest(r, "Device")
		}
		sent.applyTo(d)
		if len(sent.Policies) > 0 {
			d.assign(sent.Policies, now)
		}
		step, _ := d.at(now)
		return apiAnswer(r, http.StatusOK, d.appendJSON([]byte(bom), step.Policies))
	})
}

// deleteDevice answers DELETE /v1/customers/{customer}/deviceBatches/{batch}/devices/{device}.
func (e *Emulator) deleteDevice(r *http.Request, ids []string) answer {
	return e.withDevice(r, ids, func(b *batch, d *device, _ time.Time) answer {
		b.devices.remove(d.ID)
		return noContent(r)
	})
}

// updatePolicies answers PATCH /v1/customers/{customer}/DevicePolicyUpdates: the devices have the policies once the job
// is done. A value of null, or none, takes a policy from them; values are not looked into.
func (e *Emulator) updatePolicies(r *http.Request, ids []string) answer {
	var sent struct{ Devices []sentDevice }
	body, err := readBody(r)
	if err != nil || !decode(body, &sent) || len(sent.Devices) == 0 {
		return badRequest(r, "DevicePolicyUpdateRequest")
	}
	for _, d := range sent.Devices {
		if d.ID == "" || len(d.Policies) == 0 {
			return badRequest(r, "Id and Policies are required")
		}
	}
	return e.withCustomer(r, ids, func(c *customer, now time.Time) answer {
		j := newJob(now)
		for _, d := range sent.Devices {
			j.outcomes = append(j.outcomes, c.assign(d, now, j.completed()))
		}
		return c.accept(r, j)
	})
}

// assign gives a device that is there now other policies from a time on. The documentation has no code for one that is
// not: it becomes the general one.
func (c *customer) assign(sent sentDevice, now, from time.Time) outcome {
	for _, b := range c.batches.order {
		d := b.devices.byID[sent.ID]
		if d == nil {
			continue
		}
		if step, _ := d.at(now); step.Gone {
			continue
		}
		d.assign(sent.Policies, from)
		b.devices.pages = nil
		return outcome{deviceID: d.ID, serialNumber: d.SerialNumber, productKey: d.ProductKey}
	}
	return outcome{deviceID: sent.ID, errorCode: "1000", errorDescription: "Not found"}
}
