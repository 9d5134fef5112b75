package sync

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/store"
	"partnersync/sync/partnercenter/partnercentertest"
)

func TestDevices_largeBatchIsCompleteInEitherTokenStyle(t *testing.T) {
	t.Parallel()
	for _, paging := range []partnercentertest.Paging{partnercentertest.BodyToken, partnercentertest.NextLink,
		partnercentertest.NextLinkAndToken} {
		w := newWorld(t, partnercentertest.Options{Paging: paging}).reading()
		id := w.customers(1)[0]
		w.fill(id, "two hundred/fifty", 250)
		run := w.once()
		if run.State != store.Complete || run.Inserted != 251 {
			t.Errorf("paging %v: %+v", paging, run)
		}
		w.want("250|S0|S99", "SELECT count(*), min(serial_number), max(serial_number) FROM partner_center.devices")
	}
}

func TestDevices_repeatedTokenRemovesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{Paging: partnercentertest.BodyToken}).reading()
	id := w.customers(1)[0]
	w.fill(id, "b", 250)
	w.once()
	w.api.Fail(partnercentertest.Fault{Path: "/devices$",
		Body: `{"totalCount":1,"items":[{"id":"device 000"}],"continuationToken":"again"}`})
	runs, err := w.runner().Once(t.Context(), Request{Kind: store.Backfill})
	w.ok(err)
	if run := runs[0]; run.State != store.Failed || run.Removed != 0 {
		t.Errorf("run: %+v", run)
	}
	w.want("incomplete_listing", "SELECT last_error_code FROM partner_center.sync_freshness")
	w.want("0", "SELECT count(removed_at) FROM partner_center.devices")
}

// nothingChanges makes a pass and wants it to be one of two requests for each customer that writes no row.
func (w *world) nothingChanges(customers int, unchanged int64) {
	w.t.Helper()
	places := `SELECT (SELECT md5(string_agg(concat_ws('/', ctid, xmin), ' ' ORDER BY ctid))
		FROM partner_center.devices),
		(SELECT md5(string_agg(concat_ws('/', ctid, xmin), ' ' ORDER BY ctid)) FROM partner_center.device_batches),
		(SELECT md5(string_agg(concat_ws('/', ctid, xmin), ' ' ORDER BY ctid))
			FROM partner_center.configuration_policies)`
	before := w.rows(places)
	from := len(w.api.Requests())
	run := w.once()
	if run.State != store.Complete || run.Unchanged != unchanged || run.Inserted+run.Changed+run.Removed != 0 {
		w.t.Errorf("pass over what has not changed: %+v", run)
	}
	if n := w.asked(from); n != 2*customers+1 { // and one for the customers themselves
		w.t.Errorf("it made %d requests for %d customers", n, customers)
	}
	w.want(strings.Join(before, "\n"), places)
}

func TestDevices_nothingChangedMakesTwoRequestsACustomerAndWritesNothing(t *testing.T) {
	t.Parallel()
	const customers, batches, devices = 20, 10, 5
	w := newWorld(t, partnercentertest.Options{}).reading()
	for _, id := range w.customers(customers)[1:] { // the first one has nothing
		for b := range batches {
			w.fill(id, fmt.Sprint("batch ", b), devices)
		}
		w.api.PutPolicy(id, partnercentertest.Policy{ID: "p", Name: "Default"})
	}
	if run := w.once(); run.State != store.Complete || run.Inserted != (customers-1)*(batches*(1+devices)+1) {
		t.Fatalf("first run: %+v", run)
	}
	w.nothingChanges(customers, (customers-1)*(batches+1))
}

