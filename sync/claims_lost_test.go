package sync

import (
	"sync/atomic"
	"testing"

	"partnersync/store"
	"partnersync/sync/partnercenter/partnercentertest"
)

func TestRunner_tellsOfClaimsThatAnotherWorkerTook(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.put(w.customers(1)[0], "b", "queued")
	w.api.Fail(partnercentertest.Fault{Path: "deviceBatches$", Times: 1, Before: func() {
		// As a worker leaves it that took the customer over and was done with it.
		_, err := w.pool.Exec(t.Context(), "UPDATE partnersync.customer_state SET lease_epoch = lease_epoch + 1, owner = NULL")
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
