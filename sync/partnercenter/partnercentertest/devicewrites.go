package partnercentertest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// withDevice answers with do for a device, or that there is none. Since do may change the device, the lists that were
// served are discarded.
func (e *Emulator) withDevice(r *http.Request, ids []string, do func(*batch, *device, time.Time) answer) answer {
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

// updateDevice answers PUT /v1/customers/{customer}/deviceBatches/{batch}/devices/{device}: what the body has, except
// the id, replaces what was there. The documentation only says that this request exists.
func (e *Emulator) updateDevice(r *http.Request, ids []string) answer {
	body := readBody(r)
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

// updatePolicies answers PATCH /v1/customers/{customer}/DevicePolicyUpdates: the devices have the policies once the
// job is done. A value that is null or missing removes a policy; values are not checked.
func (e *Emulator) updatePolicies(r *http.Request, ids []string) answer {
	var sent struct{ Devices []sentDevice }
	if !decode(readBody(r), &sent) || len(sent.Devices) == 0 {
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

// assign gives a device that exists now other policies from a time on. The documentation has no code for a device
// that does not exist, so that the general one is used.
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

// sentDevice is a device as requests have it. The case of names is ignored: Microsoft's SDKs send PascalCase, others
// camelCase.
type sentDevice struct {
	ID                  string
	SerialNumber        string
	ProductKey          string
	HardwareHash        string
	ModelName           string
	OEMManufacturerName string
	Policies            []PolicyAssignment
}

// readBody reads the body of a request, which may begin with a byte order mark, as answers do. What cannot be read to
// its end is not valid JSON.
func readBody(r *http.Request) []byte {
	body, _ := io.ReadAll(r.Body)
	return bytes.TrimPrefix(body, []byte(bom))
}

// decode sets in v what the body has, and reports whether the body is valid.
func decode(body []byte, v any) bool { return json.Unmarshal(body, v) == nil }

// identity is one of the things that identify a device; the other fields are "".
type identity struct {
	hash, key            string
	serial, maker, model string
}

// identities returns what identifies a device. According to "Upload a list of devices to create a new batch for the
// specified customer" each alone is enough; case matters.
func (d *sentDevice) identities() []identity {
	var ids []identity
	if d.HardwareHash != "" {
		ids = append(ids, identity{hash: d.HardwareHash})
	}
	if d.ProductKey != "" {
		ids = append(ids, identity{key: d.ProductKey})
	}
	if d.SerialNumber != "" && d.OEMManufacturerName != "" && d.ModelName != "" {
		ids = append(ids, identity{serial: d.SerialNumber, maker: d.OEMManufacturerName, model: d.ModelName})
	}
	return ids
}

func (d *device) identities() []identity {
	sent := d.sent()
	return sent.identities()
}

// identifiable reports whether something identifies each of the devices.
func identifiable(ds []sentDevice) bool {
	for i := range ds {
		if len(ds[i].identities()) == 0 {
			return false
		}
	}
	return len(ds) > 0
}

// sent returns the device as a request would have it, without its policies.
func (d *device) sent() sentDevice {
	return sentDevice{
		ID: d.ID, SerialNumber: d.SerialNumber, ProductKey: d.ProductKey, HardwareHash: d.hash,
		ModelName: d.ModelName, OEMManufacturerName: d.OEMManufacturerName,
	}
}

// applyTo makes the device what was sent, except its id and policies. A hardware hash is kept but not served, since
// no documented answer has one.
func (s *sentDevice) applyTo(d *device) {
	d.SerialNumber, d.ProductKey, d.hash = s.SerialNumber, s.ProductKey, s.HardwareHash
	d.ModelName, d.OEMManufacturerName = s.ModelName, s.OEMManufacturerName
}