func TestDevices_nothingChangedAmong200000(t *testing.T) {
	t.Parallel()
	const customers, batches, devices = 200, 50, 20
	w := newWorld(t, partnercentertest.Options{}).reading()
	for _, id := range w.customers(customers) {
		for b := range batches {
			w.api.PutBatch(id,
				partnercentertest.Batch{ID: fmt.Sprint("batch ", b), Status: "finished", DevicesCount: devices})
		}
		w.api.PutPolicy(id, partnercentertest.Policy{ID: "p", Name: "Default"})
	}
	w.partner.Devices = false
	w.once()
	// What a pass leaves of the devices, without the 10,000 requests that take it half a minute.
	w.exec(`INSERT INTO partner_center.devices (customer_id, batch_id, device_id, valid_from)
		SELECT customer_id, batch_id, 'device ' || n, valid_from
			FROM partner_center.device_batches, generate_series(1, devices_count) n`)
	w.exec(`INSERT INTO partnersync.list_state
			(customer_id, resource, batch_id, digest, observed_at, confirmed_at, rows, batch_status, batch_devices_count)
		SELECT customer_id, 'devices', batch_id, '\x01', valid_from, valid_from, devices_count, status, devices_count
		FROM partner_center.device_batches`)
	w.want(fmt.Sprint(customers*batches*devices), "SELECT count(*) FROM partner_center.devices")
	w.partner.Devices = true
	for range 2 { // the first one finds out when device lists are due
		w.nothingChanges(customers, customers*(batches+1))
	}
}

func TestDevices_policyAndItsAssignmentOverTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{}).reading()
	id := w.customers(1)[0]
	w.api.PutBatch(id, partnercentertest.Batch{ID: "b", Status: "processing"})
	policy := partnercentertest.Policy{ID: "8c7d25aa-2dbb-409c-a1f0-f55bd9108fa9", Name: "Default",
		Settings: []string{"skip_eula"}}
	device := partnercentertest.Device{ID: "d", Uploaded: time.Date(2017, 8, 9, 14, 43, 26, 9228800, time.UTC)}
	w.api.PutPolicy(id, policy)
	w.api.PutDevice(id, "b", device)
	w.once()
	device.Uploaded = device.Uploaded.Add(3 * time.Microsecond)
	w.api.PutDevice(id, "b", device)
	policy.DevicesAssigned = 7
	w.api.PutPolicy(id, policy)
	w.once()
	w.want("1|1",
		`SELECT (SELECT count(*) FROM partner_center.device_history),
			(SELECT count(*) FROM partner_center.configuration_policy_history)`)
	w.want("7", "SELECT devices_assigned_count FROM partner_center.configuration_policies")
	device.Policies = []partnercentertest.PolicyAssignment{{Key: "o_o_b_e", Value: policy.ID}}
	w.api.PutDevice(id, "b", device)
	policy.Settings = []string{"skip_eula", "skip_express_settings"}
	w.api.PutPolicy(id, policy)
	w.once()
	w.want("2|2",
		`SELECT (SELECT count(*) FROM partner_center.device_history),
			(SELECT count(*) FROM partner_center.configuration_policy_history)`)
	w.want(`[{"key": "o_o_b_e", "value": "8c7d25aa-2dbb-409c-a1f0-f55bd9108fa9"}]`,
		"SELECT policies FROM partner_center.devices")
}

func TestDevices_oneFailingBatchAmongMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{}).reading()
	ids := w.customers(3)
	for _, id := range ids {
		w.fill(id, "a", 2)
		w.fill(id, "b", 2)
	}
	w.api.Fail(partnercentertest.Fault{Path: ids[1] + "/deviceBatches/a/devices", Status: 400, Code: "1000",
		Description: "no such name"})
	run := w.once()
	if run.State != store.Partial || run.CustomersOK != 2 || run.CustomersFailed != 1 || run.Inserted != 6+10 {
		t.Errorf("run: %+v", run)
	}
	w.want(ids[1]+"|1000|t|36",
		`SELECT customer_id, last_error_code, last_error LIKE '%devices of batch "a"%', length(last_request_id)
		FROM partner_center.sync_freshness WHERE consecutive_failures > 0`)
}

func TestDevices_turnedOffKeepsWhatWasKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{}).reading()
	id := w.customers(1)[0]
	w.fill(id, "b", 3)
	w.api.PutPolicy(id, partnercentertest.Policy{ID: "p", Name: "Default"})
	w.once()
	w.api.RemovePolicy(id, "p")
	w.api.RemoveDevice(id, "b", "device 000")
	w.partner.Devices, w.partner.Policies = false, false
	from := len(w.api.Requests())
	if run := w.once(); run.State != store.Complete || run.Removed != 0 {
		t.Errorf("run with both turned off: %+v", run)
	}
	if n := w.asked(from); n != 2 {
		t.Errorf("it made %d requests, want one for the customers and one for the batches", n)
	}
	w.want("3|1",
		`SELECT (SELECT count(*) FROM partner_center.devices WHERE removed_at IS NULL),
			(SELECT count(*) FROM partner_center.configuration_policies WHERE removed_at IS NULL)`)
	w.reading()
	if run := w.once(); run.State != store.Failed || run.Removed != 1 {
		t.Errorf("run with both turned on again: %+v; want a device removed and the only policy held", run)
	}
}

