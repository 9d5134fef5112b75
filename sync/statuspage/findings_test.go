package statuspage

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/store"
	"partnersync/store/report"
	"partnersync/store/storetest"
	"partnersync/sync"
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
		{"configured a moment ago", func(*world) {}, 200, []string{"ready\n"}},
		{"no pass for three ticks", func(w *world) { w.configured(-150 * time.Minute) }, 200, []string{"ready\n"}},
		{"no pass for longer", func(w *world) { w.configured(-5 * time.Hour) }, 503,
			[]string{"not ready\n", "stopped: pass_overdue: The pass of partner contoso is overdue: ",
				"5 ticks of the schedule ago"}},
		{"a pass just ended", func(w *world) {
			w.configured(-5 * time.Hour)
			w.ended(0)
		}, 200, []string{"ready\n"}},
		{"only a pass of another kind did", func(w *world) {
			w.configured(-5 * time.Hour)
			w.api.AddCustomer(partnercentertest.Customer{ID: alpha})
			w.pass()
		}, 503, []string{"stopped: pass_overdue: "}},
		{"started again long after the last pass ended", func(w *world) { w.ended(-5 * time.Hour) }, 503,
			[]string{"stopped: pass_overdue: The pass of partner contoso is overdue: the last scheduled pass ended at ",
				"5 ticks of the schedule ago"}},
		{"a long pass goes on since then", func(w *world) {
			w.ended(-5 * time.Hour)
			w.began("running", -4*time.Hour)
		}, 200, []string{"ready\n"}},
		{"it stands still, though its worker lives", func(w *world) {
			w.ended(-5 * time.Hour)
			w.began("running", -4*time.Hour)
			w.exec(`UPDATE partnersync.run_workers SET progressed_at = now() - interval '190 minutes'`)
		}, 503, []string{"stopped: pass_overdue: The pass of partner contoso is overdue: a pass last made progress at "}},
		{"it stands still, since the API makes it wait", func(w *world) {
			w.ended(-5 * time.Hour)
			w.ok(w.runner.Store.Pause(w.t.Context(), "contoso", time.Minute))
		}, 200, []string{"ready\n", "degraded: partner_paused: The API makes partner contoso wait until "}},
		{"passes are begun again and again, and never end", func(w *world) {
			w.ended(-5 * time.Hour)
			for hours := range 4 {
				w.began("abandoned", -time.Duration(hours+1)*time.Hour)
			}
			w.began("running", -time.Minute)
		}, 503, []string{"The pass of partner contoso is overdue: the last scheduled pass ended at "}},
		{"they never have ended", func(w *world) {
			for hours := range 5 {
				w.began("abandoned", -time.Duration(hours+1)*time.Hour)
			}
			w.began("running", -time.Minute)
		}, 503, []string{"The pass of partner contoso is overdue: no scheduled pass has ended since the first began at "}},
		{"a pass that failed is one", func(w *world) {
			w.ended(0)
			w.api.Fail(partnercentertest.Fault{Path: "token", Status: 401, Description: "secret"})
			w.pass()
		}, 200, []string{"ready\n", "degraded: pass_failed: The last pass of partner contoso failed."}},
		{"another schema", func(w *world) {
			w.site.options.Schema = func(context.Context, *pgxpool.Pool) error { return errors.New("version 99, secret") }
		}, 503, []string{"not ready\n", "stopped: schema_mismatch: The database's schema is not this release's."}},
		{"database gone", func(w *world) { w.site.reader.Load().Close() }, 503,
			[]string{"not ready\n", "stopped: database_unusable: The database cannot be used."}},
		{"database not there yet", func(w *world) { w.site.reader.Store(nil) }, 503,
			[]string{"stopped: database_unusable: "}},
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
				if text == "ready\n" && !strings.HasPrefix(body, text) || !strings.Contains(body, text) {
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
	w.exec(`WITH partner AS (INSERT INTO partnersync.partner_state (partner) VALUES ('contoso') ON CONFLICT DO NOTHING)
		INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, finished_at, enumerated_at, state,
		customers_total)
		SELECT 'contoso', 'scheduled', t, t, t, t, 'complete', 1 FROM (SELECT now() + $1::interval AS t) at`, ago)
}

