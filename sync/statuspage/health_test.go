package statuspage

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/store"
	"partnersync/store/cron"
	"partnersync/sync/partnercenter/partnercentertest"
)

func TestReadyz(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*world)
		status int
		want   []string
	}{
		{"started a moment ago", func(*world) {}, 200, []string{"ready\n", "ok: database", "ok: schema", "ok: pass of partner contoso: no pass has ended since the start"}},
		{"no pass for three ticks", func(w *world) { w.site.started = time.Now().Add(-150 * time.Minute) }, 200, nil},
		{"no pass for longer", func(w *world) { w.site.started = time.Now().Add(-5 * time.Hour) }, 503,
			[]string{"not ready\n", "failed: pass of partner contoso", "5 ticks of the schedule ago"}},
		{"a pass just ended", func(w *world) {
			w.site.started = time.Now().Add(-5 * time.Hour)
			w.api.AddCustomer(partnercentertest.Customer{ID: alpha})
			w.pass()
		}, 200, []string{"the last pass ended at "}},
		{"started again long after the last pass ended", func(w *world) { w.ended(-5 * time.Hour) }, 503,
			[]string{"failed: pass of partner contoso: the last pass ended at ", "5 ticks of the schedule ago"}},
		{"a long pass goes on since then", func(w *world) {
			w.ended(-5 * time.Hour)
			w.began("running", -4*time.Hour)
		}, 200, []string{"a pass was worked on at "}},
		{"passes are begun again and again, and never end", func(w *world) {
			w.ended(-5 * time.Hour)
			for hours := range 4 {
				w.began("abandoned", -time.Duration(hours+1)*time.Hour)
			}
			w.began("running", -time.Minute)
		}, 503, []string{"failed: pass of partner contoso: the last pass ended at "}},
		{"they never have ended", func(w *world) {
			for hours := range 5 {
				w.began("abandoned", -time.Duration(hours+1)*time.Hour)
			}
			w.began("running", -time.Minute)
		}, 503, []string{"failed: pass of partner contoso: no pass has ended since the first began at "}},
		{"a pass that failed is one", func(w *world) {
			w.site.started = time.Now().Add(-5 * time.Hour)
			w.api.Fail(partnercentertest.Fault{Path: "token", Status: 401})
			w.pass()
		}, 200, []string{"the last pass ended at "}},
		{"another schema", func(w *world) {
			w.site.options.Schema = func(context.Context, *pgxpool.Pool) error { return errors.New("version 99, secret") }
		}, 503, []string{"not ready\n", "failed: schema"}},
		{"database gone", func(w *world) { w.site.reader.Load().Close() }, 503, []string{"not ready\n", "failed: database: it does not answer"}},
		{"database not there yet", func(w *world) { w.site.reader.Store(nil) }, 503, []string{"failed: database", "still waiting"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, Options{Schema: func(context.Context, *pgxpool.Pool) error { return nil }})
			c.change(w)
			status, body := w.get("/readyz")
			if status != c.status || strings.Contains(body, "secret") {
				t.Errorf("%d, want %d: %s", status, c.status, body)
			}
			for _, text := range c.want {
				if !strings.Contains(body, text) {
					t.Errorf("there is no %q in %s", text, body)
				}
			}
			if status, _ := w.get("/healthz"); status != http.StatusOK {
				t.Errorf("/healthz: %d", status)
			}
		})
	}
}

// ended notes a pass that ended so long ago.
func (w *world) ended(ago time.Duration) {
	w.t.Helper()
	_, err := w.db.Pool.Exec(w.t.Context(), `WITH partner AS (INSERT INTO partnersync.partner_state (partner) VALUES ('contoso') ON CONFLICT DO NOTHING)
		INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, finished_at, enumerated_at, state, customers_total)
		SELECT 'contoso', 'scheduled', t, t, t, t, 'complete', 1 FROM (SELECT now() + $1::interval AS t) at`, ago)
	w.ok(err)
}

// began notes a pass that began so long ago; one that is running has a worker of which something was heard just now.
func (w *world) began(state string, ago time.Duration) {
	w.t.Helper()
	for _, sql := range []string{
		`INSERT INTO partnersync.partner_state (partner) VALUES ('contoso') ON CONFLICT DO NOTHING`,
		`INSERT INTO partnersync.workers (worker_id, host, version, started_at, heartbeat_at, lease) VALUES ('00000000-0000-4000-8000-0000000000ff', '', '', now(), now(), '1 minute') ON CONFLICT DO NOTHING`,
	} {
		_, err := w.db.Pool.Exec(w.t.Context(), sql)
		w.ok(err)
	}
	_, err := w.db.Pool.Exec(w.t.Context(), `WITH run AS (
			INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, state)
			SELECT 'contoso', 'scheduled', t, t, $2 FROM (SELECT now() + $1::interval AS t) at RETURNING run_id
		) INSERT INTO partnersync.run_workers (run_id, worker_id) SELECT run_id, '00000000-0000-4000-8000-0000000000ff' FROM run`, ago, state)
	w.ok(err)
}

