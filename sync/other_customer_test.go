package sync

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"partnersync/store"
	"partnersync/sync/partnercenter/partnercentertest"
)

// otherCustomersLink gives the last item of an answer a link to what is another customer's.
func otherCustomersLink(body []byte) []byte {
	const link = `,"links":{"self":{"uri":"/customers/` + alpha + `/x"}}}]`
	last := bytes.LastIndex(body, []byte("}]"))
	return slices.Concat(body[:last], []byte(link), body[last+len("}]"):])
}

func TestOnce_nothingOfAnotherCustomersAnswerIsMerged(t *testing.T) {
	t.Parallel()
	const policy = "33333333-0000-4000-8000-000000000001"
	tests := []struct {
		name, path string
		rows       string // what is known of the first customer's batch, device and policy after the wrong answer
		requests   []string
	}{
		{"batches", "/deviceBatches$", "queued|one|old", []string{"deviceBatches"}},
		{"policies", "/policies$", "finished|one|old", []string{"deviceBatches", "policies"}},
		{"devices", "/devices$", "finished|one|new", []string{"deviceBatches", "deviceBatches/b/devices", "policies"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, partnercentertest.Options{}).reading()
			ids := w.customers(2)
			put := func(status, serial, policyName string) {
				for _, id := range ids {
					w.put(id, "b", status)
					w.api.PutDevice(id, "b", partnercentertest.Device{ID: "a", SerialNumber: serial})
					w.api.PutDevice(id, "b", partnercentertest.Device{ID: "z", SerialNumber: serial})
					w.api.PutPolicy(id, partnercentertest.Policy{ID: policy, Name: policyName})
				}
			}
			const rows = `
				SELECT b.status, d.serial_number, p.name FROM partner_center.device_batches b
				JOIN partner_center.devices d USING (customer_id)
				JOIN partner_center.configuration_policies p USING (customer_id)
				WHERE customer_id = $1::uuid AND device_id = 'a'`
			put("queued", "one", "old")
			if run := w.once(); run.State != store.Complete {
				t.Fatalf("first run: %+v", run)
			}
			put("finished", "two", "new")
			remove := w.api.Fail(partnercentertest.Fault{Path: ids[0] + ".*" + tt.path, Edit: otherCustomersLink})
			before := len(w.api.Requests())
			if run := w.once(); run.State != store.Partial || run.CustomersFailed != 1 || run.Retries != 0 {
				t.Errorf("run: %+v", run)
			}
			w.want(tt.rows, rows, ids[0])
			w.want("finished|two|new", rows, ids[1])
			w.want("answer_of_another_customer|t|t",
				`SELECT last_error_code, last_error LIKE '%'||$2||'%', last_error LIKE '%'||last_request_id||'%'
				FROM partner_center.sync_freshness WHERE customer_id = $1::uuid`, ids[0], alpha)
			var requests []string
			for _, r := range w.api.Requests()[before:] {
				if _, path, ok := strings.Cut(r.Path, ids[0]+"/"); ok {
					requests = append(requests, path)
				}
			}
			slices.Sort(requests)
			if diff := cmp.Diff(tt.requests, requests); diff != "" {
				t.Errorf("requests for the customer: (-want +got)\n%s", diff)
			}
			remove()
			if run := w.once(); run.State != store.Complete {
				t.Errorf("last run: %+v", run)
			}
			w.want("finished|two|new", rows, ids[0])
		})
	}
}

func TestDryRun_nothingOfAnotherCustomersAnswerIsCompared(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{}).reading()
	ids := w.customers(2)
	for _, id := range ids {
		w.put(id, "a", "queued")
		w.put(id, "b", "queued")
	}
	w.once()
	for _, id := range ids {
		w.put(id, "a", "finished")
	}
	w.api.Fail(partnercentertest.Fault{Path: regexp.QuoteMeta(ids[0]) + "/deviceBatches$", Edit: otherCustomersLink})
	want := map[string][]string{"": {}, ids[0]: {"failed"}, ids[1]: {"changed a [status: queued -> finished]"}}
	if diff := cmp.Diff(want, w.plans()); diff != "" {
		t.Errorf("plans: (-want +got)\n%s", diff)
	}
}