// began notes a pass that began so long ago; one that is running has a worker that just made progress.
func (w *world) began(state string, ago time.Duration) {
	w.t.Helper()
	w.exec(`INSERT INTO partnersync.partner_state (partner) VALUES ('contoso') ON CONFLICT DO NOTHING`)
	w.exec(`INSERT INTO partnersync.workers (worker_id, host, version, started_at, heartbeat_at, lease)
		VALUES ('00000000-0000-4000-8000-0000000000ff', '', '', now(), now(), '1 minute') ON CONFLICT DO NOTHING`)
	w.exec(`WITH run AS (
			INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, state)
			SELECT 'contoso', 'scheduled', t, t, $2 FROM (SELECT now() + $1::interval AS t) at RETURNING run_id
		) INSERT INTO partnersync.run_workers (run_id, worker_id, progressed_at)
		SELECT run_id, '00000000-0000-4000-8000-0000000000ff', now() FROM run`, ago, state)
}

func TestOverview_staleCustomersAreNotWell(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.api.AddCustomer(partnercentertest.Customer{ID: alpha})
	w.api.AddCustomer(partnercentertest.Customer{ID: beta})
	w.pass()
	const move = `UPDATE partnersync.customer_state SET last_success_at = now() - $1::interval`
	w.exec(move, 3*time.Hour)
	w.shows("/", "All is well: 2 customers are up to date.")
	w.exec(move, 73*time.Hour)
	w.shows("/", "Not all is well.",
		"2 customers of partner contoso were last synced long ago without failing, the stalest at ")
}

func TestPartnerThatIsNotConfigured_isOnlyNoted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.api.AddCustomer(partnercentertest.Customer{ID: alpha})
	w.pass()
	for _, sql := range []string{
		`INSERT INTO partner_center.customers (customer_id, partner, company_name, first_seen_at)
			VALUES ('` + beta + `', 'old', 'Left behind', now())`,
		`INSERT INTO partnersync.customer_state (customer_id, partner, consecutive_failures, failing_since, last_error)
			VALUES ('` + beta + `', 'old', 9, now(), 'x')`,
		`INSERT INTO partnersync.partner_state (partner) VALUES ('old')`,
		`INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, finished_at, enumerated_at, state, error)
			VALUES ('old', 'scheduled', now(), now(), now(), now(), 'failed', 'signing in: AADSTS7000215')`,
	} {
		w.exec(sql)
	}
	page := w.shows("/", "All is well: 1 customer is up to date.",
		"Partner old is not in the configuration: 1 customer of it", "Customers <b>1</b>")
	if strings.Contains(page, "Left behind") {
		t.Error("its failing customer is shown")
	}
	if _, metrics := w.get("/metrics"); strings.Contains(metrics, `partner="old"`) || !strings.Contains(metrics,
		`partner="contoso"`) {
		t.Errorf("metrics:\n%s", metrics)
	}
}

func TestOverview_overduePass(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.configured(-5 * time.Hour)
	w.shows("/", "The sync does not go on.",
		"The pass of partner contoso is overdue: no scheduled pass has ended since the partner was configured at ")
}

func TestOverview_whatIsWrongWithItsReasonAndWhatToDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.api.Fail(partnercentertest.Fault{Path: "token", Status: 401})
	w.pass()
	page := w.shows("/", "Not all is well.", "The last pass of partner contoso failed.", "401 Unauthorized",
		"partnersync check says")
	if strings.Contains(page, "does not go on") {
		t.Error("a pass that failed is taken for the end of all passes")
	}
	w.ended(-5 * time.Hour)
	w.exec(`UPDATE partnersync.runs SET finished_at = now() - interval '5 hours'`)
	w.shows("/", "The sync does not go on.", "The pass of partner contoso is overdue: the last scheduled pass ended at ")
}

// The daemon's log says it too, once.
func TestLogOverdue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	var log strings.Builder
	w.site.log = slog.New(slog.NewTextHandler(&log, nil))
	w.ended(0)
	w.site.logOverdue(t.Context())
	if log.Len() > 0 {
		t.Errorf("where all is well: %s", &log)
	}
	w.exec(`UPDATE partnersync.runs SET finished_at = now() - interval '5 hours'`)
	w.site.state = cachedFrom(w.site, func(ctx context.Context, r *report.Reader) (report.State, error) { return r.Probe().State(ctx) }) // the other one's answer is good for some seconds
	for range 2 {
		w.site.logOverdue(t.Context())
	}
	text := log.String()
	if strings.Count(text, "passes stand still") != 1 || !strings.Contains(text, "level=ERROR") ||
		!strings.Contains(text, "partner=contoso") || !strings.Contains(text, "the last scheduled pass ended at") {
		t.Errorf("it logs %s", text)
	}
}

