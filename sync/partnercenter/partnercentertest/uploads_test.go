package partnercentertest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"partnersync/sync/partnercenter/partnercentertest"
)

// jobTime is how long a whole job takes.
const jobTime = partnercentertest.JobQueued + partnercentertest.JobProcessing

// accepted checks a 202 and returns the path of the job.
func accepted(t *testing.T, response *http.Response, body string) string {
	t.Helper()
	if response.StatusCode != http.StatusAccepted || body != "" || response.Header.Get("Content-Length") != "0" {
		t.Fatalf("%d, Content-Length %s, %q; want 202 and nothing", response.StatusCode,
			response.Header.Get("Content-Length"), body)
	}
	location := response.Header.Get("Location")
	id, ok := strings.CutPrefix(location, "/customers/"+contoso+"/batchJobStatus/")
	if _, err := uuid.Parse(id); !ok || err != nil {
		t.Fatalf("Location %q", location)
	}
	return "/v1" + location
}

// upload sends devices, as a JSON array, into a new batch.
func (p *partner) upload(t *testing.T, batch, devices string) (job string) {
	t.Helper()
	response, body := p.send(t, "POST", contosoBatches,
		`{"BatchId":"`+batch+`","Devices":`+devices+`,"Attributes":{"ObjectType":"DeviceBatchCreationRequest"}}`)
	return accepted(t, response, body)
}

func TestCreateBatch_getsOnWithTheJob(t *testing.T) {
	t.Parallel()
	p := newContoso(t)
	p.statuses(t)
	p.upload(t, "Test batch", `[{"SerialNumber":"s1","ProductKey":"k1","HardwareHash":"h1","ModelName":"m","OemManufacturerName":"o"},{"ProductKey":"k2"}]`)
	tests := []struct {
		advance time.Duration
		status  string
		devices int
	}{
		{0, "Test batch: queued", 0},
		{partnercentertest.JobQueued - 1, "Test batch: queued", 0},
		{1, "Test batch: processing", 0},
		{partnercentertest.JobProcessing, "Test batch: finished", 2},
	}
	for _, test := range tests {
		p.Advance(test.advance)
		if diff := cmp.Diff([]string{test.status}, p.statuses(t)); diff != "" {
			t.Errorf("at %v (-want +got):\n%s", p.Now(), diff)
		}
		if count, listed := p.devicesCount(t), len(p.devices(t).Items); count != test.devices || listed != test.devices {
			t.Errorf("%s: the batch says %d devices and lists %d, want %d", test.status, count, listed, test.devices)
		}
	}
	got := p.devices(t).Items
	want := []deviceItem{
		{SerialNumber: "s1", ProductKey: "k1", ModelName: "m", OEMManufacturerName: "o"}, // the hash is kept to itself
		{ProductKey: "k2"},
	}
	for i := range want {
		want[i].ID, want[i].UploadedDate, want[i].Policies = got[i].ID, "2026-01-05T08:00:00.0000000+00:00", got[i].Policies
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("devices (-want +got):\n%s", diff)
	}
}

func TestAddDevices_toABatch(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{})
	put(p, "a")
	accept := func(body string) {
		t.Helper()
		response, answer := p.send(t, "POST", testBatchDevices, body)
		accepted(t, response, answer)
	}
	accept(`[{"productKey":"k1","deviceBatchId":"ignored","policies":[{"key":"o_o_b_e","value":"policy"}]}]`)
	if got := p.devicesCount(t); got != 1 {
		t.Errorf("%d devices before the job is done, want 1", got)
	}
	p.Advance(jobTime)
	got := p.devices(t)
	if diff := cmp.Diff([]string{"a: o_o_b_e=", got.Items[1].ID + ": o_o_b_e=policy"}, got.lines()); diff != "" {
		t.Errorf("devices (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"Test batch: finished"}, p.statuses(t)); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestUpload_identification(t *testing.T) {
	t.Parallel()
	tests := []struct {
		device string
		status int
	}{
		{`{"hardwareHash":"h","productKey":"k"}`, 202},
		{`{"hardwareHash":"h","serialNumber":"s"}`, 202},
		{`{"hardwareHash":"h"}`, 202},
		{`{"productKey":"k"}`, 202},
		{`{"serialNumber":"s","oemManufacturerName":"o","modelName":"m"}`, 202},
		{`{"SERIALNUMBER":"s","OEMManufacturerName":"o","modelname":"m"}`, 202},
		{`{"serialNumber":"s"}`, 400},
		{`{"serialNumber":"s","modelName":"m"}`, 400},
		{`{"productKey":"k"},{}`, 400},
		{`null`, 400},
		{``, 400},
		{`{"productKey":7}`, 400},
	}
	for _, test := range tests {
		t.Run(test.device, func(t *testing.T) {
			t.Parallel()
			p := newTestBatch(t, partnercentertest.Options{})
			if response, body := p.send(t, "POST", testBatchDevices, "["+test.device+"]"); response.StatusCode != test.status {
				t.Errorf("added: %d %s, want %d", response.StatusCode, body, test.status)
			}
			p = newContoso(t)
			if response, body := p.send(t, "POST", contosoBatches,
				`{"batchId":"b","devices":[`+test.device+`]}`); response.StatusCode != test.status {
				t.Errorf("in a new batch: %d %s, want %d", response.StatusCode, body, test.status)
			}
		})
	}
}

func TestUpload_refused(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{})
	const devices = `[{"productKey":"k"}]`
	tests := []struct {
		name, path, body string
		status           int
		code             string
	}{
		{"batch is there", contosoBatches, `{"batchId":"Test batch","devices":` + devices + `}`, 409, "409"},
		{"batch without a name", contosoBatches, `{"devices":` + devices + `}`, 400, "800002"},
		{"batch without devices", contosoBatches, `{"batchId":"new"}`, 400, "800002"},
		{"no JSON", contosoBatches, `batchId`, 400, "800002"},
		{"array for a batch", contosoBatches, devices, 400, "800002"},
		{"batch for an array", testBatchDevices, `{"devices":` + devices + `}`, 400, "800002"},
		{"unknown batch", contosoBatches + "/other/devices", devices, 404, "1000"},
		{"unknown customer", "/v1/customers/" + fabrikam + "/deviceBatches", `{"batchId":"b","devices":` + devices + `}`,
			403, "20002"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			response, body := p.send(t, "POST", test.path, test.body)
			if got := decode[fault](t, body).Code; response.StatusCode != test.status || got != test.code {
				t.Errorf("%d %s, want %d %s", response.StatusCode, got, test.status, test.code)
			}
		})
	}
}