// A customer whose device list fails recovers where device lists are not read any more.
func TestDevices_turnedOffWhileAListFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{}).reading()
	w.fill(w.customers(1)[0], "a", 1)
	w.api.Fail(partnercentertest.Fault{Path: "/deviceBatches/a/devices", Status: 400, Times: 1})
	w.once()
	w.want("1|f", "SELECT consecutive_failures, failing_since IS NULL FROM partner_center.sync_freshness")
	w.partner.Devices = false
	w.once()
	w.want("0|t", "SELECT consecutive_failures, failing_since IS NULL FROM partner_center.sync_freshness")
}

func TestDevices_requestsUseIDsAsReceived(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{}).reading()
	id := w.customers(1)[0]
	long := strings.Repeat("0123456789", 120)
	w.fill(id, long, 2)
	w.fill(id, "a/b c%2F?#", 1)
	w.fill(id, "nul\x00", 3)
	for range 2 {
		if run := w.once(); run.State != store.Complete {
			t.Errorf("run: %+v", run)
		}
	}
	w.want("1|10\n2|965\n3|4",
		"SELECT count(*), length(batch_id) FROM partner_center.devices GROUP BY batch_id ORDER BY 1")
}

func TestBackfill_sinceRestrictsWhoseDevicesAreRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{}).reading()
	id := w.customers(1)[0]
	for year := range 3 {
		w.api.PutBatch(id,
			partnercentertest.Batch{ID: fmt.Sprint(2024 + year), Status: "finished",
				Created: time.Date(2024+year, 5, 1, 0, 0, 0, 0, time.UTC)})
		w.api.PutDevice(id, fmt.Sprint(2024+year), partnercentertest.Device{ID: "d"})
	}
	w.once()
	from := len(w.api.Requests())
	runs, err := w.runner().Once(t.Context(),
		Request{Kind: store.Backfill, Since: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)})
	w.ok(err)
	if run := runs[0]; run.State != store.Complete || w.asked(from) != 1+2+2 {
		t.Errorf("%d requests, run %+v", w.asked(from), run)
	}
}

func TestBackfill_sinceIsAboutDevicesAndTakesAllCustomersAsTheyAre(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{}).reading()
	ids := w.customers(3)
	w.once()
	w.api.RemoveCustomer(ids[0])
	since := Request{Kind: store.Backfill, Since: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}
	var planned []string
	w.ok(w.runner().DryRun(t.Context(), since, func(p Plan) {
		for _, d := range p.Differences {
			planned = append(planned, fmt.Sprint(d.Kind, " ", d.Key))
		}
	}))
	if diff := cmp.Diff([]string{"removed " + ids[0]}, planned); diff != "" {
		t.Errorf("plan: (-want +got)\n%s", diff)
	}
	before := w.listings()[ids[0]]
	runs, err := w.runner().Once(t.Context(), since)
	w.ok(err)
	if run := runs[0]; run.State != store.Complete || run.CustomersTotal != 2 || w.listings()[ids[0]] != before {
		t.Errorf("the customer who left was read: %+v", run)
	}
	w.want(ids[0], "SELECT customer_id FROM partner_center.customers WHERE removed_at IS NOT NULL")
}

func TestDryRun_showsDevicesAndPolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{}).reading()
	id := w.customers(1)[0]
	w.fill(id, "b", 2)
	w.fill(id, "goes", 2)
	w.once()
	w.fill(id, "b", 3)
	w.fill(id, "new", 1)
	w.api.RemoveBatch(id, "goes")
	w.api.PutPolicy(id, partnercentertest.Policy{ID: "p", Name: "Default"})
	got := map[string]bool{}
	w.ok(w.runner().DryRun(t.Context(), Request{Kind: store.Once}, func(p Plan) {
		for _, d := range p.Differences {
			got[fmt.Sprint(d.Kind, " ", d.Resource, " ", d.BatchID, " ", d.Key)] = true
		}
	}))
	for _, want := range []string{
		"changed device_batches  b", "inserted device_batches  new", "inserted configuration_policies  p",
		"inserted devices b device 002", "inserted devices new device 000",
		"removed device_batches  goes", "removed devices goes device 000", "removed devices goes device 001",
	} {
		if !got[want] {
			t.Errorf("the dry run does not show %q: %v", want, got)
		}
	}
}

