package statuspage

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"partnersync/store"
	"partnersync/store/cron"
	"partnersync/store/report"
	"partnersync/store/storetest"
	"partnersync/sync"
	"partnersync/sync/partnercenter"
	"partnersync/sync/partnercenter/partnercentertest"
	"partnersync/sync/passtest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// Customers of the tests.
const (
	alpha = "00000000-0000-4000-8000-000000000001"
	beta  = "00000000-0000-4000-8000-000000000002"
)

// world is the emulated API, a database, a runner between the two, and a site that shows it all.
type world struct {
	t        *testing.T
	api      *partnercentertest.Emulator
	runner   *sync.Runner
	db       *storetest.DB
	registry *prometheus.Registry
	site     *Site
	url      string // of the site
}

func newWorld(t *testing.T, o Options) *world {
	t.Helper()
	passes := passtest.New(t, partnercentertest.Options{})
	w := &world{t: t, api: passes.API, db: passes.DB, registry: prometheus.NewRegistry()}
	metrics := NewMetrics(w.registry, "1.2")
	partner := w.partner(passes.URL, metrics)
	w.runner = &sync.Runner{
		Store: store.New(w.db.Pool, store.Options{}), Partners: []sync.Partner{partner}, OnRun: metrics.Run,
		OnClaimsLost: metrics.ClaimsLost,
	}
	o.Version, o.Metrics, o.Logger = "1.2", w.registry, slog.New(slog.NewTextHandler(t.Output(), nil))
	w.ok(w.runner.Store.WritePartnerSettings(t.Context(),
		[]store.PartnerSettings{{Partner: "contoso", Schedule: "@every 1h", Timezone: "UTC"}}))
	w.site = New(o)
	w.site.batches.minAge = 0
	w.registry.MustRegister(w.site.Collector(true))
	reader, err := report.NewReader(t.Context(), w.db.Pool)
	w.ok(err)
	t.Cleanup(reader.Close)
	w.site.Connect(t.Context(), reader, w.db.Pool)
	page := httptest.NewServer(w.site.Handler(true))
	t.Cleanup(page.Close)
	w.url = page.URL
	return w
}

func (w *world) partner(url string, m *Metrics) sync.Partner {
	w.t.Helper()
	limiter := partnercenter.NewLimiter(0)
	client, tokens := passtest.Client(w.t, partnercenter.Options{
		BaseURL: url, Limiter: limiter, Transport: m.Transport("contoso"),
	})
	m.Watch("contoso", limiter, tokens)
	schedule, err := cron.Parse("@every 1h", time.UTC)
	w.ok(err)
	return sync.Partner{Name: "contoso", Client: client, Limiter: limiter, Tokens: tokens, Schedule: schedule,
		Concurrency: 2}
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) put(customerID, batchID, status string) {
	w.api.PutBatch(customerID, partnercentertest.Batch{ID: batchID, Status: status, DevicesCount: 5})
}

// exec changes the database behind the program's back.
func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	_, err := w.db.Pool.Exec(w.t.Context(), sql, args...)
	w.ok(err)
}

// configured moves the time when the partner was configured so far.
func (w *world) configured(ago time.Duration) {
	w.t.Helper()
	w.exec(`UPDATE partnersync.partner_settings SET configured_at = now() + $1::interval`, ago)
}

// pass makes one pass.
func (w *world) pass() {
	w.t.Helper()
	_, err := w.runner.Once(w.t.Context(), sync.Request{Kind: store.Once})
	w.ok(err)
}

// get returns what the site answers.
func (w *world) get(path string) (status int, body string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.url+path, nil)
	w.ok(err)
	resp, err := http.DefaultClient.Do(req)
	w.ok(err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	w.ok(err)
	return resp.StatusCode, string(data)
}

// shows fails the test if the page lacks any of the texts.
func (w *world) shows(path string, texts ...string) (page string) {
	w.t.Helper()
	status, page := w.get(path)
	if status != http.StatusOK {
		w.t.Fatalf("GET %s: %d: %s", path, status, page)
	}
	for _, text := range texts {
		if !strings.Contains(page, text) {
			w.t.Errorf("GET %s: there is no %q in\n%s", path, text, page)
		}
	}
	return page
}

// settled waits until the batches have been read since the last change: what is shown may be older by a moment.
func (w *world) settled() {
	w.t.Helper()
	for range 2 { // a reading that goes on may have begun before the change
		if reading := w.site.batches.renew(w.t.Context()); reading != nil {
			<-reading
		}
		w.site.batches.mu.Lock()
		w.site.batches.took = 0
		w.site.batches.mu.Unlock()
	}
}
