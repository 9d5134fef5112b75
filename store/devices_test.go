package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/migrations"
)

const day = 24 * time.Hour

// deviceLists says what each batch's device list holds; nil: reading it fails.
type deviceLists map[string][]Device

// devicesPass makes a pass over the world's customer that reads batches and the device lists that are due, and returns
// the batches whose lists it read.
func (w *world) devicesPass(kind string, batches []DeviceBatch, lists deviceLists) (read []string, run Run) {
	w.t.Helper()
	run = w.beginReading(RunRequest{Kind: kind, Devices: &DeviceReading{Refresh: day}}, w.customer)
	claim := w.claim(run)
	done, err := w.MergeDeviceBatches(w.t.Context(), claim, Listing{ObservedAt: claim.ObservedAt(time.Now()), Complete: true, Digest: []byte("b")}, batches)
	w.ok(err)
	w.record(run, Result{Claim: claim, DevicesLeft: done.DevicesDue})
	for _, c := range w.claimsFor(run, DevicesTurn) {
		read = append(read, w.readDevices(c, lists)...)
	}
	return read, w.finish(run)
}

// beginReading is begin for a request that says which device lists are read.
func (w *world) beginReading(r RunRequest, customers ...string) Run {
	w.t.Helper()
	w.tick = w.tick.Add(time.Minute)
	r.Partner, r.ScheduledFor, r.Due = "contoso", w.tick, w.tick
	opened := w.open(r)
	claim, mine, err := w.ClaimEnumeration(w.t.Context(), opened.Run)
	w.ok(err)
	if mine {
		_, err = w.RecordEnumeration(w.t.Context(), claim, Enumeration{Customers: named(customers), ObservedAt: minute(0), Complete: true})
		w.ok(err)
	}
	return opened.Run
}

// readDevices reads the device lists that are due and records the result.
func (w *world) readDevices(c Claim, lists deviceLists) (read []string) {
	w.t.Helper()
	due, more, err := w.DueDeviceLists(w.t.Context(), c)
	w.ok(err)
	result := Result{Claim: c, DevicesRead: true, DevicesLeft: more > 0}
	for _, batch := range due {
		read = append(read, batch.BatchID)
		rows := lists[batch.BatchID]
		digest := fmt.Sprint(rows)
		switch {
		case rows == nil:
			result.Failure = &Failure{Code: "http_503", Message: "devices of " + batch.BatchID}
			result.FailedLists = append(result.FailedLists, FailedList{Resource: Devices, BatchID: batch.BatchID, Error: "http_503"})
		case string(batch.Digest) == digest:
			result.Confirmed = append(result.Confirmed, Confirmation{Resource: Devices, Devices: batch, ObservedAt: c.ObservedAt(time.Now())})
		default:
			l := Listing{ObservedAt: c.ObservedAt(time.Now()), Complete: true, Digest: []byte(digest)}
			_, err := w.MergeDevices(w.t.Context(), c, batch, l, rows)
			w.ok(err)
		}
	}
	w.record(c.Run, result)
	return read
}

func device(id string) Device { return Device{DeviceID: id, SerialNumber: ptr("serial of " + id)} }

func (w *world) wantRead(what string, read []string, want ...string) {
	w.t.Helper()
	slices.Sort(read)
	if diff := cmp.Diff(slices.Concat([]string{}, want), slices.Concat([]string{}, read)); diff != "" {
		w.t.Errorf("%s: device lists read: (-want +got)\n%s", what, diff)
	}
}