// A batch that vanishes between its listing and that of its devices fails nobody: the next pass settles it.
func TestDevices_batchThatVanishes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{}).reading()
	id := w.customers(1)[0]
	w.fill(id, "a", 1)
	w.fill(id, "b", 1)
	remove := w.api.Fail(partnercentertest.Fault{Path: "/deviceBatches/a/devices", Status: 404, Code: "20002"})
	w.ok(w.runner().DryRun(t.Context(), Request{Kind: store.Once}, func(p Plan) {
		if p.Err != nil {
			t.Errorf("the dry run says %v", p.Err)
		}
	}))
	log := w.logged()
	if run := w.once(); run.State != store.Complete || run.CustomersOK != 1 || strings.Contains(log.String(), `"WARN"`) {
		t.Errorf("run: %+v\n%s", run, log)
	}
	w.want("0|t|0", "SELECT consecutive_failures, urgent, lists_failing FROM partner_center.sync_freshness")
	w.want("t", "SELECT reread FROM partnersync.customer_state")
	w.api.RemoveBatch(id, "a")
	remove()
	if run := w.once(); run.State != store.Complete || run.Removed != 1 {
		t.Errorf("run after the batch went: %+v", run)
	}
	w.want("f|0", "SELECT reread, lists_failing FROM partnersync.customer_state")
}

// A customer whose last batch goes while its device list fails has nothing left that fails.
func TestDevices_lastBatchGoesWhileItsListFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{}).reading()
	id := w.customers(1)[0]
	w.fill(id, "a", 1)
	w.once()
	w.api.Fail(partnercentertest.Fault{Path: "/deviceBatches/a/devices", Status: 400, Times: 1})
	w.partner.DevicesRefresh = time.Nanosecond
	w.once()
	w.want("1|1", "SELECT consecutive_failures, lists_failing FROM partner_center.sync_freshness")
	w.api.RemoveBatch(id, "a")
	w.once() // a listing that lacks all batches is held
	if run := w.once(); run.State != store.Complete || run.Removed != 2 {
		t.Errorf("run after the batch went: %+v", run)
	}
	w.want("0|t|0", "SELECT consecutive_failures, failing_since IS NULL, lists_failing FROM partner_center.sync_freshness")
}

// A list that the API refuses for a reason of its own fails its customer twice, and from the third pass on nobody. It is
// tried once a day then.
func TestDevices_listThatIsRefusedLastingly(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]func(w *world, id string) (batch string, allow func()){
		"by the API": func(w *world, id string) (string, func()) {
			return "a?b", w.api.Fail(partnercentertest.Fault{Path: `/deviceBatches/a\?b/devices`, Status: 400, Code: "2000"})
		},
		"for want of a URL": func(*world, string) (string, func()) { return "..", nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, partnercentertest.Options{}).reading()
			id := w.customers(1)[0]
			batch, allow := refuse(w, id)
			w.fill(id, "good", 1)
			w.fill(id, batch, 1)
			for _, want := range []string{store.Failed, store.Failed, store.Complete, store.Complete} {
				if run := w.once(); run.State != want {
					t.Errorf("run: %+v, want it %s", run, want)
				}
			}
			w.want("0|t|1|t", `SELECT consecutive_failures, age < interval '1 minute', lists_failing, starts_with(failing_lists, $1 || ': ')
				FROM partner_center.sync_freshness`, batch)
			w.want("3", "SELECT refusals FROM partnersync.list_state WHERE error IS NOT NULL")
			if allow == nil {
				return
			}
			allow()
			w.once()
			w.want("1", "SELECT lists_failing FROM partner_center.sync_freshness")
			w.exec("UPDATE partnersync.list_state SET stale_at = stale_at - interval '1 day' WHERE error IS NOT NULL")
			w.exec("UPDATE partnersync.customer_state SET devices_due_at = devices_due_at - interval '1 day'")
			w.once()
			w.want("0|t", "SELECT lists_failing, failing_lists IS NULL FROM partner_center.sync_freshness")
		})
	}
}
