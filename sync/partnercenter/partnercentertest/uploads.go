package partnercentertest

import (
	"net/http"
	"time"

	"github.com/google/uuid"
)

// createBatch answers POST /v1/customers/{customer}/deviceBatches: the batch exists at once and proceeds with the
// job. The documentation demands that a user has signed in; here the application's own token will do. It has no
// code for a batch that exists already.
func (e *Emulator) createBatch(r *http.Request, ids []string) answer {
	var sent struct {
		BatchID string
		Devices []sentDevice
	}
	if !decode(readBody(r), &sent) || sent.BatchID == "" || !identifiable(sent.Devices) {
		return badRequest(r, "DeviceBatchCreationRequest")
	}
	return e.withCustomer(r, ids, func(c *customer, now time.Time) answer {
		if c.batches.byID[sent.BatchID] != nil {
			return apiFault(r, http.StatusConflict, "409", "The device batch already exists: "+sent.BatchID)
		}
		b := &batch{Batch: Batch{ID: sent.BatchID, Created: now}}
		j := e.upload(c, b, sent.Devices, now)
		b.Script = Lifecycle(JobQueued, JobProcessing, j.partlyFailed())
		c.batches.add(b.ID, b)
		return c.accept(r, j)
	})
}

// addDevices answers POST /v1/customers/{customer}/deviceBatches/{batch}/devices, whose body is a bare array. The
// effect on the batch's status is not documented; here there is none.
func (e *Emulator) addDevices(r *http.Request, ids []string) answer {
	var sent []sentDevice
	if !decode(readBody(r), &sent) || !identifiable(sent) {
		return badRequest(r, "Devices")
	}
	return e.withBatch(r, ids, func(c *customer, b *batch, now time.Time) answer {
		return c.accept(r, e.upload(c, b, sent, now))
	})
}

// upload starts the job that puts devices into a batch, where they appear when it is done. A device that another
// customer has by then fails with 808, one that this customer has with 806.
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
			o.deviceID = "" // as users report for a hash alone
		}
		j.outcomes = append(j.outcomes, o)
	}
	return j
}

// receive puts an uploaded device into the batch, where it appears when the job is done, and returns its new id.
func (b *batch) receive(s sentDevice, now time.Time) (id string) {
	d := device{Device: Device{
		ID: uuid.NewString(), Uploaded: now,
		Script: []DeviceStep{{After: JobQueued + JobProcessing, Policies: s.Policies}},
	}}
	s.applyTo(&d)
	b.devices.put(d, now)
	return d.ID
}

// holders are the customers that have a device, nil for none, by each identity of the device.
type holders map[identity]*customer

// holders looks up devices among those that all customers have at a time.
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

// How long the job of an upload or a policy update takes, by the emulator's clock.
const (
	JobQueued     = 2 * time.Minute
	JobProcessing = 10 * time.Minute // as in the example of "Get the status of a device batch upload"
)

// job is an upload or a policy update under way.
type job struct {
	id       string
	created  time.Time
	outcomes []outcome // in the order of the request's devices
}

// outcome is the outcome for one of a job's devices. Texts that are "" are omitted from the answer; without an
// error code it is a success.
type outcome struct {
	deviceID, serialNumber, productKey string
	errorCode, errorDescription        string
}

func newJob(now time.Time) *job { return &job{id: uuid.NewString(), created: now} }

func (j *job) started() time.Time   { return j.created.Add(JobQueued) }
func (j *job) completed() time.Time { return j.started().Add(JobProcessing) }

// accept accepts a job: 202 and where to request its status, without the version. Its effects are scripted already,
// so that the lists that were served are discarded.
func (c *customer) accept(r *http.Request, j *job) answer {
	c.jobs[j.id] = j
	c.changed()
	a := untyped(apiAnswer(r, http.StatusAccepted, nil))
	a.header.Set("Location", "/customers/"+c.ID+"/batchJobStatus/"+j.id)
	return a
}

// jobStatus answers GET /v1/customers/{customer}/batchJobStatus/{job}. The documented answer has no Content-Type.
func (e *Emulator) jobStatus(r *http.Request, ids []string) answer {
	return e.withCustomer(r, ids, func(c *customer, now time.Time) answer {
		j := c.jobs[ids[1]]
		if j == nil {
			return notFound(r)
		}
		return untyped(apiAnswer(r, http.StatusOK, j.body(now)))
	})
}

// partlyFailed reports whether some devices failed and others did not. In the documented example the only device
// has an error, and the job is finished all the same: a client that looks at the job alone is misled, here too.
func (j *job) partlyFailed() bool {
	failed := 0
	for _, o := range j.outcomes {
		if o.errorCode != "" {
			failed++
		}
	}
	return failed > 0 && failed < len(j.outcomes)
}

// body returns the job as it is at a time. A time yet to come is the date that the API uses for none.
func (j *job) body(now time.Time) []byte {
	over := !now.Before(j.completed())
	var status string
	var started, completed time.Time
	switch {
	case over:
		status, started, completed = finished(j.partlyFailed()), j.started(), j.completed()
	case now.Before(j.started()):
		status = "queued"
	default:
		status, started = "processing", j.started()
	}
	body := appendString([]byte(bom+`{"batchTrackingId":`), j.id)
	body = appendMember(body, "status", status)
	body = appendMember(body, "startedTime", zoneless(started))
	body = appendMember(body, "completedTime", zoneless(completed))
	body = append(body, `,"devicesStatus":[`...)
	for i, o := range j.outcomes {
		if i > 0 {
			body = append(body, ',')
		}
		body = o.appendJSON(body, over)
	}
	body = append(body, ']')
	return appendEnd(body, "BatchUploadDetails", "")
}

// appendJSON appends the outcome for a device. Until the job is over that is in-progress, which the documentation
// has for devices only.
func (o outcome) appendJSON(dst []byte, over bool) []byte {
	status := finished(o.errorCode != "")
	if !over {
		o = outcome{serialNumber: o.serialNumber, productKey: o.productKey}
		status = "in-progress"
	}
	start := len(dst)
	dst = appendMember(dst, "deviceId", o.deviceID)
	dst = appendMember(dst, "serialNumber", o.serialNumber)
	dst = appendMember(dst, "productKey", o.productKey)
	dst = appendMember(dst, "status", status)
	dst = appendMember(dst, "errorCode", o.errorCode)
	dst = appendMember(dst, "errorDescription", o.errorDescription)
	dst[start] = '{' // in place of the first comma
	return appendEnd(dst, "DeviceUploadDetails", "")
}