func TestDevices_whenAListIsDue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lists := deviceLists{"done": {device("1")}, "open": {device("2")}, "new": {device("3")}}
	batches := []DeviceBatch{batch("done", "finished"), batch("open", "processing")}
	pass := func(what string, want ...string) {
		t.Helper()
		read, run := w.devicesPass(Scheduled, batches, lists)
		w.wantRead(what, read, want...)
		if run.State != Complete || run.CustomersOK != 1 {
			t.Errorf("%s: run %+v", what, run)
		}
	}
	pass("first pass", "done", "open")
	pass("an unfinished batch is read each time", "open")
	batches = append(batches, batch("new", "finished"))
	pass("a new batch", "new", "open")
	batches[1] = batch("open", "finished")
	pass("a changed status", "open")
	pass("nothing to hint at a change")
	batches[0].DevicesCount = ptr(int32(2))
	pass("a changed count", "done")
	w.exec(`UPDATE partnersync.list_state SET confirmed_at = confirmed_at - interval '23 hours' WHERE resource = 'devices' AND batch_id = 'done'`)
	w.exec(`UPDATE partnersync.list_state SET confirmed_at = confirmed_at - interval '30 hours' WHERE resource = 'devices' AND batch_id = 'new'`)
	w.exec("UPDATE partnersync.customer_state SET devices_due_at = devices_due_at - interval '30 hours'")
	pass("refreshed after a day and up to a quarter more", "new")
	batches[1] = batch("open", "reopened")
	pass("an unknown status is unfinished", "open")
	w.exec(`UPDATE partner_center.device_batch_versions SET valid_from = valid_from - interval '8 days' WHERE batch_id = 'open'`)
	pass("but not for longer than a week after it was first seen")
	read, run := w.devicesPass(Backfill, batches, lists)
	w.wantRead("backfill", read, "done", "new", "open")
	if run.State != Complete || run.CustomersOK != 1 || run.Unchanged != 6 {
		t.Errorf("backfill: %+v", run)
	}
}

func TestDevices_failedListIsReadAgainAndFailsTheCustomerAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	batches := []DeviceBatch{batch("bad", "finished"), batch("good", "finished")}
	lists := deviceLists{"good": {device("1")}}
	for n := range 2 {
		read, run := w.devicesPass(Scheduled, batches, lists)
		if n == 1 {
			w.wantRead("second pass", read, "bad")
		}
		if run.State != Failed || run.CustomersOK != 0 || run.CustomersFailed != 1 {
			t.Errorf("pass %d: %+v", n+1, run)
		}
	}
	w.want("2|http_503|devices of bad|t", "SELECT concat_ws('|', consecutive_failures, last_error_code, last_error, last_success_at IS NOT NULL) FROM partner_center.sync_freshness")
	w.want("good|1", "SELECT concat_ws('|', batch_id, device_id) FROM partner_center.devices")
	lists["bad"] = []Device{device("2")}
	read, run := w.devicesPass(Scheduled, batches, lists)
	w.wantRead("recovery", read, "bad")
	if run.State != Complete {
		t.Errorf("recovery: %+v", run)
	}
	w.want("0|t", "SELECT concat_ws('|', consecutive_failures, last_success_at IS NOT NULL AND last_error IS NULL) FROM partner_center.sync_freshness")
}

func TestDevices_failedListTakesItsTurnBehindThoseThatAreDue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	batches := []DeviceBatch{batch("never read", "finished"), batch("read before", "finished"), batch("to be refreshed", "finished")}
	lists := deviceLists{"read before": {device("1")}, "to be refreshed": {device("2")}}
	w.devicesPass(Scheduled, batches, lists)
	delete(lists, "read before")
	w.devicesPass(Backfill, batches, lists)
	w.exec(`UPDATE partnersync.list_state SET confirmed_at = confirmed_at - interval '31 hours' WHERE batch_id = 'to be refreshed'`)
	w.exec("UPDATE partner_center.device_batches SET valid_from = valid_from - interval '10 days'")
	want := []string{"to be refreshed", "never read", "read before"}
	due, _, err := w.DueDeviceLists(t.Context(), Claim{Candidate: Candidate{CustomerID: alpha}, Run: Run{Kind: Scheduled, Devices: &DeviceReading{Refresh: day}}})
	w.ok(err)
	var got []string
	for _, b := range due {
		got = append(got, b.BatchID)
	}
	slices.Sort(got[1:]) // the two were tried together
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order: (-want +got)\n%s", diff)
	}
}

