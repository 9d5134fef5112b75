package sync

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"partnersync/store"
	"partnersync/sync/partnercenter/partnercentertest"
)

func TestRunner_reportsClaimsThatAnotherWorkerTook(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.put(w.customers(1)[0], "b", "queued")
	w.api.Fail(partnercentertest.Fault{Path: "deviceBatches$", Times: 1, Before: func() {
		// As a worker leaves it that took the customer over and was done with it.
		_, err := w.pool.Exec(t.Context(),
			"UPDATE partnersync.customer_state SET lease_epoch = lease_epoch + 1, owner = NULL")
		w.ok(err)
	}})
	r := w.runner()
	var lost atomic.Int64
	r.OnClaimsLost = func(partner string, claims int) {
		if partner != "contoso" {
			t.Errorf("of partner %s", partner)
		}
		lost.Add(int64(claims))
	}
	runs, err := r.Once(t.Context(), Request{Kind: store.Once})
	w.ok(err)
	if lost.Load() != 1 || runs[0].State != store.Complete {
		t.Errorf("%d claims lost; run %+v", lost.Load(), runs[0])
	}
}

func TestProgress_ofABackfillListsFirstAndReadsDevicesThen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	ids := w.customers(4)
	for _, id := range ids {
		w.put(id, "a", "finished")
	}
	w.api.Fail(partnercentertest.Fault{Path: ids[2] + "/deviceBatches$", Status: 404})
	w.api.Fail(partnercentertest.Fault{Path: ids[3] + "/deviceBatches$", Status: 400})
	w.partner.Devices = true
	r := w.runner()
	var last Progress
	listedFirst := false
	r.Progress = func(p Progress) {
		if p.Partner != "contoso" || p.Total != 4 || p.Listed < last.Listed || p.Done < last.Done || p.Listed < p.Done {
			t.Errorf("after %+v: %+v", last, p)
		}
		listedFirst = listedFirst || p.Listed == 4 && p.Done == 1 // the one that is refused has no devices to be read
		last = p
	}
	_, err := r.Once(t.Context(), Request{Kind: store.Backfill})
	w.ok(err)
	if want := (Progress{Partner: "contoso", Listed: 4, Done: 4, Total: 4, DeviceLists: 2}); last != want || !listedFirst {
		t.Errorf("in the end %+v, want %+v; lists before devices: %t", last, want, listedFirst)
	}
}

func TestOnce_progressGoesOnWithinALargeCustomer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	id := w.customers(1)[0]
	for n := range 5 {
		w.put(id, fmt.Sprint("batch ", n), "queued")
	}
	w.partner.Devices, w.partner.Concurrency = true, 2
	w.api.Fail(partnercentertest.Fault{Path: "batch 4/devices", Hang: true})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r := w.runner()
	r.Progress = func(p Progress) {
		if p.DeviceLists == 4 && p.Done == 0 && p.Within == 0.8 {
			stop() // it never would, if progress were only told of whole customers
		}
	}
	_, err := r.Once(ctx, Request{Kind: store.Backfill})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// A cause that fails many customers is one warning, and what a customer's lists change is one line.
func TestOnce_logsACauseAndACustomerOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{}).reading()
	ids := w.customers(12)
	for _, id := range ids {
		w.fill(id, "a", 1)
		w.api.PutPolicy(id, partnercentertest.Policy{ID: "p", Name: "Default"})
	}
	for _, id := range ids[:9] {
		w.api.Fail(partnercentertest.Fault{Path: id + "/deviceBatches$", Status: 403, Code: "20002"})
	}
	w.api.Fail(partnercentertest.Fault{Path: ids[9] + "/policies", Status: 400, Code: "1000"})
	log := w.logged()
	w.once()
	for words, want := range map[string]int{
		`"WARN","msg":"list failed"`: 2, `"WARN"`: 2, `"INFO","msg":"customer changed"`: 12, "20002: 9, 1000: 1": 1,
	} {
		if got := strings.Count(log.String(), words); got != want {
			t.Errorf("%d times %q, want %d:\n%s", got, words, want, log)
		}
	}
}
