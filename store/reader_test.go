package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/jackc/pgx/v5"
	"partnersync/store/storetest"
)

func (w *world) reader() *Reader { return newReader(w.t, w.pool) }

func newReader(t *testing.T, pool *pgxpool.Pool) *Reader {
	t.Helper()
	r, err := NewReader(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// questions are all that a Reader answers.
var questions = map[string]func(context.Context, *Reader) error{
	"freshness":      func(ctx context.Context, r *Reader) error { _, err := r.Freshness(ctx); return err },
	"customer syncs": func(ctx context.Context, r *Reader) error { _, err := r.CustomerSyncs(ctx); return err },
	"last passes":    func(ctx context.Context, r *Reader) error { _, err := r.LastPasses(ctx); return err },
	"stale customers": func(ctx context.Context, r *Reader) error {
		_, err := r.StaleCustomers(ctx, map[string]time.Time{"contoso": minute(0)})
		return err
	},
	"backlogs": func(ctx context.Context, r *Reader) error { _, err := r.Backlogs(ctx); return err },
	"slots": func(ctx context.Context, r *Reader) error {
		_, err := r.PassSlots(ctx, minute(0), time.Hour)
		return err
	},
	"newest runs": func(ctx context.Context, r *Reader) error { _, err := r.NewestRuns(ctx, 3); return err },
	"customers": func(ctx context.Context, r *Reader) error {
		_, err := r.Customers(ctx, CustomerSearch{Limit: 3})
		return err
	},
	"longest failing": func(ctx context.Context, r *Reader) error { _, err := r.LongestFailing(ctx, nil, 3); return err },
	"batches":         func(ctx context.Context, r *Reader) error { _, err := r.Batches(ctx, 30, 3); return err },
	"lives": func(ctx context.Context, r *Reader) error {
		_, err := r.Lives(ctx, LifeSearch{CustomerID: alpha, Limit: 3, Versions: 3})
		return err
	},
	"customer": func(ctx context.Context, r *Reader) error {
		if _, err := r.Customer(ctx, alpha); !errors.Is(err, ErrNoCustomer) {
			return fmt.Errorf("of an empty database: %w, want ErrNoCustomer", err)
		}
		return nil
	},
}

func TestReader_emptyDatabaseHasAnswersToAllQuestions(t *testing.T) {
	t.Parallel()
	r := newWorld(t).reader()
	for what, ask := range questions {
		if err := ask(t.Context(), r); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestReader_needsNoMoreRightsThanTheWriters(t *testing.T) {
	t.Parallel()
	roles := newRolesTest(t, storetest.New(t))
	roles.apply(roles.pool)
	r := newReader(t, roles.connect(roles.login("IN ROLE "+writer)))
	for what, ask := range questions {
		if err := ask(t.Context(), r); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestReader_cannotWrite(t *testing.T) {
	t.Parallel()
	r := newWorld(t).reader()
	err := r.read(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM partnersync.workers")
		return err
	})
	if err == nil {
		t.Error("a write went through")
	}
}

func TestReader_closingEndsAQuestion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, err := NewReader(t.Context(), w.pool)
	w.ok(err)
	asked, answered := make(chan struct{}), make(chan error)
	go func() {
		answered <- r.read(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
			close(asked)
			_, err := tx.Exec(ctx, "SELECT pg_sleep(600)")
			return err
		})
	}()
	<-asked
	r.Close()
	if err := <-answered; err == nil {
		t.Error("the question was answered")
	}
}

func TestReader_doesNotWaitForTheSyncsConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range w.pool.Config().MaxConns {
		conn, err := w.pool.Acquire(t.Context())
		w.ok(err)
		defer conn.Release()
	}
	w.ok(w.reader().Ping(t.Context()))
}

// failed is a failure to record.
var failed = &Failure{Code: "20002", Message: "no relationship", RequestID: "request", CorrelationID: "correlation"}

// partnerOfThree makes a pass over three customers, of whom beta fails, and leaves gamma to be done.
func (w *world) partnerOfThree() Run {
	w.t.Helper()
	run := w.begin(Scheduled, alpha, beta, gamma)
	for _, c := range w.claims(run) {
		switch c.CustomerID {
		case alpha:
			w.record(run, Result{Claim: c})
		case beta:
			w.record(run, Result{Claim: c, Failure: failed})
		}
	}
	w.exec(`UPDATE partner_center.customers SET company_name = CASE customer_id WHEN $1::uuid THEN 'Zeta 100%' WHEN $2::uuid THEN 'alpine' END,
		domain = CASE customer_id WHEN $1::uuid THEN 'zeta.example.com' END`, alpha, beta)
	return run
}

func TestFreshness_countsEachCustomerByHowItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.partnerOfThree()
	w.exec(`UPDATE partnersync.customer_state SET last_success_at = now() - interval '7 hours' WHERE customer_id = $1::uuid`, alpha)
	all, err := w.reader().Freshness(t.Context())
	w.ok(err)
	if len(all) != 1 || all[0].OldestSync == nil {
		t.Fatalf("%+v", all)
	}
	if age := all[0].Now.Sub(*all[0].OldestSync); age < 7*time.Hour {
		t.Errorf("the oldest sync is %s ago, want 7h or little more", age)
	}
	got := all[0]
	got.OldestSync, got.Now = nil, time.Time{}
	want := PartnerFreshness{Partner: "contoso", Customers: 3, Failing: 1, NeverSynced: 2, NeverSyncedFailing: 1, OverHour: 1, OverSixHours: 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	syncs, err := w.reader().CustomerSyncs(t.Context())
	w.ok(err)
	if len(syncs) != 3 || syncs[0].CustomerID != alpha || syncs[0].LastSuccessAt == nil || syncs[1].LastSuccessAt != nil {
		t.Errorf("%+v", syncs)
	}
}

func TestCustomers_searchAndOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.partnerOfThree()
	r := w.reader()
	for _, c := range []struct {
		name   string
		search CustomerSearch
		want   []string
	}{
		{"all, by staleness", CustomerSearch{}, []string{beta, gamma, alpha}},
		{"by name, those without one last", CustomerSearch{Order: ByName}, []string{beta, alpha, gamma}},
		{"failing", CustomerSearch{OnlyFailing: true}, []string{beta}},
		{"not failing", CustomerSearch{OnlyFine: true}, []string{gamma, alpha}},
		{"name, whatever the case", CustomerSearch{Text: "ALPINE"}, []string{beta}},
		{"a percent sign is one", CustomerSearch{Text: "%"}, []string{alpha}},
		{"an underscore is one", CustomerSearch{Text: "_"}, nil},
		{"domain", CustomerSearch{Text: "zeta.ex"}, []string{alpha}},
		{"beginning of the id", CustomerSearch{Text: gamma[:5]}, []string{gamma}},
		{"not its middle", CustomerSearch{Text: gamma[3:8]}, nil},
		{"second page", CustomerSearch{Offset: 2}, []string{alpha}},
	} {
		c.search.Limit = 10
		rows, err := r.Customers(t.Context(), c.search)
		w.ok(err)
		var got []string
		for _, row := range rows {
			got = append(got, row.CustomerID)
			if want := len(c.want) + c.search.Offset; row.Found != want {
				t.Errorf("%s: found %d, want %d", c.name, row.Found, want)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestCustomer_withTheReasonOfItsFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.partnerOfThree()
	got, err := w.reader().Customer(t.Context(), beta)
	w.ok(err)
	if len(got.Freshness) != 1 || *got.Freshness[0].LastErrorCode != "20002" || *got.Freshness[0].LastRequestID != "request" {
		t.Errorf("%+v", got)
	}
	longest, err := w.reader().LongestFailing(t.Context(), []string{"contoso"}, 5)
	w.ok(err)
	if diff := cmp.Diff(got.Freshness, longest); diff != "" {
		t.Errorf("longest failing: (-want +got)\n%s", diff)
	}
}

func TestPassSlots(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, state := range []string{"complete", "partial", "failed", "abandoned", "complete", "running"} {
		w.exec(`INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, state) VALUES ('contoso', 'scheduled', $1, $1, $2)`, minute(7*i), state)
	}
	got, err := w.reader().PassSlots(t.Context(), minute(5), 15*time.Minute)
	w.ok(err)
	want := []PassSlot{
		{Partner: "contoso", Slot: 0, Passes: 2, Partial: 1, Failed: 1},
		{Partner: "contoso", Slot: 1, Passes: 2, Abandoned: 1},
		{Partner: "contoso", Slot: 2, Passes: 1, Running: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	runs, err := w.reader().NewestRuns(t.Context(), 2)
	w.ok(err)
	if len(runs) != 2 || runs[0].State != Running || runs[1].State != Complete {
		t.Errorf("newest runs: %+v", runs)
	}
}

func TestFinishRun_oneWorkerEndsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Scheduled, alpha)
	w.record(run, Result{Claim: w.claim(run)})
	if first := w.finish(run); !first.EndedHere {
		t.Error("the first did not end it")
	}
	if second := w.another().finish(run); second.EndedHere || second.State != Complete {
		t.Errorf("the second: %+v", second)
	}
}