func TestDevices_goAndReturnWithTheirBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stays, goes := batch("stays", "finished"), batch("goes", "finished")
	lists := deviceLists{"stays": {device("1")}, "goes": {device("2"), device("3")}}
	w.devicesPass(Scheduled, []DeviceBatch{stays, goes}, lists)
	_, run := w.devicesPass(Scheduled, []DeviceBatch{stays}, lists)
	if run.Removed != 3 {
		t.Errorf("removal: %+v, want a batch and two devices removed", run)
	}
	w.want("1|f\n2|t\n3|t", "SELECT concat_ws('|', device_id, removed_at IS NOT NULL) FROM partner_center.devices ORDER BY device_id")
	w.want("t", `SELECT concat_ws('|', bool_and(d.removed_at = b.removed_at AND d.valid_from = b.valid_from AND d.not_before < d.valid_from))
		FROM partner_center.devices d JOIN partner_center.device_batches b USING (customer_id, batch_id) WHERE batch_id = 'goes'`)
	lists["goes"] = []Device{device("2")}
	read, run := w.devicesPass(Scheduled, []DeviceBatch{stays, goes}, lists)
	w.wantRead("return", read, "goes")
	if run.Changed != 2 || run.State != Complete {
		t.Errorf("return: %+v, want a batch and a device back", run)
	}
	w.want("2|3\n3|2", "SELECT concat_ws('|', device_id, count(*)) FROM partner_center.device_history WHERE batch_id = 'goes' GROUP BY device_id ORDER BY device_id")
	w.want("t", `SELECT concat_ws('|', bool_and(valid_to IS NOT DISTINCT FROM next AND coalesce(valid_to > valid_from, is_current))) FROM (
		SELECT *, lead(valid_from) OVER (PARTITION BY batch_id, device_id ORDER BY valid_from) AS next FROM partner_center.device_history) h`)
}

func TestDevices_goAndReturnAlthoughTheClockGoesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	batches := []DeviceBatch{batch("stays", "finished"), batch("goes", "finished")}
	lists := deviceLists{"stays": {}, "goes": {device("1")}}
	w.devicesPass(Scheduled, batches, lists)
	// The devices were read before the clock went back by an hour, what follows comes after it.
	w.exec("UPDATE partnersync.list_state SET observed_at = observed_at + interval '1 hour' WHERE resource = 'devices'")
	w.exec("UPDATE partner_center.devices SET valid_from = (SELECT observed_at FROM partnersync.list_state WHERE batch_id = 'goes')")
	w.devicesPass(Scheduled, batches[:1], lists)
	w.devicesPass(Scheduled, batches, lists)
	w.want("f|0\nt|1\nf|2", `SELECT concat_ws('|', removed_at IS NOT NULL,
		extract(microseconds FROM valid_from - min(valid_from) OVER ())::int) FROM partner_center.device_history ORDER BY valid_from`)
	w.want("t", `SELECT concat_ws('|', bool_and(coalesce(valid_to > valid_from, is_current) AND coalesce(not_before < valid_from, true)
		AND valid_to IS NOT DISTINCT FROM next)) FROM (
		SELECT *, lead(valid_from) OVER (ORDER BY valid_from) AS next FROM partner_center.device_history) h`)
}

// reading returns a run whose customers have had their first turn, and have a device list left.
func (w *world) reading(customers ...string) Run {
	w.t.Helper()
	run := w.beginReading(RunRequest{Kind: Scheduled, Devices: &DeviceReading{Refresh: day}}, customers...)
	for _, claim := range w.claims(run) {
		_, err := w.MergeDeviceBatches(w.t.Context(), claim, complete("b"), []DeviceBatch{batch("b", "finished")})
		w.ok(err)
		w.record(run, Result{Claim: claim, DevicesLeft: true})
	}
	return run
}

func TestDevices_leftToTheNextRunAreNoFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.reading(alpha, beta)
	claims, err := w.ClaimCustomers(t.Context(), run, DevicesTurn, []string{beta})
	w.ok(err)
	if open, err := w.FinishRun(t.Context(), run, AtTick); err != nil || open.State != Running {
		t.Errorf("while a list is being read: %+v, %v; want running", open, err)
	}
	w.readDevices(claims[0], deviceLists{"b": {device("1")}})
	if open := w.finish(run); open.State != Running || open.CustomersOK != 2 {
		t.Errorf("with lists left and time left: %+v, want running", open)
	}
	done, err := w.FinishRun(t.Context(), run, AtTick)
	w.ok(err)
	if done.State != Complete || done.CustomersOK != 2 || done.CustomersDeferred != 0 {
		t.Errorf("at the tick: %+v, want complete with 2 customers", done)
	}
	next := w.beginReading(RunRequest{Kind: Scheduled, Devices: &DeviceReading{Refresh: day}}, alpha, beta)
	for _, c := range w.claims(next) {
		if want := c.CustomerID == alpha; c.DevicesDue != want {
			t.Errorf("in the next run, devices of %s are due: %t, want %t", c.CustomerID, c.DevicesDue, want)
		}
	}
}

// A customer has a turn for every so many device lists, those of batches in motion first.
func TestDueDeviceLists_inTurns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.beginReading(RunRequest{Kind: Backfill, Devices: &DeviceReading{Refresh: day}}, alpha)
	var batches []DeviceBatch
	lists := deviceLists{}
	for i := range 45 {
		b := batch(fmt.Sprintf("b%02d", i), "finished")
		if i%10 == 9 {
			b.Status = ptr("processing")
		}
		batches, lists[b.BatchID] = append(batches, b), []Device{}
	}
	claim := w.claim(run)
	_, err := w.MergeDeviceBatches(t.Context(), claim, Listing{ObservedAt: claim.ObservedAt(time.Now()), Complete: true}, batches)
	w.ok(err)
	w.record(run, Result{Claim: claim, DevicesLeft: true})
	for i, want := range []int{20, 20, 5, 0} {
		var read []string
		for _, c := range w.claimsFor(run, DevicesTurn) {
			read = w.readDevices(c, lists)
		}
		if len(read) != want {
			t.Errorf("turn %d reads %d lists, want %d", i, len(read), want)
		}
		if i == 0 {
			w.wantRead("first of all", read[:4], "b09", "b19", "b29", "b39")
		}
	}
	if done := w.finish(run); done.State != Complete || done.CustomersOK != 1 {
		t.Errorf("run %+v, want it complete", done)
	}
}

// What a worker that was frozen records after its run has ended counts for no run.
func TestRecordResults_afterTheRunHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Scheduled, alpha, beta, gamma)
	claims := w.claims(run)
	w.record(run, Result{Claim: claims[0]})
	if open, err := w.another().FinishRun(t.Context(), run, AtTick); err != nil || open.State != Running {
		t.Errorf("at the tick: %+v, %v; want running while two customers are held", open, err)
	}
	done, err := w.another().FinishRun(t.Context(), run, AtCutOff)
	w.ok(err)
	if done.State != Complete || done.CustomersTotal != 3 || done.CustomersOK != 1 || done.CustomersDeferred != 2 {
		t.Errorf("cut off: %+v, want complete with two customers deferred", done)
	}
	w.record(run, Result{Claim: claims[1]}, Result{Claim: claims[2], Failure: &Failure{Code: "http_500"}})
	if got := w.finish(run); got.CustomersOK != 1 || got.CustomersFailed != 0 || got.CustomersDeferred != 2 {
		t.Errorf("after late results: %+v, want them uncounted", got)
	}
	w.want("0|t\n0|t\n1|f", `SELECT concat_ws('|', consecutive_failures, last_success_at IS NOT NULL) FROM partner_center.sync_freshness
		ORDER BY consecutive_failures`)
	next := w.begin(Scheduled, alpha, beta, gamma)
	if got := claimed(w.claims(next)); len(got) != 3 {
		t.Errorf("the next run claims %v, want all", got)
	}
}

