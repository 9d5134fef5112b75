package sync

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"partnersync/store"
	"partnersync/sync/partnercenter/partnercentertest"
)

// replica returns a Runner that shares nothing with others but the database and the API.
func (w *world) replica(requestsPerMinute int) *Runner {
	w.t.Helper()
	p := w.pacedPartner("contoso", w.url, requestsPerMinute)
	return &Runner{
		Store: store.New(w.pool, store.Options{Version: "test"}), Partners: []Partner{p}, Logger: w.log, RunOnStart: true,
	}
}

// value returns what a query says.
func (w *world) value(query string) (v time.Time) {
	w.t.Helper()
	w.ok(w.pool.QueryRow(w.t.Context(), query).Scan(&v))
	return v
}

func TestRun_authorityThatThrottlesOneReplicaHoldsTheOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.customers(1)
	w.api.Fail(partnercentertest.Fault{Path: "/token$", Times: 1, Status: 429, RetryAfter: "300"})
	_, stopFirst := w.start(w.replica(6000))
	w.eventually(func() (string, bool) {
		pause, err := w.store.PauseOf(t.Context(), "contoso")
		w.ok(err)
		return "no pause in the database", pause > 0
	})
	second := w.replica(6000)
	ctx, stopSecond := second.begin(t.Context())
	ctx, cancel := context.WithCancel(ctx)
	var g errgroup.Group
	g.Go(func() error {
		_, err := second.Partners[0].Tokens.Token(ctx)
		return err
	})
	w.eventually(func() (string, bool) {
		return "the second replica has not learned of the pause", second.Partners[0].Gate.PausedUntil().After(time.Now())
	})
	cancel()
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	stopFirst()
	stopSecond()
	if n := len(w.api.Requests()); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// askedAt returns when the API, and not the sign-in, was asked.
func (w *world) askedAt() []time.Time {
	var at []time.Time
	for _, r := range w.api.Requests() {
		if strings.HasPrefix(r.Path, "/v1/") {
			at = append(at, r.At)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	return at
}

func TestRun_pauseOfOneReplicaHoldsTheOthers(t *testing.T) {
	t.Parallel()
	for _, perMinute := range []int{0, 6000} {
		w := newWorld(t, partnercentertest.Options{})
		w.customers(250)
		w.api.Fail(partnercentertest.Fault{Path: "deviceBatches", Times: 1, Status: 429, RetryAfter: "300"})
		first, second := w.replica(perMinute), w.replica(perMinute)
		first.Partners[0].Concurrency = 1
		_, stopFirst := w.start(first)
		w.eventually(func() (string, bool) {
			pause, err := w.store.PauseOf(t.Context(), "contoso")
			w.ok(err)
			return "no pause in the database", pause > 0
		})
		// The second replica claims customers that the first one has left, and learns that it has to wait.
		_, stopSecond := w.start(second)
		gate := second.Partners[0].Gate
		w.eventually(func() (string, bool) {
			return "no pause in the second replica", time.Until(gate.PausedUntil()) > 4*time.Minute
		})
		stopSecond()
		stopFirst()
		if got := len(w.askedAt()); got != 2 {
			t.Errorf("at %d a minute: the API was asked %d times, want 2: for the customers, and to be told to wait", perMinute, got)
		}
		w.want("2", "requests) FROM partner_center.sync_runs")
		w.want("0|0", "count(owner), sum(consecutive_failures)) FROM partnersync.customer_state")
	}
}

func TestRun_replicasTogetherKeepToTheRate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	const perMinute, burst, interval = 3000, 100, 20 * time.Millisecond // at least: see partnercenter.NewGate
	w.customers(220)
	began := w.value("SELECT clock_timestamp()")
	var finished []<-chan store.Run
	for range 3 {
		runs, _ := w.start(w.replica(perMinute))
		finished = append(finished, runs)
	}
	if run := <-finished[0]; run.State != store.Complete || run.CustomersOK != 220 {
		t.Errorf("run: %+v", run)
	}
	asked := w.askedAt()
	if len(asked) != 221 {
		t.Errorf("the API was asked %d times, want once for the customers and once for each", len(asked))
	}
	// The API's times are those of the database's machine: none can come before the place it was given.
	for i, at := range asked {
		if earliest := began.Add(time.Duration(i+1-burst) * interval); at.Before(earliest) {
			t.Fatalf("request %d came %v before there was a place for it", i+1, earliest.Sub(at))
		}
	}
	until := w.value("SELECT reserved_until FROM partnersync.partner_pace")
	if least := began.Add(time.Duration(len(asked)) * interval); until.Before(least) {
		t.Errorf("places are reserved up to %v, want one for each request, up to %v", until, least)
	}
}

func TestOnce_passesAtTheSameTimeShareTheRate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	const perMinute, interval = 6000, 10 * time.Millisecond
	w.customers(5)
	began := w.value("SELECT clock_timestamp()")
	var g errgroup.Group
	for _, kind := range []string{store.Once, store.Backfill} {
		r := w.replica(perMinute)
		g.Go(func() error {
			_, err := r.Once(t.Context(), Request{Kind: kind})
			return err
		})
	}
	w.ok(g.Wait())
	_, err := w.replica(perMinute).Once(t.Context(), Request{Kind: store.Once, Customers: []string{alpha}})
	if !errors.Is(err, ErrUnknownCustomer) {
		t.Errorf("error %v, want that there is no such customer", err)
	}
	until := w.value("SELECT reserved_until FROM partnersync.partner_pace")
	if least := began.Add(13 * interval); until.Before(least) { // 1 + 5 requests of each pass, and one to look for alpha
		t.Errorf("places are reserved up to %v, want up to %v", until, least)
	}
}

