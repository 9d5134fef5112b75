package statuspage

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"partnersync/store"
	"partnersync/store/storetest"
	"partnersync/sync"
	"partnersync/sync/partnercenter"
	"partnersync/sync/partnercenter/partnercentertest"
	"partnersync/sync/printable"
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
	w := &world{t: t, api: partnercentertest.New(partnercentertest.Options{}), db: storetest.New(t), registry: prometheus.NewRegistry()}
	server := httptest.NewServer(w.api)
	t.Cleanup(server.Close)
	metrics := NewMetrics(w.registry, "1.2")
	partner := w.partner(server.URL, metrics)
	w.runner = &sync.Runner{
		Store: store.New(w.db.Pool, store.Options{}), Partners: []sync.Partner{partner}, OnRun: metrics.Run, OnClaimsLost: metrics.ClaimsLost,
	}
	o.Version, o.Metrics, o.Logger = "1.2", w.registry, slog.New(slog.NewTextHandler(t.Output(), nil))
	o.Partners = []Partner{{"contoso", partner.Schedule}}
	w.site = New(o)
	w.site.batches.least = 0
	w.registry.MustRegister(w.site.Collector(true))
	reader, err := store.NewReader(t.Context(), w.db.Pool)
	w.ok(err)
	t.Cleanup(reader.Close)
	w.site.Connect(t.Context(), reader)
	page := httptest.NewServer(w.site.Handler(true))
	t.Cleanup(page.Close)
	w.url = page.URL
	return w
}

func (w *world) partner(url string, m *Metrics) sync.Partner {
	w.t.Helper()
	tokens, err := partnercenter.NewTokenSource(partnercenter.Credentials{
		AuthorityURL: url, TenantID: partnercentertest.DefaultTenantID, ClientID: partnercentertest.DefaultClientID,
		ClientSecret: partnercentertest.DefaultClientSecret, Scope: "https://api.partnercenter.microsoft.com/.default",
	}, partnercenter.TokenOptions{Transport: m.Transport("contoso")})
	w.ok(err)
	gate := partnercenter.NewGate(0)
	m.Watch("contoso", gate, tokens)
	client, err := partnercenter.New(partnercenter.Options{BaseURL: url, Tokens: tokens, Gate: gate, Transport: m.Transport("contoso")})
	w.ok(err)
	schedule, err := sync.ParseSchedule("@every 1h", time.UTC)
	w.ok(err)
	return sync.Partner{Name: "contoso", Client: client, Gate: gate, Schedule: schedule, Concurrency: 2}
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

func TestOverview_ofNoPassYet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.shows("/", "No pass has found any customers yet.", "There were none.", "None of late.")
}

func TestOverview_batchMovesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.api.AddCustomer(partnercentertest.Customer{ID: alpha, CompanyName: "Contoso Bakery"})
	w.put(alpha, "Sales laptops", "processing")
	w.pass()
	w.settled()
	w.shows("/", "All is well: 1 customer is up to date.", "<li>Unfinished <b>1</b></li>", "Sales laptops", "Contoso Bakery")
	w.put(alpha, "Sales laptops", "finished")
	w.pass()
	w.settled()
	w.shows("/", "<li>Unfinished <b>0</b></li>", `<span class="badge s-processing">processing</span><span class="arrow"> to </span><span class="badge s-finished">finished</span>`)
	w.shows("/customers/"+alpha, "Sales laptops", `<span class="badge s-finished">finished</span>`, "2 versions", "<bdi>processing</bdi> <b>", "<bdi>finished</bdi> <b>for ")
}

func TestOverview_failingCustomerTurnsUpWithTheReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.api.AddCustomer(partnercentertest.Customer{ID: alpha, CompanyName: "Contoso Bakery"})
	w.api.AddCustomer(partnercentertest.Customer{ID: beta, CompanyName: "Fabrikam"})
	w.pass()
	w.api.Fail(partnercentertest.Fault{Path: beta, Status: 403, Code: "20002", Description: "No relationship with the customer."})
	w.pass()
	for _, path := range []string{"/", "/customers", "/customers?show=failing", "/customers/" + beta} {
		w.shows(path, "Fabrikam", "20002", "No relationship with the customer.", "Request id", "Correlation id")
	}
	w.shows("/", "Not all is well: 1 of 2 customers is failing.")
	if page := w.shows("/customers?show=failing"); strings.Contains(page, "Contoso Bakery") {
		t.Error("the customer that does not fail is among the failing ones")
	}
	w.api.ClearFaults()
	w.pass()
	w.shows("/", "All is well: 2 customers are up to date.")
}

func TestPages_hostileTextsAreText(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	hostile := []string{"<script>alert(1)</script>", `"><img src=x onerror=alert(2)>`, "'-->]]></title></svg>{{.}}", "\u202e\ufeffgone", "\x1b[31m\u009b2J\u2067אבג"}
	w.api.AddCustomer(partnercentertest.Customer{ID: alpha, CompanyName: hostile[0], Domain: hostile[1]})
	w.api.AddCustomer(partnercentertest.Customer{ID: beta, CompanyName: hostile[1]})
	for _, name := range hostile {
		w.put(alpha, name, name)
	}
	w.api.Fail(partnercentertest.Fault{Path: beta, Status: 403, Code: hostile[0], Description: hostile[2]})
	w.pass()
	w.put(alpha, hostile[0], hostile[1])
	w.pass()
	w.settled()
	for _, path := range []string{
		"/", "/customers", "/customers?q=%3Cscript%3E", "/customers/" + alpha, "/customers/" + beta,
		"/customers/" + alpha + "?q=%3Cb%3E%C2%9B2J%E2%80%AE%1B",
		"/customers/" + alpha + "?q=%22%3E%3Cimg%20src%3Dx", "/customers?q=%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E",
	} {
		page := w.shows(path, "&lt;")
		if i := strings.IndexFunc(page, func(r rune) bool { return !printable.Is(r) }); i >= 0 {
			t.Errorf("GET %s: not printable from %q on", path, page[i:])
		}
		for _, raw := range []string{"<script>alert", "<img", "--><", "]]><"} {
			if strings.Contains(page, raw) {
				t.Errorf("GET %s: %s is not escaped", path, raw)
			}
		}
	}
}