// A turn that was cut off leaves the customer as it was, but for that it comes first in the next pass.
func TestRecordResults_deferred(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Scheduled, alpha)
	w.record(run, Result{Claim: w.claim(run), Deferred: true, Reread: true, Requests: 2})
	w.want("0|t|t", `SELECT concat_ws('|', consecutive_failures, last_attempt_at IS NULL, reread) FROM partnersync.customer_state`)
	done, err := w.FinishRun(t.Context(), run, AtTick)
	w.ok(err)
	if done.State != Complete || done.CustomersDeferred != 1 || done.CustomersTotal != 1 || done.Requests != 2 {
		t.Errorf("run %+v, want the customer deferred", done)
	}
	next := w.begin(Scheduled, alpha)
	claim := w.claim(next)
	if !claim.Reread {
		t.Error("the next run may cut the customer off again")
	}
	w.record(next, Result{Claim: claim})
	w.want("f|f", `SELECT concat_ws('|', last_success_at IS NULL, reread) FROM partnersync.customer_state`)
}

// What has vanished makes the next pass list the batches again, whatever turns of the customer there are in this one.
func TestRecordResults_rereadByTheNextFirstTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.beginReading(RunRequest{Kind: Scheduled, Devices: &DeviceReading{Refresh: day}}, alpha)
	w.record(run, Result{Claim: w.claim(run), Reread: true, DevicesLeft: true})
	for _, c := range w.claimsFor(run, DevicesTurn) {
		w.readDevices(c, nil)
	}
	w.finish(run)
	next := w.begin(Scheduled, alpha)
	claim := w.claim(next)
	if !claim.Reread {
		t.Error("the next pass does not know that the batches have to be listed again")
	}
	w.record(next, Result{Claim: claim})
	w.want("f", "SELECT concat_ws('|', reread) FROM partnersync.customer_state")
}

// A worker whose configuration has no device lists does not end a run while others read them, and does not wait for
// those that nobody reads.
func TestDevices_workersWithAndWithoutThemInOneRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.reading(alpha)
	claims := w.claimsFor(run, DevicesTurn)
	without := run
	without.Devices = nil
	other := w.another()
	if open := other.finish(without); open.State != Running {
		t.Errorf("while a list is being read: %+v, want running", open)
	}
	w.readDevices(claims[0], deviceLists{})
	if done := other.finish(without); done.State != Failed || done.CustomersFailed != 1 {
		t.Errorf("after it failed: %+v, want failed with a customer", done)
	}
	left := w.reading(alpha)
	left.Devices = nil
	if done := other.finish(left); done.State != Complete || done.CustomersOK != 1 {
		t.Errorf("with a list that nobody reads: %+v, want complete with a customer", done)
	}
}

func TestMergeDevices_whatOpensAVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	uploaded := time.Date(2017, 8, 9, 21, 43, 26, 9228000, time.UTC)
	known := Device{DeviceID: "d", SerialNumber: ptr("1"), UploadedDate: &uploaded, Policies: `[{"key": "o_o_b_e", "value": null}]`}
	tests := []struct {
		name   string
		change func(*Device)
		want   Outcome
	}{
		{"nothing", func(*Device) {}, Outcome{Unchanged: 1}},
		{"uploaded_date by microseconds", func(d *Device) { d.UploadedDate = ptr(uploaded.Add(5 * time.Microsecond)) }, Outcome{Unchanged: 1}},
		{"extra", func(d *Device) { d.Extra = `{"allowedOperations": ["GET"]}` }, Outcome{Unchanged: 1}},
		{"a policy's value", func(d *Device) { d.Policies = `[{"key": "o_o_b_e", "value": "Default"}]` }, Outcome{Changed: 1}},
		{"no policies", func(d *Device) { d.Policies = "" }, Outcome{Changed: 1}},
		{"serial_number", func(d *Device) { d.SerialNumber = ptr("2") }, Outcome{Changed: 1}},
		{"hardware_hash", func(d *Device) { d.HardwareHash = ptr("h") }, Outcome{Changed: 1}},
	}
	run := w.begin(Scheduled, alpha)
	claim := w.claim(run)
	for i, test := range tests {
		b := DeviceList{BatchID: fmt.Sprint("batch ", i)}
		_, err := w.MergeDevices(t.Context(), claim, b, Listing{ObservedAt: minute(1), Complete: true}, []Device{known})
		w.ok(err)
		changed := known
		test.change(&changed)
		done, err := w.MergeDevices(t.Context(), claim, b, Listing{ObservedAt: minute(2), Complete: true}, []Device{changed})
		w.ok(err)
		if done != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, done, test.want)
		}
	}
}

