package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/store/outbox"
)

// hook returns an endpoint that subscribes to everything, a batch that is unfinished for a day, and a customer that
// fails three times.
func hook(name string) outbox.Endpoint {
	return outbox.Endpoint{Name: name, StuckAfter: 24 * time.Hour, FailingAfter: 3}
}

// subscribed returns a world whose worker has the endpoints.
func subscribed(t *testing.T, endpoints ...outbox.Endpoint) *world {
	t.Helper()
	w := newWorld(t)
	w.Store = New(w.pool, Options{Version: "test", Endpoints: endpoints})
	w.ok(w.Heartbeat(t.Context()))
	return w
}

// wantOutbox checks endpoint, type and subject of what is in the outbox, in its order.
func (w *world) wantOutbox(want ...string) {
	w.t.Helper()
	w.want(strings.Join(want, "\n"),
		"SELECT concat_ws('|', endpoint, type, subject) FROM partnersync.outbox ORDER BY event_id")
}

var broken = &Failure{Code: "20002", Message: "no relationship", RequestID: "r", CorrelationID: "c"}

func TestEnqueueBatchChanges_changes(t *testing.T) {
	t.Parallel()
	w := subscribed(t, hook("a"))
	tests := []struct {
		name   string
		passes [][]DeviceBatch // "" is no status
		want   string          // types
	}{
		{"a first version is none", [][]DeviceBatch{{batch("b", "finished")}}, ""},
		{"one that comes later neither", [][]DeviceBatch{{}, {batch("b", "finished_with_errors")}}, ""},
		{"from queued to finished",
			[][]DeviceBatch{{batch("b", "queued")}, {batch("b", "processing")}, {batch("b", "finished")}}, "batch.finished"},
		{"as other words", [][]DeviceBatch{{batch("b", "queued")}, {batch("b", "Finished-With-Errors")}},
			"batch.finished_with_errors"},
		{"the same in other words", [][]DeviceBatch{{batch("b", "finished")}, {batch("b", "Finished")}}, ""},
		{"from no status", [][]DeviceBatch{{{BatchID: "b"}}, {batch("b", "finished")}}, "batch.finished"},
		{"to errors after all", [][]DeviceBatch{{batch("b", "finished")}, {batch("b", "finished_with_errors")}},
			"batch.finished_with_errors"},
		{"another change", [][]DeviceBatch{{batch("b", "finished")},
			{{BatchID: "b", Status: ptr("finished"), DevicesCount: ptr(int32(9))}}}, ""},
		{"removed and back", [][]DeviceBatch{{batch("a", "queued"), batch("b", "finished")}, {batch("a", "queued")},
			{batch("a", "queued"), batch("b", "finished")}}, "batch.removed"},
		{"back as another", [][]DeviceBatch{{batch("a", "x"), batch("b", "queued")}, {batch("a", "x")},
			{batch("a", "x"), batch("b", "finished")}}, "batch.removed\nbatch.finished"},
		{"finished and unfinished",
			[][]DeviceBatch{{batch("b", "finished")}, {batch("b", "queued")}, {batch("b", "finished")}}, "batch.finished"},
	}
	for _, tt := range tests {
		w.run(tt.name, func(t *testing.T) {
			for i, rows := range tt.passes {
				w.pass(minute(i), complete(fmt.Sprint(i)), rows...)
			}
			got := w.lines("SELECT concat_ws('|', type) FROM partnersync.outbox WHERE subject = $1 ORDER BY event_id",
				w.customer+"/b")
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestEnqueueBatchChanges_eachEndpointGetsWhatItSubscribesTo(t *testing.T) {
	t.Parallel()
	all, removals, elsewhere := hook("all"), hook("removals"), hook("elsewhere")
	removals.Events, elsewhere.Partners = []string{outbox.BatchRemoved}, []string{"fabrikam"}
	w := subscribed(t, all, removals, elsewhere)
	w.pass(minute(1), complete("1"), batch("a", "queued"), batch("b", "queued"))
	w.wantOutbox()
	w.pass(minute(2), complete("2"), batch("b", "finished"))
	w.wantOutbox("all|batch.removed|"+alpha+"/a", "removals|batch.removed|"+alpha+"/a", "all|batch.finished|"+alpha+"/b")
	w.want("2", "SELECT concat_ws('|', count(DISTINCT message_id)) FROM partnersync.outbox")
	select {
	case <-w.Outbox().Written():
	default:
		t.Error("nobody is woken")
	}
	w.pass(minute(3), complete("3"), batch("b", "finished"))
	select {
	case <-w.Outbox().Written():
		t.Error("somebody is woken for nothing")
	default:
	}
}

func TestEnqueueBatchChanges_content(t *testing.T) {
	t.Parallel()
	w := subscribed(t, hook("a"))
	b := DeviceBatch{BatchID: "a/b \"c\"", Status: ptr("queued"), CreatedBy: ptr(strings.Repeat("ü", 1000)),
		CreationDate: ptr(minute(0)), DevicesCount: ptr(int32(5))}
	w.pass(minute(1), complete("1"), b)
	w.exec("UPDATE partner_center.customers SET company_name = '<Contoso>'")
	b.Status = ptr("finished")
	w.pass(minute(2), complete("2"), b)
	claimed, err := w.Outbox().Claim(t.Context(), "a", 10, time.Minute, outbox.Gathering{})
	w.ok(err)
	want := outbox.EventData{
		Partner: "contoso", CustomerID: alpha, CompanyName: ptr("<Contoso>"), BatchID: "a/b \"c\"", Status: ptr("finished"),
		FromStatus: ptr("queued"),
		CreatedBy:  ptr(strings.Repeat("ü", 150) + "…"), CreationDate: ptr(minute(0)), DevicesCount: ptr(int32(5)),
		ChangedAfter: ptr(minute(1)), ChangedBy: ptr(minute(2)),
	}
	if len(claimed) != 1 {
		t.Fatalf("claimed %d notifications, want 1", len(claimed))
	}
	if diff := cmp.Diff(want, claimed[0].Notifications[0].Data); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// What is merged under a lost claim is no event.
func TestEnqueueBatchChanges_areFencedLikeTheMerge(t *testing.T) {
	t.Parallel()
	w := subscribed(t, hook("a"))
	w.pass(minute(1), complete("1"), batch("b", "queued"))
	claim := w.claim(w.begin(Scheduled, alpha))
	w.exec("UPDATE partnersync.customer_state SET lease_epoch = lease_epoch + 1")
	l := complete("2")
	l.ObservedAt = minute(2)
	if _, err := w.MergeDeviceBatches(t.Context(), claim, l, []DeviceBatch{batch("b", "finished")}); err == nil {
		t.Fatal("merged under a lost claim")
	}
	w.wantOutbox()
}

func TestStore_writesAndReadsNoOutboxWithoutSubscribers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec("ALTER TABLE partnersync.outbox RENAME TO away")
	w.exec("ALTER TABLE partnersync.notified RENAME TO away_too")
	w.pass(minute(1), complete("1"), batch("a", "queued"), batch("b", "queued"))
	w.pass(minute(2), complete("2"), batch("a", "finished"))
	for range 5 {
		w.attempt(broken)
	}
	w.attempt(nil)
	w.ok(w.Outbox().EnqueueSignInFailed(t.Context(), "contoso", *broken))
	w.ok(w.Outbox().ClearSignInFailed(t.Context(), "contoso"))
	w.ok(w.Outbox().EnqueueStuckBatches(t.Context()))
}

// If nothing changed, not even subscribers cost a statement.
func TestStore_writesAndReadsNoOutboxWhereNothingChanged(t *testing.T) {
	t.Parallel()
	w := subscribed(t, hook("a"))
	w.pass(minute(1), complete("1"), batch("a", "queued"))
	w.exec("ALTER TABLE partnersync.outbox RENAME TO away")
	w.exec("ALTER TABLE partnersync.notified RENAME TO away_too")
	w.pass(minute(2), complete("2"), batch("a", "queued"))
	w.attempt(nil)
}

func TestEnqueueEvents_failingAndRecovered(t *testing.T) {
	t.Parallel()
	once, deaf := hook("once"), hook("deaf")
	once.FailingAfter, deaf.Events = 1, []string{outbox.BatchFinished}
	w := subscribed(t, hook("thrice"), once, deaf)
	w.attempt(broken)
	w.wantOutbox() // the first pass ever
	w.attempt(broken)
	w.wantOutbox("once|customer.failing|" + alpha)
	w.attempt(broken)
	w.attempt(broken)
	w.wantOutbox("once|customer.failing|"+alpha, "thrice|customer.failing|"+alpha)
	w.want("3|20002|no relationship|r|c", `SELECT concat_ws('|', data->>'consecutive_failures', data->>'error_code', data->>'error', data->>'request_id', data->>'correlation_id')
		FROM partnersync.outbox WHERE endpoint = 'thrice'`)
	w.exec("DELETE FROM partnersync.outbox")
	w.attempt(nil)
	w.attempt(nil)
	w.wantOutbox("thrice|customer.recovered|"+alpha, "once|customer.recovered|"+alpha)
	w.want("1|2", "SELECT concat_ws('|', count(DISTINCT message_id), count(data->'failing_since')) FROM partnersync.outbox")
	w.exec("DELETE FROM partnersync.outbox")
	w.attempt(broken)
	w.attempt(nil)
	w.wantOutbox("once|customer.failing|"+alpha, "once|customer.recovered|"+alpha)
}

func TestEnqueueEvents_failingAnewUnderAnotherPartner(t *testing.T) {
	t.Parallel()
	once := hook("once")
	once.FailingAfter = 1
	w := subscribed(t, once)
	w.attempt(nil)
	w.attempt(broken)
	w.wantOutbox("once|customer.failing|" + alpha)
	w.exec("DELETE FROM partnersync.outbox")
	w.enumerate("contoso", w.tick, listed())
	run, _ := w.enumerate("fabrikam", w.tick, listed(alpha))
	w.record(run, Result{Claim: w.claim(run), Failure: broken})
	w.wantOutbox("once|customer.failing|" + alpha)
	w.want("fabrikam", "SELECT concat_ws('|', data->>'partner') FROM partnersync.outbox")
}

// A new endpoint gets no events for customers that have been failing for long, nor for their recovery.
func TestEnqueueEvents_whatWasBeforeIsNoNews(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 4 {
		w.attempt(broken)
	}
	w.Store = New(w.pool, Options{Endpoints: []outbox.Endpoint{hook("new")}})
	w.ok(w.Heartbeat(t.Context()))
	w.attempt(broken)
	w.attempt(nil)
	w.wantOutbox()
}

func TestEnqueueEvents_recoveredOnceTheDeviceListsHave(t *testing.T) {
	t.Parallel()
	w := subscribed(t, hook("a"))
	for range 3 {
		w.attempt(broken)
	}
	w.exec("DELETE FROM partnersync.outbox")
	w.exec("UPDATE partnersync.customer_state SET lists_failing = 1")
	run := w.beginReading(RunRequest{Kind: Scheduled, Devices: &DeviceReading{Refresh: time.Hour}}, alpha)
	w.record(run, Result{Claim: w.claim(run), DevicesLeft: true})
	w.wantOutbox()
	for _, c := range w.claimsFor(run, DevicesTurn) {
		w.readDevices(c, deviceLists{})
	}
	if done := w.finish(run); done.State != Complete {
		t.Errorf("the run is %s", done.State)
	}
	w.wantOutbox("a|customer.recovered|" + alpha)
}

func TestEnqueueStuckBatches_onceASpell(t *testing.T) {
	t.Parallel()
	w := subscribed(t, hook("a"))
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d).UTC().Truncate(time.Microsecond) }
	tests := []struct {
		name  string
		first time.Duration // ago, like the others
		age   time.Duration // when it was created; 0: not known
		rows  []DeviceBatch
		later time.Duration // a second pass, with the status processing; 0: none
		want  string
	}{
		{"for longer than a day", 25 * time.Hour, 25 * time.Hour, []DeviceBatch{batch("b", "queued")}, 0, "batch.stuck"},
		{"no status", 25 * time.Hour, 25 * time.Hour, []DeviceBatch{{BatchID: "b"}}, 0, "batch.stuck"},
		{"not yet", 23 * time.Hour, 23 * time.Hour, []DeviceBatch{batch("b", "queued")}, 0, ""},
		{"finished", 25 * time.Hour, 0, []DeviceBatch{batch("b", "finished")}, 0, ""},
		{"stuck long before it was first seen", 25 * time.Hour, 90 * time.Hour, []DeviceBatch{batch("b", "queued")}, 0, ""},
		{"it may have been, for want of a date of creation", 25 * time.Hour, 0, []DeviceBatch{batch("b", "queued")}, 0, ""},
		{"stuck again, without a date of creation", 80 * time.Hour, 0, []DeviceBatch{batch("b", "queued")}, 26 * time.Hour,
			"batch.stuck"},
		{"so long that it is no news", 49 * time.Hour, 49 * time.Hour, []DeviceBatch{batch("b", "queued")}, 0, ""},
		{"it has moved meanwhile", 30 * time.Hour, 0, []DeviceBatch{batch("b", "queued")}, 2 * time.Hour, ""},
		{"it has moved, and is stuck again", 80 * time.Hour, 90 * time.Hour, []DeviceBatch{batch("b", "queued")},
			26 * time.Hour, "batch.stuck"},
	}
	for _, tt := range tests {
		w.run(tt.name, func(t *testing.T) {
			if tt.age > 0 {
				tt.rows[0].CreationDate = ptr(ago(tt.age))
			}
			w.pass(ago(tt.first), complete("1"), tt.rows...)
			if tt.later > 0 {
				tt.rows[0].Status = ptr("processing")
				w.pass(ago(tt.later), complete("2"), tt.rows...)
			}
			w.ok(w.Outbox().EnqueueStuckBatches(t.Context()))
			w.ok(w.Outbox().EnqueueStuckBatches(t.Context()))
			got := w.lines("SELECT concat_ws('|', type) FROM partnersync.outbox WHERE subject = $1 ORDER BY event_id",
				w.customer+"/b")
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	given, err := w.Outbox().GiveUp(t.Context())
	w.ok(err)
	if len(given) > 0 {
		t.Errorf("gave up %v", given)
	}
}