func TestOverview_staleCustomersAreNotWell(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.api.AddCustomer(partnercentertest.Customer{ID: alpha})
	w.api.AddCustomer(partnercentertest.Customer{ID: beta})
	w.pass()
	const move = `UPDATE partnersync.customer_state SET last_success_at = now() - $1::interval`
	_, err := w.db.Pool.Exec(t.Context(), move, 3*time.Hour)
	w.ok(err)
	w.shows("/", "All is well: 2 customers are up to date.")
	_, err = w.db.Pool.Exec(t.Context(), move, 73*time.Hour)
	w.ok(err)
	w.shows("/", "Not all is well: 2 customers of partner contoso were last synced up to 3 d 1 h ago.")
}

func TestStaleBefore(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 12, 0, 30, 0, time.UTC) // a Wednesday
	for spec, want := range map[string]string{
		"@every 1s":    "2026-03-04 11:59:30",
		"*/15 * * * *": "2026-03-04 11:15:00",
		"0 9 * * 1-5":  "2026-02-27 09:00:00",
		"30 12 1 * *":  "2025-12-01 12:30:00",
		"0 0 29 2 *":   "2021-02-28 12:00:30", // it does not look farther back
		"*/5 9 * * 1":  "2026-03-02 09:40:00",
		"0 12 * * *":   "2026-03-01 12:00:00",
		"* 0-11 * * *": "2026-03-04 11:56:00",
	} {
		schedule, err := cron.Parse(spec, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := staleBefore(schedule, now).UTC().Format(time.DateTime); got != want {
			t.Errorf("%s: %s, want %s", spec, got, want)
		}
	}
	if got := staleBefore(cron.Schedule{}, now); !got.Equal(now.Add(-24 * time.Hour)) {
		t.Errorf("without a schedule: %s", got)
	}
}

func TestPartnerThatIsNotConfigured_isOnlyNoted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.api.AddCustomer(partnercentertest.Customer{ID: alpha})
	w.pass()
	for _, sql := range []string{
		`INSERT INTO partner_center.customers (customer_id, partner, company_name, first_seen_at) VALUES ('` + beta + `', 'old', 'Left behind', now())`,
		`INSERT INTO partnersync.customer_state (customer_id, partner, consecutive_failures, failing_since, last_error) VALUES ('` + beta + `', 'old', 9, now(), 'x')`,
		`INSERT INTO partnersync.partner_state (partner) VALUES ('old')`,
		`INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, finished_at, enumerated_at, state, error)
			VALUES ('old', 'scheduled', now(), now(), now(), now(), 'failed', 'signing in: AADSTS7000215')`,
	} {
		_, err := w.db.Pool.Exec(t.Context(), sql)
		w.ok(err)
	}
	page := w.shows("/", "All is well: 1 customer is up to date.", "Partner old is not in the configuration: 1 customer of it", "Customers <b>1</b>")
	if strings.Contains(page, "Left behind") {
		t.Error("its failing customer is shown")
	}
	if _, metrics := w.get("/metrics"); strings.Contains(metrics, `partner="old"`) || !strings.Contains(metrics, `partner="contoso"`) {
		t.Errorf("metrics:\n%s", metrics)
	}
}

func TestOverview_overduePass(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.site.started = time.Now().Add(-5 * time.Hour)
	w.shows("/", "Not all is well: the pass of partner contoso is overdue.")
}

func TestJudge_passThatWentWrong(t *testing.T) {
	t.Parallel()
	schedule, err := cron.Parse("@every 1h", nil)
	if err != nil {
		t.Fatal(err)
	}
	site := New(Options{Partners: []Partner{{"contoso", schedule}, {"fabrikam", schedule}}})
	reason := "signing in: AADSTS7000215"
	now := time.Now()
	all := []store.PartnerFreshness{{Partner: "contoso", Customers: 1234, NeverSynced: 4}}
	const well = "So far all is well: 1\u202f230 of 1\u202f234 customers have been synced."
	for _, c := range []struct {
		name string
		last []store.LastPass
		want string
	}{
		{"none yet", nil, well},
		{"the first one goes on", []store.LastPass{{Partner: "contoso", WorkedAt: &now}}, well},
		{"some customers failed before", []store.LastPass{{Partner: "contoso", EndedAt: &now, State: store.Partial, Customers: 3}}, well},
		{"with an error", []store.LastPass{{Partner: "contoso", EndedAt: &now, State: store.Partial, Customers: 3, Error: &reason}},
			"Not all is well: the last pass of partner contoso went wrong (signing in: AADSTS7000215)."},
		{"without customers", []store.LastPass{{Partner: "contoso", State: store.Failed, Error: &reason}, {Partner: "fabrikam", State: store.Failed}},
			"Not all is well: the last pass of partner contoso went wrong (signing in: AADSTS7000215) and partner fabrikam has no customers."},
	} {
		if got := site.judge(all, nil, c.last, now); got.Sentence != c.want {
			t.Errorf("%s: %q, want %q", c.name, got.Sentence, c.want)
		}
	}
}