func TestCreateBatch_otherCaseIsAnotherBatch(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{})
	p.upload(t, "TEST BATCH", `[{"productKey":"k"}]`)
	if diff := cmp.Diff([]string{"Test batch: finished", "TEST BATCH: queued"}, p.statuses(t)); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
}

func TestUpload_devicesThatSomeoneHas(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{})
	p.AddCustomer(partnercentertest.Customer{ID: fabrikam})
	p.PutBatch(fabrikam, partnercentertest.Batch{ID: "theirs"})
	gone := []partnercentertest.DeviceStep{{}, {After: time.Minute, Gone: true}}
	p.PutDevices(fabrikam, "theirs",
		partnercentertest.Device{ID: "1", HardwareHash: "their hash"},
		partnercentertest.Device{ID: "2", SerialNumber: "s", OEMManufacturerName: "o", ModelName: "m"},
		partnercentertest.Device{ID: "3", ProductKey: "given up", Script: gone})
	p.PutDevice(contoso, "Test batch", partnercentertest.Device{ID: "4", ProductKey: "ours"})
	job := p.upload(t, "new", `[{"hardwareHash":"their hash"},{"serialNumber":"s","oemManufacturerName":"o","modelName":"m"},
		{"serialNumber":"S","oemManufacturerName":"o","modelName":"m"},{"productKey":"given up"},{"productKey":"ours"},
		{"productKey":"twice"},{"productKey":"twice","hardwareHash":"another"}]`)
	p.Advance(jobTime)
	var got []string
	for _, d := range p.job(t, job).DevicesStatus {
		got = append(got, strings.TrimSpace(d.ErrorCode+" "+d.ErrorDescription))
	}
	const theirs, ours = "808 ZtdDeviceAssignedToOtherTenant", "806 ZtdDeviceAlreadyAssigned"
	if diff := cmp.Diff([]string{theirs, theirs, "", "", ours, "", ours}, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"Test batch: finished", "new: finished_with_errors"}, p.statuses(t)); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
	again := p.upload(t, "again", `[{"productKey":"twice"},{"hardwareHash":"fresh"}]`)
	p.Advance(jobTime)
	if got := p.job(t, again).DevicesStatus[0].ErrorCode; got != "806" {
		t.Errorf("uploaded again: error code %q, want 806", got)
	}
}

// jobDetails is the status of a job.
type jobDetails struct {
	BatchTrackingID, Status, StartedTime, CompletedTime string
	DevicesStatus                                       []struct {
		DeviceID, SerialNumber, ProductKey, Status, ErrorCode, ErrorDescription string
	}
}

// job requests the status of a job.
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
	// The example's paths are in lower case in one place and not in another.
	response, body := p.get(t, strings.Replace(path, "batchJobStatus", "batchjobstatus", 1))
	id := path[strings.LastIndex(path, "/")+1:]
	want := bom + `{"batchTrackingId":"` + id +
		`","status":"finished","startedTime":"2017-07-25T10:00:00","completedTime":"2017-07-25T10:10:00",` +
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
		{partnercentertest.JobProcessing, "finished_with_errors", started, "2026-01-05T08:12:00",
			[]string{"finished", "finished", "finished_with_errors"}},
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
