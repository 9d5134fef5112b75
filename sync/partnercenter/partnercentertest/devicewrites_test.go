package partnercentertest_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/sync/partnercenter/partnercentertest"
)

const policyUpdates = "/v1/customers/" + contoso + "/DevicePolicyUpdates"

// assign requests policy updates of devices, which are a JSON array.
func (p *partner) assign(t *testing.T, devices string) (job string) {
	t.Helper()
	response, body := p.send(t, "PATCH", policyUpdates,
		`{"Devices":`+devices+`,"Attributes":{"ObjectType":"DevicePolicyUpdateRequest"}}`)
	return accepted(t, response, body)
}

func TestPolicyUpdates_applyWhenTheJobIsDone(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{})
	p.PutDevices(contoso, "Test batch",
		partnercentertest.Device{ID: "a", SerialNumber: "s", ProductKey: "k"},
		partnercentertest.Device{ID: "b",
			Policies: []partnercentertest.PolicyAssignment{{Key: "o_o_b_e", Value: "old"}, {Key: "none", Value: "kept"}}},
		partnercentertest.Device{ID: "c", Policies: []partnercentertest.PolicyAssignment{}})
	before := []string{"a: o_o_b_e=", "b: o_o_b_e=old, none=kept", "c: "}
	if diff := cmp.Diff(before, p.devices(t).lines()); diff != "" {
		t.Errorf("before (-want +got):\n%s", diff)
	}
	job := p.assign(t, `[{"Id":"a","Policies":[{"Key":"o_o_b_e","Value":"new"}]},{"id":"b","policies":[{"key":"o_o_b_e","value":null}]},`+
		`{"id":"c","policies":[{"key":"o_o_b_e"}]},{"id":"d","policies":[{"key":"o_o_b_e","value":"new"}]}]`)
	p.Advance(jobTime - 1)
	if diff := cmp.Diff(before, p.devices(t).lines()); diff != "" {
		t.Errorf("before the job is done (-want +got):\n%s", diff)
	}
	p.Advance(1)
	if diff := cmp.Diff([]string{"a: o_o_b_e=new", "b: o_o_b_e=, none=kept", "c: o_o_b_e="},
		p.devices(t).lines()); diff != "" {
		t.Errorf("after (-want +got):\n%s", diff)
	}
	got := p.job(t, job)
	if got.Status != "finished_with_errors" || got.DevicesStatus[0].DeviceID != "a" ||
		got.DevicesStatus[0].ProductKey != "k" || got.DevicesStatus[3].ErrorCode != "1000" {
		t.Errorf("job is %+v, want an error with the fourth, which is not there", got)
	}
}

func TestPolicyUpdates_goBeforeAndAfterTheScript(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{})
	p.PutDevice(contoso, "Test batch", partnercentertest.Device{ID: "a", Script: []partnercentertest.DeviceStep{
		{}, {After: time.Hour, Policies: []partnercentertest.PolicyAssignment{{Key: "o_o_b_e", Value: "scripted"}}},
	}})
	steps := []struct {
		assign string
		want   string
	}{
		{"first", "a: o_o_b_e=first"},
		{"", "a: o_o_b_e=scripted"},
		{"last", "a: o_o_b_e=last"},
	}
	for _, step := range steps {
		if step.assign != "" {
			p.assign(t, `[{"id":"a","policies":[{"key":"o_o_b_e","value":"`+step.assign+`"}]}]`)
		}
		p.Advance(jobTime)
		if step.assign == "" {
			p.Advance(time.Hour)
		}
		if diff := cmp.Diff([]string{step.want}, p.devices(t).lines()); diff != "" {
			t.Errorf("after %q (-want +got):\n%s", step.assign, diff)
		}
	}
}

func TestPolicyUpdates_refused(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{})
	tests := []struct {
		name, path, body string
		status           int
	}{
		{"no JSON", policyUpdates, `[`, 400},
		{"no devices", policyUpdates, `{"Devices":[]}`, 400},
		{"no id", policyUpdates, `{"Devices":[{"Policies":[{"Key":"o_o_b_e"}]}]}`, 400},
		{"no policies", policyUpdates, `{"Devices":[{"Id":"a"}]}`, 400},
		{"unknown customer", "/v1/customers/" + fabrikam + "/devicepolicyupdates",
			`{"Devices":[{"Id":"a","Policies":[{"Key":"o_o_b_e"}]}]}`, 403},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if response, body := p.send(t, "PATCH", test.path, test.body); response.StatusCode != test.status {
				t.Errorf("%d %s, want %d", response.StatusCode, body, test.status)
			}
		})
	}
}