// While nothing gets through to the database, on old connections or new ones, the sync has stopped.
func TestReadyz_databaseThatIsSilent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.ended(0)
	p := storetest.NewProxy(t, w.db.URL)
	pool, err := store.OpenPool(t.Context(), p.URL)
	w.ok(err)
	t.Cleanup(pool.Close)
	reader, err := report.NewReader(t.Context(), pool)
	w.ok(err)
	t.Cleanup(reader.Close)
	w.site.Connect(t.Context(), reader, pool)
	if status, body := w.get("/readyz"); status != http.StatusOK {
		t.Fatalf("%d: %s", status, body)
	}
	p.Silent.Store(true)
	if status, body := w.get("/readyz"); status != http.StatusServiceUnavailable ||
		body != "not ready\nstopped: database_unusable: The database cannot be used.\n" {
		t.Errorf("%d: %s", status, body)
	}
	p.Silent.Store(false)
	storetest.Eventually(t, func() (string, bool) {
		status, body := w.get("/readyz")
		return body, status == http.StatusOK
	})
}

func TestFindings_ofTheProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.site.Watch(w.runner)
	w.api.AddCustomer(partnercentertest.Customer{ID: alpha})
	tokens := w.runner.Partners[0].Tokens
	w.api.Fail(partnercentertest.Fault{Path: "token", Status: 401, Code: "invalid_client"})
	if _, err := tokens.Token(t.Context()); err == nil {
		t.Fatal("the sign-in was not refused")
	}
	w.shows("/", "The sign-in of partner contoso is refused.", "401 Unauthorized")
	if status, body := w.get("/readyz"); status != http.StatusOK ||
		body != "ready\ndegraded: sign_in_refused: The sign-in of partner contoso is refused.\n" {
		t.Errorf("/readyz: %d %s", status, body)
	}
}

func TestFindings_waitingForADatabaseThatAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	r := &sync.Runner{}
	w.site.Watch(r)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- r.Await(ctx, "contoso", func(context.Context) error { return errors.New("it is read-only: hush") })
	}()
	for _, waiting := r.Waiting(); !waiting; _, waiting = r.Waiting() {
		runtime.Gosched()
	}
	w.shows("/", "The sync does not go on.", "The database cannot be used.", "it is read-only: hush")
	if status, body := w.get("/readyz"); status != http.StatusServiceUnavailable ||
		body != "not ready\nstopped: database_unusable: The database cannot be used.\n" {
		t.Errorf("/readyz: %d %s", status, body)
	}
	w.hasLine(`partnersync_finding{endpoint="",finding="database_unusable",partner="",severity="stopped"} 1`)
	stop()
	<-done
}

func TestMetrics_oneGaugeAFinding(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.api.AddCustomer(partnercentertest.Customer{ID: alpha})
	w.api.AddCustomer(partnercentertest.Customer{ID: beta})
	w.api.Fail(partnercentertest.Fault{Path: "deviceBatches", Status: 403})
	w.pass()
	w.exec(`UPDATE partnersync.partner_settings SET endpoints = '{chat}'`)
	metrics := w.hasLine(
		`partnersync_finding{endpoint="",finding="customers_failing",partner="contoso",severity="degraded"} 2`,
		`partnersync_finding{endpoint="",finding="pass_failed",partner="contoso",severity="degraded"} 1`,
		`partnersync_finding{endpoint="",finding="pass_overdue",partner="contoso",severity="stopped"} 0`,
		`partnersync_finding{endpoint="",finding="database_unusable",partner="",severity="stopped"} 0`,
		`partnersync_finding{endpoint="chat",finding="webhook_down",partner="",severity="degraded"} 0`,
	)
	if n := strings.Count(metrics, "\npartnersync_finding{"); n != 12 {
		t.Errorf("%d gauges of findings, want 12", n)
	}
}
