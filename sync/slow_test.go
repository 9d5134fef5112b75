package sync

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/store"
	"partnersync/store/storetest"
	"partnersync/sync/partnercenter/partnercentertest"
)

// order returns who was asked for batches, one after the other, by the ends of the customers' ids.
func (w *world) order() (ends []string) {
	for _, r := range w.api.Requests() {
		if id, rest, ok := strings.Cut(strings.TrimPrefix(r.Path, "/v1/customers/"), "/"); ok &&
			rest == "deviceBatches" {
			ends = append(ends, id[len(id)-3:])
		}
	}
	return ends
}

func TestOnce_hangingCustomerIsCutOffAndDelaysNobody(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault partnercentertest.Fault
	}{
		{"no answer", partnercentertest.Fault{Hang: true}},
		{"an answer that trickles", partnercentertest.Fault{Body: strings.Repeat(" ", 1000), Trickle: time.Second}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := storetest.New(t)
			synctest.Test(t, func(t *testing.T) {
				w := newBubbledWorld(t, db, 10*time.Second)
				ids := w.customers(200)
				for _, id := range ids {
					w.put(id, "b", "finished")
				}
				tt.fault.Path = ids[0]
				w.api.Fail(tt.fault)
				began := time.Now()
				run := w.once()
				took := time.Since(began)
				if run.State != store.Partial || run.CustomersOK != 199 || run.CustomersFailed != 1 ||
					run.Inserted != 199 {
					t.Errorf("run: %+v", run)
				}
				if run.Requests != 1+1+199+4 || run.Retries != 3 || took < 44*time.Second || took > 48*time.Second {
					t.Errorf("%d requests and %d retries in %v", run.Requests, run.Retries, took)
				}
				w.want(ids[0]+"|timeout|t|36",
					`SELECT customer_id, last_error_code, last_error LIKE '%no complete answer within 10s%',
					length(last_request_id) FROM partner_center.sync_freshness WHERE consecutive_failures > 0`)
				// All others have been asked once before it is asked a second time.
				order := w.order()
				if diff := cmp.Diff([]string{"001", "001", "001"}, order[len(order)-3:]); diff != "" {
					t.Errorf("order of requests: (-want +got)\n%s", diff)
				}
				seen := map[string]int{}
				for _, end := range order[:200] {
					seen[end]++
				}
				if len(seen) != 200 {
					t.Errorf("the first 200 requests are of %d customers", len(seen))
				}
			})
		})
	}
}

// hangingSecondPages lets the last four customers' batches have a second page, which hangs, in so many passes.
func (w *world) hangingSecondPages(passes int) {
	more := func(body []byte) []byte {
		return bytes.Replace(body, []byte(`"items":`), []byte(`"continuationToken":"more","items":`), 1)
	}
	for customer := range 4 {
		path := fmt.Sprintf("00%d/deviceBatches$", customer+5)
		for range passes {
			w.api.Fail(partnercentertest.Fault{Path: path, Times: 1, Edit: more})
			w.api.Fail(partnercentertest.Fault{Path: path, Times: 4, Hang: true})
		}
	}
}

func TestRun_asManyHangingAsAreReadAtOnceMissNoTick(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		path     string // which lists of four of the customers hang
		paged    bool   // but for the first pages of their batches
		inserted int64  // rows of the first run
	}{
		{"all lists", "00[5-8]/", false, 24},
		{"policies only", "00[5-8]/policies", false, 36},
		{"devices only", "00[1-4]/deviceBatches/b./devices", false, 36},
		{"policies and devices", "00[5-8]/(policies|deviceBatches/b./devices)", false, 36},
		{"second pages", "00[5-8]/", true, 36},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := storetest.New(t)
			synctest.Test(t, func(t *testing.T) {
				w := newBubbledWorld(t, db,
					15*time.Second).reading() // as long as the program gives an attempt at this schedule
				for _, id := range w.customers(8) {
					for i := range 3 {
						w.fill(id, fmt.Sprint("b", i), 1)
					}
				}
				w.partner.Concurrency = 4
				if tt.paged {
					w.hangingSecondPages(3)
				}
				w.api.Fail(partnercentertest.Fault{Path: tt.path, Hang: true})
				began := time.Now()
				runs := w.daemon("@every 2m", 3)
				for i, run := range runs {
					tick := began.Add(time.Duration(i+1) * 2 * time.Minute)
					if !run.ScheduledFor.Equal(tick) || run.State != store.Partial || run.CustomersOK != 4 ||
						run.CustomersFailed != 4 {
						t.Errorf("run %d, of %v: %+v", i+1, tick, run)
					}
				}
				if runs[0].Inserted != tt.inserted {
					t.Errorf("%d rows inserted, want %d", runs[0].Inserted, tt.inserted)
				}
				w.want("timeout|4",
					`SELECT last_error_code, count(*) FROM partner_center.sync_freshness WHERE consecutive_failures = 3
						GROUP BY last_error_code`)
			})
		})
	}
}

func TestRun_deviceListThatHangsIsTriedAfterTheOthersOfItsCustomer(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	synctest.Test(t, func(t *testing.T) {
		w := newBubbledWorld(t, db, 15*time.Second).reading()
		id := w.customers(1)[0]
		for _, batch := range []string{"a", "b", "c"} {
			w.fill(id, batch, 1)
		}
		w.api.Fail(partnercentertest.Fault{Path: "deviceBatches/a/devices", Hang: true})
		w.daemon("@every 2m", 2)
		w.want("b\nc", "SELECT batch_id FROM partner_center.devices ORDER BY batch_id")
		w.want("2|timeout", "SELECT consecutive_failures, last_error_code FROM partner_center.sync_freshness")
	})
}
