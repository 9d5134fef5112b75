package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/store"
	"partnersync/store/outbox"
	"partnersync/store/storetest"
	"partnersync/sync/partnercenter"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// world is a database and a sender of its outbox.
type world struct {
	t       *testing.T
	pool    *pgxpool.Pool
	store   *store.Store
	sender  *Sender
	log     bytes.Buffer
	passes  int
	mu      sync.Mutex
	results []string // endpoint and result
}

func newWorld(t *testing.T, endpoints ...Endpoint) *world {
	t.Helper()
	w := &world{t: t, pool: storetest.New(t).Pool}
	var subscribed []outbox.Endpoint
	for _, e := range endpoints {
		subscribed = append(subscribed, outbox.Endpoint{Name: e.Name, StuckAfter: time.Hour, FailingAfter: 3})
	}
	w.store = store.New(w.pool, store.Options{Endpoints: subscribed})
	w.sender = &Sender{
		Outbox: w.store.Outbox(), Endpoints: endpoints, Version: "test",
		Logger: slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OnResult: func(endpoint, result string, n int) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.results = append(w.results, fmt.Sprint(endpoint, " ", result, " ", n))
		},
	}
	w.pass("queued", "a", "b", "c")
	return w
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// pass makes a pass in which the customer's batches have the status.
func (w *world) pass(status string, batches ...string) {
	w.t.Helper()
	ctx := w.t.Context()
	w.passes++
	at := noon.Add(time.Duration(w.passes) * time.Minute)
	w.ok(w.store.Heartbeat(ctx))
	opened, err := w.store.OpenRun(ctx, store.RunRequest{Partner: "contoso", Kind: store.Once, ScheduledFor: at})
	w.ok(err)
	enumeration, _, err := w.store.ClaimEnumeration(ctx, opened.Run)
	w.ok(err)
	_, err = w.store.RecordEnumeration(ctx, enumeration, store.Enumeration{
		Customers: []store.Customer{{ID: alpha, CompanyName: ptr("Contoso")}}, ObservedAt: at, Complete: true,
	})
	w.ok(err)
	claims, err := w.store.ClaimCustomers(ctx, opened.Run, store.FirstTurn, []string{alpha})
	w.ok(err)
	var rows []store.DeviceBatch
	for _, id := range batches {
		rows = append(rows, store.DeviceBatch{BatchID: id, Status: &status})
	}
	_, err = w.store.MergeDeviceBatches(ctx, claims[0], store.Listing{ObservedAt: at, Complete: true}, rows)
	w.ok(err)
	_, err = w.store.RecordResults(ctx, opened.Run, []store.Result{{Claim: claims[0], Listed: true}})
	w.ok(err)
	_, err = w.store.FinishRun(ctx, opened.Run, store.WhenDone)
	w.ok(err)
}

// rounds makes attempts until nothing is due. What was postponed is made due at once.
func (w *world) rounds(n int) {
	w.t.Helper()
	client := newClient()
	defer client.CloseIdleConnections()
	for range n {
		for _, e := range w.sender.Endpoints {
			_, err := w.sender.sendDue(w.t.Context(), client, e, 0)
			w.ok(err)
		}
		_, err := w.pool.Exec(w.t.Context(), "UPDATE partnersync.outbox SET next_at = now()")
		w.ok(err)
	}
}

// left returns how many notifications are in the outbox.
func (w *world) left() (n int) {
	w.t.Helper()
	w.ok(w.pool.QueryRow(context.WithoutCancel(w.t.Context()), "SELECT count(*) FROM partnersync.outbox").Scan(&n))
	return n
}

// receiver is the other end of a webhook.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int // 0: 204
	header http.Header
	got    []received
	hang   chan struct{} // if set, requests wait for its end
	came   chan struct{}
}

