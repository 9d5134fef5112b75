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

func TestOverview_overduePass(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.site.started = time.Now().Add(-5 * time.Hour)
	w.shows("/", "Not all is well: the pass of partner contoso is overdue.")
}

func TestJudge_passThatWentWrong(t *testing.T) {
	t.Parallel()
	site := New(Options{})
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
		{"the first one goes on", []store.LastPass{{Partner: "contoso", At: now}}, well},
		{"some customers failed before", []store.LastPass{{Partner: "contoso", At: now, State: store.Partial, Customers: 3}}, well},
		{"with an error", []store.LastPass{{Partner: "contoso", State: store.Partial, Customers: 3, Error: &reason}},
			"Not all is well: the last pass of partner contoso went wrong (signing in: AADSTS7000215)."},
		{"without customers", []store.LastPass{{Partner: "contoso", State: store.Failed, Error: &reason}, {Partner: "fabrikam", State: store.Failed}},
			"Not all is well: the last pass of partner contoso went wrong (signing in: AADSTS7000215) and partner fabrikam has no customers."},
	} {
		if got := site.judge(all, c.last, now); got.Sentence != c.want {
			t.Errorf("%s: %q, want %q", c.name, got.Sentence, c.want)
		}
	}
}
