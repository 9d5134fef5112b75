package partnercentertest

import (
	"net/http"
	"time"

	"github.com/google/uuid"
)

// How long a job takes that an upload or a policy update starts, by the emulator's clock.
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

// outcome is what becomes of one of a job's devices. Texts that are "" are left out of the answer; without an error it is
// well.
type outcome struct {
	deviceID, serialNumber, productKey string
	errorCode, errorDescription        string
}

func newJob(now time.Time) *job { return &job{id: uuid.NewString(), created: now} }

func (j *job) started() time.Time   { return j.created.Add(JobQueued) }
func (j *job) completed() time.Time { return j.started().Add(JobProcessing) }

// accept takes up a job: 202 and where to ask for it, without the version. What it does is in place already, to be seen
// when its time has come, so that no list is served as before.
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

// mixed says whether some of the devices are well and some are not. In the documented example the only device has an
// error, and still the job is finished: whoever looks at the job alone is misled, here too.
func (j *job) mixed() bool {
	failed := 0
	for _, o := range j.outcomes {
		if o.errorCode != "" {
			failed++
		}
	}
	return failed > 0 && failed < len(j.outcomes)
}

// body is the job as it is at a time. A time that has not come is the date that the API has for none.
func (j *job) body(now time.Time) []byte {
	over := !now.Before(j.completed())
	var status string
	var started, completed time.Time
	switch {
	case over:
		status, started, completed = finished(j.mixed()), j.started(), j.completed()
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

// appendJSON appends what becomes of a device. Until the job is over that is in-progress, which the documentation has for
// devices alone.
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