type received struct {
	header http.Header
	body   []byte
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{header: http.Header{}, came: make(chan struct{}, 1000)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		r.came <- struct{}{}
		if r.hang != nil {
			select {
			case <-r.hang:
			case <-q.Context().Done():
			}
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for name, values := range r.header {
			w.Header()[name] = values
		}
		if r.status != 0 {
			w.WriteHeader(r.status)
			return
		}
		r.got = append(r.got, received{q.Header.Clone(), body})
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) answers(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// received returns "batch type" of each notification, in the order of their arrival.
func (r *receiver) received(t *testing.T) (all []string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, each := range r.got {
		var e cloudEvent
		if err := json.Unmarshal(each.body, &e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e.Data.BatchID+" "+e.Type)
	}
	return all
}

// of returns those of one batch.
func ofBatch(all []string, id string) (its []string) {
	for _, each := range all {
		if kind, ok := strings.CutPrefix(each, id+" "); ok {
			its = append(its, kind)
		}
	}
	return its
}

func TestSender_receiverThatWasDownGetsEachInItsOrder(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	w := newWorld(t, Endpoint{Name: "r", URL: partnercenter.Secret(r.URL)})
	r.answers(http.StatusServiceUnavailable)
	w.pass("finished", "a", "b", "c")
	w.rounds(2)
	w.pass("finished_with_errors", "a", "b", "c")
	w.rounds(1)
	w.pass("finished", "b", "c") // a is removed
	w.rounds(1)
	if got := r.received(t); got != nil || w.left() != 9 {
		t.Fatalf("received %v, and %d are left", got, w.left())
	}
	r.answers(0)
	w.rounds(4)
	got := r.received(t)
	for id, want := range map[string][]string{
		"a": {"batch.finished", "batch.finished_with_errors", "batch.removed"},
		"b": {"batch.finished", "batch.finished_with_errors", "batch.finished"},
		"c": {"batch.finished", "batch.finished_with_errors", "batch.finished"},
	} {
		if diff := cmp.Diff(want, ofBatch(got, id)); diff != "" {
			t.Errorf("batch %s: (-want +got)\n%s", id, diff)
		}
	}
	if n := w.left(); n != 0 || len(got) != 9 {
		t.Errorf("received %d, and %d are left", len(got), n)
	}
	slices.Sort(w.results)
	if diff := cmp.Diff([]string{"r failed 1", "r sent 1"}, slices.Compact(w.results)); diff != "" {
		t.Errorf("results: (-want +got)\n%s", diff)
	}
}

func TestSender_signsWhatItSends(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	w := newWorld(t, Endpoint{Name: "r", URL: partnercenter.Secret(r.URL), Keys: []partnercenter.Secret{exampleKey}})
	w.pass("finished", "a", "b", "c")
	w.rounds(1)
	if len(r.got) != 3 {
		t.Fatalf("received %d, want 3", len(r.got))
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(exampleKey, "whsec_"))
	w.ok(err)
	for _, each := range r.got {
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.%s", each.header.Get("webhook-id"), each.header.Get("webhook-timestamp"), each.body)
		want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
		if got := each.header.Get("webhook-signature"); got != want {
			t.Errorf("signature %s, want %s", got, want)
		}
		var e cloudEvent
		if err := json.Unmarshal(each.body, &e); err != nil || e.ID != each.header.Get("webhook-id") {
			t.Errorf("the event's id is %s, the header's %s, error %v", e.ID, each.header.Get("webhook-id"), err)
		}
		if got := each.header.Get("User-Agent"); got != "partnersync/test" {
			t.Errorf("User-Agent: %s", got)
		}
	}
}

func TestSender_answers(t *testing.T) {
	t.Parallel()
	elsewhere := newReceiver(t)
	tests := []struct {
		status   int
		header   http.Header
		left     int
		result   string
		atLeast  time.Duration // until the next attempt
		atMost   time.Duration
		mentions string
	}{
		{http.StatusOK, nil, 0, Sent, 0, 0, "notification sent"},
		{http.StatusAccepted, nil, 0, Sent, 0, 0, "notification sent"},
		{http.StatusGone, nil, 0, Refused, 0, 0, "410 Gone"},
		{http.StatusNotFound, nil, 1, Failed, 4 * time.Second, 7 * time.Second, "404 Not Found"},
		{http.StatusInternalServerError, nil, 1, Failed, 4 * time.Second, 7 * time.Second, "500 Internal Server Error"},
		{http.StatusTemporaryRedirect, http.Header{"Location": {elsewhere.URL}}, 1, Failed, 4 * time.Second, 7 * time.Second,
			"redirects are not followed"},
		{http.StatusTooManyRequests, http.Header{"Retry-After": {"600"}}, 1, Failed, 9 * time.Minute, 10 * time.Minute,
			"429 Too Many Requests"},
		{http.StatusTooManyRequests, http.Header{"Retry-After": {"999999"}}, 1, Failed, 59 * time.Minute, time.Hour,
			"429 Too Many Requests"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.status, tt.header), func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t)
			r.status, r.header = tt.status, tt.header
			u := strings.Replace(r.URL, "http://", "http://user:hunter2@", 1) + "/services/hunter3?token=hunter4"
			w := newWorld(t, Endpoint{Name: "r", URL: partnercenter.Secret(u)})
			w.pass("finished", "a")
			_, err := w.pool.Exec(t.Context(), "DELETE FROM partnersync.outbox WHERE type <> 'batch.finished'")
			w.ok(err)
			_, err = w.sender.sendDue(t.Context(), newClient(), w.sender.Endpoints[0], 0)
			w.ok(err)
			if diff := cmp.Diff([]string{"r " + tt.result + " 1"}, w.results); diff != "" {
				t.Errorf("results: (-want +got)\n%s", diff)
			}
			if n := w.left(); n != tt.left {
				t.Errorf("%d left, want %d", n, tt.left)
			}
			if wait, _, err := w.store.Outbox().Next(t.Context(), "r"); err != nil || wait < tt.atLeast || wait > tt.atMost {
				t.Errorf("the next attempt is in %v, error %v, want %v to %v", wait, err, tt.atLeast, tt.atMost)
			}
			if log := w.log.String(); !strings.Contains(log, tt.mentions) || strings.Contains(log, "hunter") {
				t.Errorf("log: %s", log)
			}
		})
	}
	if got := elsewhere.received(t); got != nil {
		t.Errorf("a redirect was followed: %v", got)
	}
}