func TestMergeConfigurationPolicies_whatOpensAVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	known := ConfigurationPolicy{
		PolicyID: "p", Name: ptr("Default"), DevicesAssignedCount: ptr(int32(3)), PolicySettings: []string{"skip_eula", `with "quotes", {braces} and \`},
	}
	run := w.begin(Scheduled, alpha)
	claim := w.claim(run)
	merge := func(at int, p ConfigurationPolicy) Outcome {
		t.Helper()
		done, err := w.MergeConfigurationPolicies(t.Context(), claim, Listing{ObservedAt: minute(at), Complete: true}, []ConfigurationPolicy{p})
		w.ok(err)
		return done
	}
	merge(1, known)
	if done := merge(2, known); done != (Outcome{Unchanged: 1}) {
		t.Errorf("unchanged: %+v", done)
	}
	known.DevicesAssignedCount = ptr(int32(4))
	if done := merge(3, known); done != (Outcome{Unchanged: 1}) {
		t.Errorf("another number of devices assigned: %+v, want no version", done)
	}
	w.want(`4|skip_eula/with "quotes", {braces} and \`, "SELECT concat_ws('|', devices_assigned_count, array_to_string(policy_settings, '/')) FROM partner_center.configuration_policies")
	known.PolicySettings = []string{"skip_eula"}
	if done := merge(4, known); done != (Outcome{Changed: 1}) {
		t.Errorf("other settings: %+v", done)
	}
	if done := merge(5, ConfigurationPolicy{PolicyID: "another"}); done != (Outcome{Inserted: 1, Held: 1}) {
		t.Errorf("the only policy gone: %+v, want it held", done)
	}
}

func TestMergeDevices_anEmptyBatchIsNoMassRemoval(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	claim := w.claim(w.begin(Scheduled, alpha))
	merge := func(at, n int) Outcome {
		t.Helper()
		var rows []Device
		for i := range n {
			rows = append(rows, device(fmt.Sprint(i)))
		}
		done, err := w.MergeDevices(t.Context(), claim, DeviceList{BatchID: "b"}, Listing{ObservedAt: minute(at), Complete: true}, rows)
		w.ok(err)
		return done
	}
	merge(1, 5)
	if done := merge(2, 0); done.Removed != 5 || done.Held != 0 {
		t.Errorf("5 of 5 devices gone: %+v, want them removed", done)
	}
	merge(3, 6)
	if done := merge(4, 0); done.Removed != 0 || done.Held != 6 {
		t.Errorf("6 of 6 devices gone: %+v, want them held", done)
	}
}

// What is known of lists whose rows are gone must not pass for unchanged.
func TestMergeDevices_afterTheirTableWasGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pass(minute(1), complete("1"), batch("a", "finished"))
	w.exec(`INSERT INTO partnersync.list_state (customer_id, resource, batch_id, digest, rows)
		VALUES ($1, 'devices', 'a', 'd', 2), ($1, 'configuration_policies', '', 'd', 2)`, alpha)
	w.exec("UPDATE partnersync.customer_state SET devices_due_at = 'infinity', devices_refresh = '1 day'")
	w.ok(migrations.Down(t.Context(), w.pool, 6))
	w.ok(migrations.Up(t.Context(), w.pool))
	w.want("device_batches", "SELECT concat_ws('|', resource) FROM partnersync.list_state")
	w.want("", "SELECT concat_ws('|', s.customer_id) FROM partnersync.customer_state s WHERE devices_due_at IS NOT NULL OR devices_refresh IS NOT NULL")
}