func TestCustomers_pages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	_, err := w.db.Pool.Exec(t.Context(), `INSERT INTO partner_center.customers (customer_id, partner, company_name, first_seen_at)
		SELECT md5('c' || n)::uuid, 'contoso', 'Company ' || to_char(n, 'FM000'), now() FROM generate_series(1, 120) n`)
	w.ok(err)
	w.shows("/customers?order=name", "120 customers", "Page 1 of 3", "Company 050", `href="/customers?order=name&amp;page=2"`)
	w.shows("/customers?order=name&page=3", "Page 3 of 3", "Company 101", "Company 120")
	w.shows("/customers?q=company+07", "10 customers", "Company 077")
	w.shows("/customers?q=nobody", "No customer was found.")
	for _, odd := range []string{"?page=0", "?page=-1", "?page=x", "?page=99999999999999999999", "?q=%00%ff", "?order=x&show=y", "?q=" + strings.Repeat("x", 5000)} {
		w.shows("/customers" + odd)
	}
}

func TestCustomer_withManyBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.api.AddCustomer(partnercentertest.Customer{ID: alpha})
	for _, c := range "abcdefghijklmnopqrstuvw" {
		w.put(alpha, "Batch "+string(c), "queued")
	}
	w.pass()
	w.shows("/customers/"+alpha, "23 batches", "Page 1 of 2", "<h1><bdi>"+alpha+"</bdi></h1>")
	w.shows("/customers/"+strings.ToUpper(alpha)+"?page=2", "Batch w")
	w.shows("/customers/"+alpha+"?q=H+C", "1 batch,")
	w.shows("/customers/"+alpha+"?q=none", "No batch of that name was found.")
	for path, want := range map[string]int{"/customers/" + beta: 404, "/customers/x": 404, "/nothing": 404, "/static/": 404, "/static/style.css": 200} {
		if status, _ := w.get(path); status != want {
			t.Errorf("GET %s: %d, want %d", path, status, want)
		}
	}
}

func TestPages_withoutTheDatabase(t *testing.T) {
	t.Parallel()
	site := New(Options{})
	w := &world{t: t, site: site}
	server := httptest.NewServer(site.Handler(true))
	t.Cleanup(server.Close)
	w.url = server.URL
	for _, path := range []string{"/", "/customers", "/customers/" + alpha} {
		if status, page := w.get(path); status != 503 || !strings.Contains(page, "still waiting for its database") {
			t.Errorf("GET %s: %d: %s", path, status, page)
		}
	}
	broken := newWorld(t, Options{})
	broken.site.reader.Load().Close()
	for _, path := range []string{"/", "/customers", "/customers/" + alpha} {
		if status, page := broken.get(path); status != 503 || !strings.Contains(page, "The database does not answer.") {
			t.Errorf("GET %s: %d: %s", path, status, page)
		}
	}
}

func TestPages_refreshOnRequestOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	if page := w.shows("/customers?q=a", `href="/customers?q=a&amp;watch"`); strings.Contains(page, "http-equiv") {
		t.Error("the page refreshes unasked")
	}
	w.shows("/customers?q=a&watch", `<meta http-equiv="refresh" content="5">`, `href="/customers?q=a"`)
	w.shows("/", `href="/?watch"`)
}

func TestOverview_withoutTheBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.site.batches = newCached(func(context.Context) (store.Batches, error) { return store.Batches{}, errors.New("statement timeout") })
	if page := w.shows("/", "The batches are still being read, or cannot be"); strings.Contains(page, "statement timeout") {
		t.Error("the page shows what the database said")
	}
}

func TestSite_saysWhatTheDaemonWaitsFor(t *testing.T) {
	t.Parallel()
	site, r := New(Options{}), &sync.Runner{}
	site.Watch(r)
	ctx, stop := context.WithCancel(t.Context())
	failed, done := make(chan bool, 1), make(chan error, 1)
	go func() {
		done <- r.Await(ctx, "start", func(context.Context) error {
			select {
			case failed <- true:
			default:
			}
			return errors.New("dial tcp: <no route>")
		})
	}()
	<-failed
	page := httptest.NewRecorder()
	for _, waiting := r.Waiting(); !waiting; _, waiting = r.Waiting() {
		runtime.Gosched() // it is told right after the failure
	}
	site.Handler(true).ServeHTTP(page, httptest.NewRequest(http.MethodGet, "http://127.0.0.1/", nil))
	stop()
	<-done
	if body := page.Body.String(); page.Code != 503 || !strings.Contains(body, "waits for its database since") || !strings.Contains(body, "&lt;no route&gt;") {
		t.Errorf("%d %s", page.Code, body)
	}
}