func TestDryRun_reservesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.customers(2)
	w.api.Fail(partnercentertest.Fault{Path: "deviceBatches", Times: 1, Status: 429})
	w.ok(w.replica(6000).DryRun(t.Context(), Request{Kind: store.Once}, func(Plan) {}))
	w.want("0", "count(*)) FROM partnersync.partner_pace")
	if got := len(w.askedAt()); got != 4 {
		t.Errorf("the API was asked %d times, want 4", got)
	}
}

// signalling is a log that tells of each line with a certain text.
type signalling struct {
	text string
	seen chan struct{}
}

func (s signalling) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(s.text)) {
		s.seen <- struct{}{}
	}
	return len(line), nil
}

// breaks makes reservations impossible at the given request for batches, or at once if it is 0, until mend is called.
func (w *world) breaks(request int) (mend func()) {
	exec := func(sql string) {
		if _, err := w.pool.Exec(w.t.Context(), sql); err != nil {
			w.t.Error(err)
		}
	}
	exec(`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE disk_full; END $$`)
	breaking := func() { exec("CREATE TRIGGER fail BEFORE INSERT ON partnersync.partner_pace EXECUTE FUNCTION fail()") }
	if request == 0 {
		breaking()
	} else {
		w.api.Fail(partnercentertest.Fault{Path: "deviceBatches", Skip: request - 1, Times: 1, Before: breaking})
	}
	return func() { exec("DROP TRIGGER fail ON partnersync.partner_pace") }
}

func TestRun_waitsForTheDatabaseToReserveRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	ids := w.customers(4)
	mend := w.breaks(2)
	interrupted := signalling{"waiting for the database", make(chan struct{}, 10)}
	r := w.replica(6000)
	r.Partners[0].Concurrency = 1
	r.Logger = slog.New(slog.NewTextHandler(interrupted, nil))
	runs, _ := w.start(r)
	<-interrupted.seen
	mend()
	if run := <-runs; run.ID != 1 || run.State != store.Complete || run.CustomersOK != len(ids) || run.Retries != 0 {
		t.Errorf("run: %+v", run)
	}
}

func TestOnce_endsWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	for _, request := range []int{0, 2} {
		w := newWorld(t, partnercentertest.Options{})
		w.customers(4)
		mend := w.breaks(request) // at 0, not even the customers can be asked for
		r := w.replica(6000)
		r.Partners[0].Concurrency = 1
		runs, err := r.Once(t.Context(), Request{Kind: store.Once})
		if err == nil || !strings.Contains(err.Error(), " of partner contoso: ") || len(runs) != 1 || runs[0].State != store.Abandoned {
			t.Errorf("runs %+v, error %v", runs, err)
		}
		mend()
		w.want("0", "count(*)) FROM partnersync.customer_state WHERE consecutive_failures > 0")
		w.want("t", "error IS NULL) FROM partner_center.sync_runs")
	}
}

func TestRun_claimsTellOfThePause(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.customers(5)
	r := w.replica(0)
	// Just after this replica has asked whether there is a pause; for the next second it would not by itself.
	w.api.Fail(partnercentertest.Fault{Path: "/customers$", Before: func() { w.ok(w.store.Pause(t.Context(), "contoso", 5*time.Minute)) }})
	_, stop := w.start(r)
	w.eventually(func() (string, bool) {
		return "no pause", time.Until(r.Partners[0].Gate.PausedUntil()) > 4*time.Minute || len(w.askedAt()) > 1
	})
	stop()
	if got := len(w.askedAt()); got != 1 {
		t.Errorf("the API was asked %d times, want once, for the customers", got)
	}
}
