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

// jobTime is how long a job takes in all.
const jobTime = partnercentertest.JobQueued + partnercentertest.JobProcessing

// accepted checks a 202 and returns the path of the job.
func accepted(t *testing.T, response *http.Response, body string) string {
	t.Helper()
	if response.StatusCode != http.StatusAccepted || body != "" || response.Header.Get("Content-Length") != "0" {
		t.Fatalf("%d, Content-Length %s, %q; want 202 and nothing", response.StatusCode, response.Header.Get("Content-Length"), body)
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
	response, body := p.send(t, "POST", contosoBatches, `{"BatchId":"`+batch+`","Devices":`+devices+`,"Attributes":{"ObjectType":"DeviceBatchCreationRequest"}}`)
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
			if response, body := p.send(t, "POST", contosoBatches, `{"batchId":"b","devices":[`+test.device+`]}`); response.StatusCode != test.status {
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
		{"unknown customer", "/v1/customers/" + fabrikam + "/deviceBatches", `{"batchId":"b","devices":` + devices + `}`, 403, "20002"},
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