func TestPolicyUpdates_deviceGone(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{})
	p.PutDevice(contoso, "Test batch",
		partnercentertest.Device{ID: "a", Script: []partnercentertest.DeviceStep{{}, {After: 1, Gone: true}}})
	p.Advance(time.Hour)
	job := p.assign(t, `[{"id":"a","policies":[{"key":"o_o_b_e","value":"new"}]}]`)
	p.Advance(jobTime)
	if got := p.job(t, job); got.Status != "finished" || got.DevicesStatus[0].Status != "finished_with_errors" {
		t.Errorf("job is %+v, want it finished and its one device with an error", got)
	}
	if got := p.devices(t).lines(); len(got) != 0 {
		t.Errorf("the device is back: %v", got)
	}
}

func TestUpdateDevice_replacesWhatIsSent(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{})
	p.PutDevice(contoso, "Test batch", partnercentertest.Device{ID: "a/b", SerialNumber: "s", ProductKey: "k"})
	p.devices(t)
	response, body := p.send(t, "PUT", testBatchDevices+"/a%2Fb",
		bom+`{"Id":"other","SerialNumber":"new","HardwareHash":"h","Policies":[{"Key":"o_o_b_e","Value":"policy"}]}`)
	want := bom + `{"id":"a/b","serialNumber":"new","productKey":"k","policies":[{"key":"o_o_b_e","value":"policy"}],` +
		`"uploadedDate":"2026-01-05T08:00:00.0000000+00:00","attributes":{"objectType":"Device"}}`
	if diff := cmp.Diff(want, body); diff != "" || response.StatusCode != 200 {
		t.Errorf("%d (-want +got):\n%s", response.StatusCode, diff)
	}
	if diff := cmp.Diff([]string{"a/b: o_o_b_e=policy"}, p.devices(t).lines()); diff != "" {
		t.Errorf("devices (-want +got):\n%s", diff)
	}
}

func TestDeleteDevice(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{})
	put(p, "a", "b")
	p.devices(t)
	response, body := p.send(t, "DELETE", testBatchDevices+"/a", "")
	if response.StatusCode != 204 || body != "" {
		t.Errorf("%d %q, want 204 and nothing", response.StatusCode, body)
	}
	if diff := cmp.Diff([]string{"b: o_o_b_e="}, p.devices(t).lines()); diff != "" {
		t.Errorf("devices (-want +got):\n%s", diff)
	}
	if got := p.devicesCount(t); got != 1 {
		t.Errorf("the batch says %d devices, want 1", got)
	}
}

func TestDeviceWrites_refused(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{})
	p.PutDevice(contoso, "Test batch", partnercentertest.Device{ID: "a", ProductKey: "k"})
	p.PutDevice(contoso, "Test batch",
		partnercentertest.Device{ID: "later", ProductKey: "l", Script: []partnercentertest.DeviceStep{{After: time.Hour}}})
	tests := []struct {
		name, method, path, body string
		status                   int
	}{
		{"no JSON", "PUT", testBatchDevices + "/a", `{`, 400},
		{"nothing to know it by", "PUT", testBatchDevices + "/a", `{"productKey":""}`, 400},
		{"unknown device", "PUT", testBatchDevices + "/A", `{}`, 404},
		{"device to come", "PUT", testBatchDevices + "/later", `{}`, 404},
		{"unknown batch", "DELETE", contosoBatches + "/other/devices/a", ``, 404},
		{"unknown customer", "DELETE", "/v1/customers/" + fabrikam + "/deviceBatches/Test%20batch/devices/a", ``, 403},
		{"no such method", "PATCH", testBatchDevices + "/a", `{}`, 405},
		{"batches cannot be deleted", "DELETE", contosoBatches + "/Test%20batch", ``, 404},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if response, body := p.send(t, test.method, test.path, test.body); response.StatusCode != test.status {
				t.Errorf("%d %s, want %d", response.StatusCode, body, test.status)
			}
		})
	}
}
