package partnercentertest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/sync/partnercenter/partnercentertest"
)

// jobDetails is the status of a job.
type jobDetails struct {
	BatchTrackingID, Status, StartedTime, CompletedTime string
	DevicesStatus                                       []struct {
		DeviceID, SerialNumber, ProductKey, Status, ErrorCode, ErrorDescription string
	}
}

// job asks how a job gets on.
func (p *partner) job(t *testing.T, path string) jobDetails {
	t.Helper()
	_, body := p.get(t, path)
	return decode[jobDetails](t, body)
}

func TestJobStatus_bodyAsDocumented(t *testing.T) {
	t.Parallel()
	p := newPartner(t, partnercentertest.Options{Start: time.Date(2017, 7, 25, 9, 58, 0, 0, time.UTC)})
	p.AddCustomer(partnercentertest.Customer{ID: contoso})
	p.AddCustomer(partnercentertest.Customer{ID: fabrikam})
	p.PutBatch(fabrikam, partnercentertest.Batch{ID: "theirs"})
	p.PutDevice(fabrikam, "theirs", partnercentertest.Device{ID: "d", ProductKey: "12345-67890-09876-54321-13579"})
	path := p.upload(t, "Test batch", `[{"SerialNumber":"1234567890","ProductKey":"12345-67890-09876-54321-13579"}]`)
	p.Advance(jobTime)
	// The example's paths are lower case in one place and not in another.
	response, body := p.get(t, strings.Replace(path, "batchJobStatus", "batchjobstatus", 1))
	id := path[strings.LastIndex(path, "/")+1:]
	want := bom + `{"batchTrackingId":"` + id + `","status":"finished","startedTime":"2017-07-25T10:00:00","completedTime":"2017-07-25T10:10:00",` +
		`"devicesStatus":[{"serialNumber":"1234567890","productKey":"12345-67890-09876-54321-13579","status":"finished_with_errors",` +
		`"errorCode":"808","errorDescription":"ZtdDeviceAssignedToOtherTenant","attributes":{"objectType":"DeviceUploadDetails"}}],` +
		`"attributes":{"objectType":"BatchUploadDetails"}}`
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if got, has := response.Header["Content-Type"]; has {
		t.Errorf("Content-Type %q, the documented answer has none", got)
	}
}

func TestJobStatus_byTheClock(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{})
	p.PutDevice(contoso, "Test batch", partnercentertest.Device{ID: "d", ProductKey: "held"})
	path := p.upload(t, "new", `[{"productKey":"k","serialNumber":"s"},{"hardwareHash":"h"},{"productKey":"held"}]`)
	const never, started = "0001-01-01T00:00:00", "2026-01-05T08:02:00"
	tests := []struct {
		advance                    time.Duration
		status, started, completed string
		devices                    []string
	}{
		{0, "queued", never, never, []string{"in-progress", "in-progress", "in-progress"}},
		{partnercentertest.JobQueued, "processing", started, never, []string{"in-progress", "in-progress", "in-progress"}},
		{partnercentertest.JobProcessing, "finished_with_errors", started, "2026-01-05T08:12:00", []string{"finished", "finished", "finished_with_errors"}},
	}
	for _, test := range tests {
		p.Advance(test.advance)
		got := p.job(t, path)
		if got.Status != test.status || got.StartedTime != test.started || got.CompletedTime != test.completed {
			t.Errorf("%s: job is %+v", test.status, got)
		}
		var devices []string
		for _, d := range got.DevicesStatus {
			devices = append(devices, d.Status)
			if over := test.advance == partnercentertest.JobProcessing; !over && d.DeviceID+d.ErrorCode != "" {
				t.Errorf("%s: device %+v says what is not known yet", test.status, d)
			}
		}
		if diff := cmp.Diff(test.devices, devices); diff != "" {
			t.Errorf("%s: devices (-want +got):\n%s", test.status, diff)
		}
	}
	_, body := p.get(t, contosoBatches+"/new/devices")
	listed := decode[devicePage](t, body).Items
	outcomes := p.job(t, path).DevicesStatus
	if outcomes[0].DeviceID != listed[0].ID || outcomes[0].SerialNumber != "s" {
		t.Errorf("first device is %+v, listed %+v", outcomes[0], listed[0])
	}
	if got := outcomes[1]; got.DeviceID+got.SerialNumber+got.ProductKey != "" {
		t.Errorf("a hash alone has become %+v, want neither id nor serial number nor key", got)
	}
}

func TestJobStatus_unknown(t *testing.T) {
	t.Parallel()
	p := newContoso(t)
	p.AddCustomer(partnercentertest.Customer{ID: fabrikam})
	path := p.upload(t, "new", `[{"productKey":"k"}]`)
	tests := []struct {
		name, path string
		status     int
	}{
		{"own", path, 200},
		{"never given out", "/v1/customers/" + contoso + "/batchJobStatus/x", 404},
		{"another customer's", strings.Replace(path, contoso, fabrikam, 1), 404},
		{"list of jobs, which the API lacks", "/v1/customers/" + contoso + "/batchJobStatus", 404},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if response, body := p.get(t, test.path); response.StatusCode != test.status {
				t.Errorf("%d %s, want %d", response.StatusCode, body, test.status)
			}
		})
	}
}