// The text of Go's errors about failed requests contains the URL.
func TestSend_errorsShowNothingOfTheURL(t *testing.T) {
	t.Parallel()
	refusing := httptest.NewServer(http.NotFoundHandler())
	refusing.Close()
	for _, url := range []string{
		strings.Replace(refusing.URL, "http://", "http://hunter2:hunter3@", 1) + "/hunter4?hunter5",
		"http://a.invalid/hunter4",
		"https://" + strings.TrimPrefix(newReceiver(t).URL, "http://") + "/hunter4",
		"http://a\x7f/hunter4",
	} {
		err := new(Sender).send(t.Context(), newClient(), Endpoint{URL: partnercenter.Secret(url)},
			outbox.Delivery{Notifications: []outbox.Notification{of(outbox.BatchFinished, outbox.EventData{})}})
		if err == nil || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestRun_isWokenAndASlowReceiverDelaysNoOther(t *testing.T) {
	t.Parallel()
	slow, fast := newReceiver(t), newReceiver(t)
	slow.hang = make(chan struct{})
	w := newWorld(t, Endpoint{Name: "slow", URL: partnercenter.Secret(slow.URL)},
		Endpoint{Name: "fast", URL: partnercenter.Secret(fast.URL)})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.sender.Run(ctx)
	}()
	w.pass("finished", "a", "b", "c")
	for range 3 {
		<-slow.came
		<-fast.came
	}
	w.pass("finished_with_errors", "a", "b", "c")
	for range 3 {
		<-fast.came
	}
	stop()
	<-ended
	// It is stopped in the middle of an attempt; the next one may begin at once.
	if wait, pending, err := w.store.Outbox().Next(t.Context(), "slow"); err != nil || !pending || wait > 0 {
		t.Errorf("the next attempt is in %v, pending %v, error %v", wait, pending, err)
	}
	if got := slow.received(t); len(w.log.String()) == 0 || w.left() < 6 {
		t.Errorf("received %v, and %d are left", got, w.left())
	}
}

func TestSender_severalShareOneOutbox(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	w := newWorld(t, Endpoint{Name: "r", URL: partnercenter.Secret(r.URL)})
	var ids []string
	for i := range 100 {
		ids = append(ids, fmt.Sprintf("batch %d", i))
	}
	w.pass("queued", ids...)
	w.pass("finished", ids...)
	others := make([]*Sender, 4)
	errs := make(chan error)
	for i := range others {
		others[i] = &Sender{Outbox: store.New(w.pool, store.Options{}).Outbox(), Endpoints: w.sender.Endpoints}
		go func() { errs <- others[i].Drain(t.Context()) }()
	}
	for range others {
		w.ok(<-errs)
	}
	got := r.received(t)
	slices.Sort(got)
	if n := len(slices.Compact(slices.Clone(got))); n != len(got) || n != 103 { // a, b and c were removed
		t.Errorf("received %d notifications, %d of them different, want 103", len(got), n)
	}
}

func TestDrain_endsWithItsTime(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	w := newWorld(t, Endpoint{Name: "r", URL: partnercenter.Secret(r.URL)})
	w.ok(w.sender.Drain(t.Context()))
	r.answers(http.StatusBadGateway)
	w.pass("finished", "a", "b", "c")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for range 3 {
			<-r.came
		}
		cancel()
	}()
	w.ok(w.sender.Drain(ctx))
	if w.left() != 3 || !strings.Contains(w.log.String(), "goes on with them") {
		t.Errorf("%d left, log %s", w.left(), &w.log)
	}
}

