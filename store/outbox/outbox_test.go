package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const alpha = "47021739-3426-40bf-9601-61b4b6d7c793" // a customer

// hook is an endpoint that subscribes to everything.
var hook = Endpoint{Name: "a", StuckAfter: 24 * time.Hour, FailingAfter: 3}

// world is a database with an outbox.
type world struct {
	*Outbox
	t    *testing.T
	pool *pgxpool.Pool
}

func newWorld(t *testing.T, endpoints ...Endpoint) *world {
	t.Helper()
	w := &world{t: t, pool: storetest.New(t).Pool}
	w.Outbox = w.outboxFor(endpoints...)
	return w
}

// outboxFor returns an outbox of the database, as another process has it.
func (w *world) outboxFor(endpoints ...Endpoint) *Outbox {
	transact := func(ctx context.Context, do func(pgx.Tx) error) error { return pgx.BeginFunc(ctx, w.pool, do) }
	return New(endpoints, transact, transact)
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) exec(sql string) {
	w.t.Helper()
	_, err := w.pool.Exec(w.t.Context(), sql)
	w.ok(err)
}

// want checks the rows of a query, of one text column, a line each.
func (w *world) want(want, query string) {
	w.t.Helper()
	rows, _ := w.pool.Query(w.t.Context(), query) // CollectRows returns its error
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	w.ok(err)
	if diff := cmp.Diff(want, strings.Join(got, "\n")); diff != "" {
		w.t.Errorf("%s: (-want +got)\n%s", query, diff)
	}
}

// wantOutbox checks endpoint, type and subject of what is in the outbox, in its order.
func (w *world) wantOutbox(want ...string) {
	w.t.Helper()
	w.want(strings.Join(want, "\n"),
		"SELECT concat_ws('|', endpoint, type, subject) FROM partnersync.outbox ORDER BY event_id")
}

func TestEnqueueSignInFailed_onceUntilItWorks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, hook)
	ctx := t.Context()
	const run = `INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, finished_at, state)
		VALUES ('contoso', 'scheduled', now(), now(), now(), 'failed')`
	refused := Failure{Code: "AADSTS7000222", Message: "expired", RequestID: "r", CorrelationID: "c"}
	w.exec(run)
	w.ok(w.EnqueueSignInFailed(ctx, "contoso", refused))
	w.wantOutbox() // the first run ever
	w.exec(run)
	w.ok(w.EnqueueSignInFailed(ctx, "contoso", refused))
	w.ok(w.outboxFor(hook).EnqueueSignInFailed(ctx, "contoso", refused))
	w.ok(w.EnqueueSignInFailed(ctx, "contoso", refused))
	w.wantOutbox("a|partner.sign_in_failed|contoso")
	w.want("AADSTS7000222|expired|r|c", `
		SELECT concat_ws('|', data->>'error_code', data->>'error', data->>'request_id', data->>'correlation_id')
		FROM partnersync.outbox`)
	w.ok(w.ClearSignInFailed(ctx, "contoso"))
	w.ok(w.EnqueueSignInFailed(ctx, "contoso", refused))
	w.wantOutbox("a|partner.sign_in_failed|contoso", "a|partner.sign_in_failed|contoso")
}

// put puts events of the subjects, which are batches, into the outbox.
func (w *world) put(endpoint string, batches ...string) {
	w.t.Helper()
	events := make([]event, len(batches))
	for i, id := range batches {
		events[i] = event{endpoint: endpoint, kind: fmt.Sprint("event.", i), id: uuid.New(),
			data: EventData{Partner: "contoso", CustomerID: alpha, BatchID: id}}
	}
	w.ok(w.write(w.t.Context(), func(tx pgx.Tx) error { return enqueue(w.t.Context(), tx, events) }))
}

// due claims what is due, and also returns it as batches and numbers.
func (w *world) due(lease time.Duration) (all []Delivery, names string) {
	w.t.Helper()
	return w.gathered(lease, Gathering{})
}

// gathered is due for an endpoint whose notifications are gathered: those of a delivery are joined by +.
func (w *world) gathered(lease time.Duration, g Gathering) (all []Delivery, names string) {
	w.t.Helper()
	all, err := w.Claim(w.t.Context(), "a", 100, lease, g)
	w.ok(err)
	var deliveries []string
	for _, d := range all {
		var each []string
		for _, n := range d.Notifications {
			each = append(each, n.Data.BatchID+strings.TrimPrefix(n.Type, "event"))
		}
		deliveries = append(deliveries, strings.Join(each, "+"))
	}
	return all, strings.Join(deliveries, " ")
}

func TestClaim_inTheOrderOfEachSubject(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("a", "x", "x", "y", "x")
	w.put("b", "x")
	first, names := w.due(time.Hour)
	if names != "x.0 y.2" {
		t.Fatalf("claimed %s", names)
	}
	if _, names := w.due(time.Hour); names != "" {
		t.Errorf("claimed %s, which others have, or before them", names)
	}
	w.ok(w.Remove(t.Context(), first[0]))
	w.ok(w.Retry(t.Context(), first[1], 0))
	second, names := w.due(0)
	if names != "y.2 x.1" && names != "x.1 y.2" {
		t.Errorf("claimed %s", names)
	}
	// The lease of 0 has ended, and another process has claimed them.
	third, _ := w.due(time.Hour)
	for _, n := range second {
		w.ok(w.Retry(t.Context(), n, 0))
	}
	if _, names := w.due(time.Hour); names != "" || len(third) != 2 || third[0].Attempts < 2 {
		t.Errorf("%d claimed again, and then %q, given back by one who had lost them", len(third), names)
	}
}

func TestClaim_gathersWhatCameWithinTheWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	minute := Gathering{Most: 3, Wait: time.Minute}
	w.put("a", "x", "y", "x")
	w.put("b", "x")
	if _, names := w.gathered(time.Hour, minute); names != "" {
		t.Fatalf("claimed %s at once", names)
	}
	w.exec("UPDATE partnersync.outbox SET created_at = created_at - interval '1 minute' WHERE event_id = 1")
	first, names := w.gathered(time.Hour, minute)
	if names != "x.0+y.1" || first[0].ID == first[0].Notifications[0].MessageID || first[0].Attempts != 1 {
		t.Fatalf("claimed %s as %+v", names, first)
	}
	if _, names := w.gathered(time.Hour, Gathering{Most: 3}); names != "" {
		t.Errorf("claimed %s, which others have, or before them", names)
	}
	w.put("a", "z", "u", "v", "w")
	if _, names := w.gathered(time.Hour, Gathering{Most: 3}); names != "z.0+u.1+v.2" {
		t.Errorf("claimed %s, want as many as a delivery may have", names)
	}
	w.ok(w.Remove(t.Context(), first[0]))
	if _, names := w.gathered(time.Hour, Gathering{Most: 3}); names != "x.2+w.3" {
		t.Errorf("claimed %s, want what had to wait for an earlier one, too", names)
	}
}

// What is gathered succeeds or fails as one: nothing joins it at a further attempt, and its id stays.
func TestClaim_gatheredStaysTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := Gathering{Most: 10}
	w.put("a", "x", "y")
	first, _ := w.gathered(time.Hour, g)
	w.ok(w.Retry(t.Context(), first[0], 0))
	w.put("a", "x", "z")
	second, names := w.gathered(0, g)
	if names != "x.0+y.1 z.1" || second[0].ID != first[0].ID || second[1].ID == first[0].ID ||
		second[0].Attempts != 2 {
		t.Fatalf("claimed %s as %+v, and before as %+v", names, second, first)
	}
	// The lease of 0 has ended, and another process has claimed it.
	if _, names = w.gathered(time.Hour, g); names != "x.0+y.1 z.1" {
		t.Fatalf("claimed %s", names)
	}
	w.ok(w.Retry(t.Context(), second[0], 0))
	if _, names := w.gathered(time.Hour, g); names != "" {
		t.Errorf("claimed %s, given back by one who had lost it", names)
	}
	// Another format does not gather.
	w.exec("UPDATE partnersync.outbox SET next_at = now()")
	if all, names := w.due(time.Hour); names != "x.0 y.1 z.1" || all[0].ID != all[0].Notifications[0].MessageID {
		t.Errorf("claimed %s as %+v", names, all)
	}
}

func TestClaim_gathersWhatAClockHasDatedAhead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("a", "x")
	w.exec("UPDATE partnersync.outbox SET created_at = created_at + interval '1 day'")
	if _, names := w.gathered(time.Hour, Gathering{Most: 10, Wait: time.Minute}); names != "x.0" {
		t.Errorf("claimed %q, want what is dated a day ahead", names)
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, pending, err := w.Next(t.Context(), "a"); err != nil || pending {
		t.Errorf("pending %v, error %v", pending, err)
	}
	w.put("a", "x", "x")
	if wait, pending, err := w.Next(t.Context(), "a"); err != nil || !pending || wait != 0 {
		t.Errorf("wait %v, pending %v, error %v", wait, pending, err)
	}
	w.due(time.Hour) // the second one waits for the first
	if wait, pending, err := w.Next(t.Context(), "a"); err != nil || !pending || wait < 50*time.Minute {
		t.Errorf("wait %v, pending %v, error %v", wait, pending, err)
	}
}

// An attempt that a clock which was set back has left a day ahead is made at once.
func TestClaim_attemptAheadOfTheClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("a", "x")
	w.due(time.Hour)
	w.exec("UPDATE partnersync.outbox SET next_at = next_at + interval '1 day'")
	if wait, pending, err := w.Next(t.Context(), "a"); err != nil || !pending || wait != 0 {
		t.Errorf("wait %v, pending %v, error %v", wait, pending, err)
	}
	if _, names := w.due(time.Hour); names != "x.0" {
		t.Errorf("claimed %q, want what is a day ahead", names)
	}
}

func TestGiveUp_afterADay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, hook)
	w.put("a", "x", "y")
	w.put("gone", "x")
	w.exec("UPDATE partnersync.outbox SET created_at = created_at - interval '25 hours' WHERE subject LIKE '%/x'")
	w.exec(`INSERT INTO partnersync.notified
		VALUES ('a', 'batch.stuck', 'old', now() - interval '4 days'), ('a', 'batch.stuck', 'new', now() - interval '2 days'),
		('a', 'customer.failing', 'old', now() - interval '4 days')`)
	given, err := w.GiveUp(t.Context())
	w.ok(err)
	if diff := cmp.Diff(map[string]int{"a": 1, "gone": 1}, given); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	w.wantOutbox("a|event.1|" + alpha + "/y")
	w.want("batch.stuck|new\ncustomer.failing|old",
		"SELECT concat_ws('|', type, subject) FROM partnersync.notified ORDER BY 1")
}

func TestEventData_isCutOffAndStaysText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{strings.Repeat("a", 3000), strings.Repeat("€", 1000), strings.Repeat("😀", 1000),
		"short"} {
		d := EventData{Error: text, Status: &text}.wireForm()
		if len(d.Error) > 1503 || len(*d.Status) > 303 || !strings.HasPrefix(text, strings.TrimSuffix(d.Error, "…")) {
			t.Errorf("cut off to %d and %d bytes", len(d.Error), len(*d.Status))
		}
		if body, err := json.Marshal(d); err != nil || strings.Contains(string(body), `\ufffd`) {
			t.Errorf("%s, error %v", body, err)
		}
	}
}
