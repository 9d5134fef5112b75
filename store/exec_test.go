package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/store/outbox"
	"partnersync/store/storetest"
)

// execWorld returns a world whose connections prepare no statements, as a pooler in transaction mode needs it.
func execWorld(t *testing.T) *world {
	t.Helper()
	return worldOver(t, withParameter(t, storetest.New(t).URL, "default_query_exec_mode", "exec"))
}

func TestMerge_withoutPreparedStatements(t *testing.T) {
	t.Parallel()
	w := execWorld(t)
	w.fiveVersions()
	day := time.Date(2017, 7, 25, 1, 51, 0, 0, time.UTC)
	full := DeviceBatch{
		BatchID: `q"uo{te',\`, Status: ptr("NULL"), CreatedBy: ptr(""), CreationDate: &day, DevicesCount: ptr(int32(5)), Extra: `{"a": [1, "{x}"]}`,
	}
	bare, stays := DeviceBatch{BatchID: "bare"}, batch("stays", "finished")
	w.pass(minute(8), complete("8"), full, bare, stays)
	w.want(`q"uo{te',\|NULL||2017-07-25 01:51:00|5|{"a": [1, "{x}"]}`,
		"SELECT concat_ws('|', batch_id, status, created_by, creation_date AT TIME ZONE 'UTC', devices_count, extra) FROM partner_center.device_batches WHERE batch_id = $1", full.BatchID)
	w.want("bare|{}|t", "SELECT concat_ws('|', batch_id, extra, num_nulls(status, created_by, creation_date, devices_count) = 4) FROM partner_center.device_batches WHERE batch_id = 'bare'")
	if got := w.compare(Listing{Complete: true}, full, bare, stays); len(got) > 0 {
		t.Errorf("the same listing again differs: %+v", got)
	}
	w.wantNothingPrepared()
}

func (w *world) wantNothingPrepared() {
	w.t.Helper()
	w.want("0", "SELECT concat_ws('|', count(*)) FROM pg_prepared_statements")
}

func TestStore_withoutPreparedStatements(t *testing.T) {
	t.Parallel()
	w := execWorld(t)
	e := listed(alpha, beta, gamma)
	e.Customers[0] = Customer{ID: alpha, CompanyName: ptr("Alpha"), Domain: ptr("alpha.example"), Relationship: ptr("reseller")}
	e.Excluded = []string{gamma}
	w.enumerate("contoso", minute(1), listed(gamma))
	w.enumerate("contoso", minute(2), e)
	_, done := w.enumerate("fabrikam", minute(3), listed(alpha))
	w.wantEnumerated(Enumerated{Contested: map[string]string{alpha: "contoso"}}, done)

	run := w.open(backfill("")).Run
	claim, _, err := w.ClaimEnumeration(t.Context(), run)
	w.ok(err)
	_, err = w.RecordEnumeration(t.Context(), claim, Enumeration{Customers: e.Customers[:2], ObservedAt: minute(4), Complete: true, Error: "cut short"})
	w.ok(err)
	first, second := w.claim(run), w.claim(run)
	w.record(run, Result{Claim: first, Requests: 2, Failure: &Failure{Code: "http_503", Message: "no answer", RequestID: "r"}})
	w.leave(run)
	resumed := w.open(backfill(""))
	if !resumed.Resumed || resumed.Run.CustomersFailed != 1 {
		t.Errorf("opened %+v, want the backfill resumed", resumed)
	}
	if got := claimed(w.claims(run)); !cmp.Equal(got, []string{second.CustomerID}) {
		t.Errorf("claimed %v, want %s alone", got, second.CustomerID)
	}
	restricted := w.open(RunRequest{Partner: "contoso", Kind: Once, ScheduledFor: minute(5), Customers: []string{beta}, Filter: "x"}).Run
	if got := w.readRun(restricted); !cmp.Equal(got.Customers, []string{beta}) {
		t.Errorf("read %+v, want it restricted to %s", got, beta)
	}
	w.want(first.CustomerID, "SELECT customer_id FROM partner_center.sync_freshness WHERE partner = 'contoso' AND consecutive_failures > 0")
	known, err := w.KnownCustomers(t.Context(), "contoso")
	w.ok(err)
	if diff := cmp.Diff([]Customer{e.Customers[0], {ID: beta}}, known); diff != "" {
		t.Errorf("known customers: (-want +got)\n%s", diff)
	}
	w.ok(w.Pause(t.Context(), "contoso", time.Hour))
	if pace, err := w.Pace(t.Context(), "contoso"); err != nil || pace.Pause <= 0 {
		t.Errorf("pace %+v, %v, want a pause of up to an hour", pace, err)
	}
	w.ok(w.Leave(t.Context()))
	w.wantNothingPrepared()
}

func TestOutbox_withoutPreparedStatements(t *testing.T) {
	t.Parallel()
	w := execWorld(t)
	once, gathered := hook("once"), hook("gathered")
	once.FailingAfter = 1
	w.Store = New(w.pool, Options{Version: "test", Endpoints: []outbox.Endpoint{once, gathered}})
	w.ok(w.Heartbeat(t.Context()))
	now := time.Now()
	w.pass(now.Add(-30*time.Hour), complete("1"), batch("a", "queued"), batch("b", "queued"))
	w.pass(now.Add(-25*time.Hour), complete("2"), batch("a", "finished"), batch("b", "processing"))
	w.attempt(nil)
	w.attempt(broken)
	w.attempt(nil)
	w.ok(w.Outbox().EnqueueSignInFailed(t.Context(), "contoso", *broken))
	w.ok(w.Outbox().ClearSignInFailed(t.Context(), "contoso"))
	w.ok(w.Outbox().EnqueueStuckBatches(t.Context()))
	claims := []struct {
		endpoint  string
		gathering outbox.Gathering
		want      []int // notifications of each delivery
	}{
		{"once", outbox.Gathering{}, []int{1, 1, 1, 1}},
		{"once", outbox.Gathering{}, []int{1}},
		{"gathered", outbox.Gathering{Most: 10, Wait: time.Hour}, nil},
		{"gathered", outbox.Gathering{Most: 10}, []int{3}},
	}
	for _, c := range claims {
		due, err := w.Outbox().Claim(t.Context(), c.endpoint, 10, time.Minute, c.gathering)
		w.ok(err)
		var got []int
		for _, d := range due {
			got = append(got, len(d.Notifications))
			w.ok(w.Outbox().Retry(t.Context(), d, time.Minute))
			w.ok(w.Outbox().Remove(t.Context(), d))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("deliveries for %s: (-want +got)\n%s", c.endpoint, diff)
		}
	}
	w.wantOutbox()
	if _, pending, err := w.Outbox().Next(t.Context(), "once"); err != nil || pending {
		t.Errorf("pending %v, error %v", pending, err)
	}
	_, err := w.Outbox().GiveUp(t.Context())
	w.ok(err)
	w.wantNothingPrepared()
}