func TestLook_findsStuckBatchesAndGivesUp(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	w := newWorld(t, Endpoint{Name: "r", URL: partnercenter.Secret(r.URL)})
	_, err := w.pool.Exec(t.Context(), "UPDATE partner_center.device_batches SET valid_from = now() - interval '2 hours', creation_date = now() - interval '2 hours'")
	w.ok(err)
	w.ok(w.sender.Sweep(t.Context()))
	_, err = w.pool.Exec(t.Context(),
		"UPDATE partnersync.outbox SET created_at = now() - interval '25 hours' WHERE subject LIKE '%/c'")
	w.ok(err)
	w.ok(w.sender.Sweep(t.Context()))
	w.rounds(1)
	if diff := cmp.Diff([]string{"r given_up 1", "r sent 1", "r sent 1"}, w.results); diff != "" {
		t.Errorf("results: (-want +got)\n%s", diff)
	}
	got := r.received(t)
	slices.Sort(got)
	if diff := cmp.Diff([]string{"a batch.stuck", "b batch.stuck"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestBackOff_growsToFiveMinutes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		attempts int
		least    time.Duration
	}{{0, 5 * time.Second}, {1, 5 * time.Second}, {2, 10 * time.Second}, {4, 40 * time.Second}, {7, 5 * time.Minute},
		{1 << 30, 5 * time.Minute}}
	for _, tt := range tests {
		if got := backOff(tt.attempts); got < tt.least || got > tt.least*5/4 {
			t.Errorf("after %d attempts: %v, want %v and up to a quarter more", tt.attempts, got, tt.least)
		}
	}
}

func TestRefusedError_isFoundByType(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("sending: %w", &refusedError{status: 599})
	if e, ok := errors.AsType[*refusedError](err); !ok || e.Error() != "the receiver answered 599" {
		t.Errorf("got %v", err)
	}
}

func TestRun_logsOnceThatItCannotSweep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	synctest.Test(t, func(t *testing.T) {
		pool, err := pgxpool.New(t.Context(), w.pool.Config().ConnString())
		w.ok(err)
		pool.Close() // no question has an answer any more
		ctx, stop := context.WithTimeout(t.Context(), 24*time.Hour)
		defer stop()
		s := Sender{
			Outbox: store.New(pool, store.Options{}).Outbox(), Logger: w.sender.Logger, SweepEvery: 10 * time.Minute,
		}
		s.sweepRegularly(ctx)
		if n := strings.Count(w.log.String(), "could not be looked at"); n != 1 {
			t.Errorf("logged %d times in a day, want once", n)
		}
	})
}
