package store

import (
	"fmt"
	"testing"
	"time"
)

// wholePasses makes passes in which all happens that a pass can do to a database: rows of each resource are new, as they
// were, changed, refreshed in place, gone and back; lists fail and are confirmed; a batch is held; a customer is another
// partner's, and goes.
func (w *world) wholePasses() {
	w.t.Helper()
	ctx := w.t.Context()
	named := func(id, name string) ConfigurationPolicy { return ConfigurationPolicy{PolicyID: id, Name: &name} }
	stays, goes := batch("stays", "finished"), batch("goes", "finished")
	long := DeviceBatch{BatchID: "shortened", ReceivedID: "as received", Status: ptr("queued")}
	lists := deviceLists{"stays": {device("1"), device("2")}, "goes": {device("3")}, "shortened": {device("4")}}
	policies := []ConfigurationPolicy{named("p", "Default"), named("q", "Kiosks")}

	w.wholePass(Scheduled, lists, policies, stays, goes, long)
	stays.DevicesCount, goes.Extra = ptr(int32(2)), `{"new": 1}`
	lists["stays"] = []Device{{DeviceID: "1", SerialNumber: ptr("another")}}
	w.wholePass(Scheduled, lists, []ConfigurationPolicy{named("p", "Laptops")}, stays, goes, long)
	w.ok(w.Pause(ctx, "contoso", time.Minute))
	_, err := w.Pace(ctx, "contoso")
	w.ok(err)
	w.wholePass(Scheduled, lists, policies, stays, long) // goes is gone, with its device
	lists["shortened"] = nil                             // fails
	w.wholePass(Once, lists, policies, stays, goes, long)
	lists["shortened"] = []Device{device("4")}
	w.wholePass(Backfill, lists, policies, stays, goes, long)
	w.wholePass(Scheduled, lists, policies) // all batches are gone at once: held

	w.enumerate("fabrikam", minute(1), listed(alpha, beta)) // alpha is contested
	w.enumerate("fabrikam", minute(2), listed())            // and no longer
	run := w.begin(Once, beta)                              // without alpha
	w.leave(run)
	w.ok(w.Leave(ctx))
}

// wholePass makes a pass over the world's customer that reads all its lists, and compares before it merges.
func (w *world) wholePass(kind string, lists deviceLists, policies []ConfigurationPolicy, batches ...DeviceBatch) {
	w.t.Helper()
	ctx := w.t.Context()
	run := w.beginReading(RunRequest{Kind: kind, Devices: &DeviceReading{Refresh: day}}, w.customer)
	claim := w.claim(run)
	listing := func(rows any) Listing {
		return Listing{ObservedAt: claim.ObservedAt(time.Now()), Complete: true, Digest: []byte(fmt.Sprint(rows))}
	}
	w.compare(listing(batches), batches...)
	_, err := w.CompareConfigurationPolicies(ctx, w.customer, listing(policies), policies)
	w.ok(err)
	for id, rows := range lists {
		_, err := w.CompareDevices(ctx, w.customer, id, listing(rows), rows)
		w.ok(err)
	}
	done, err := w.MergeDeviceBatches(ctx, claim, listing(batches), batches)
	w.ok(err)
	_, err = w.MergeConfigurationPolicies(ctx, claim, listing(policies), policies)
	w.ok(err)
	w.record(run, Result{Claim: claim, DevicesLeft: done.DevicesDue})
	for _, c := range w.claimsFor(run, DevicesTurn) {
		w.readDevices(c, lists)
	}
	_, err = w.FinishRun(ctx, run, AtCutOff)
	w.ok(err)
}

// wantWholePasses checks what wholePasses leave behind.
func (w *world) wantWholePasses() {
	w.t.Helper()
	w.want("goes|3\nshortened|1\nstays|2", `SELECT concat_ws('|', batch_id, count(*)) FROM partner_center.device_batch_history GROUP BY batch_id ORDER BY batch_id`)
	w.want("1|2\n2|2\n3|3\n4|1", `SELECT concat_ws('|', device_id, count(*)) FROM partner_center.device_history GROUP BY device_id ORDER BY device_id`)
	w.want("p|3\nq|3", `SELECT concat_ws('|', policy_id, count(*)) FROM partner_center.configuration_policy_history GROUP BY policy_id ORDER BY policy_id`)
	w.want("contoso|abandoned\nfabrikam|running", `SELECT concat_ws('|', partner, state) FROM (
		SELECT DISTINCT ON (partner) partner, state FROM partner_center.sync_runs ORDER BY partner, run_id DESC) r`)
}

func TestWholePasses_leaveTheirHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.wholePasses()
	w.wantWholePasses()
}
