package statuspage

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"partnersync/store/report"
	"partnersync/store/sanitize"
	"partnersync/sync"
	"partnersync/sync/partnercenter/partnercentertest"
)

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
	w.shows("/", "All is well: 1 customer is up to date.", "<li>Unfinished <b>1</b></li>", "Sales laptops",
		"Contoso Bakery")
	w.put(alpha, "Sales laptops", "finished")
	w.pass()
	w.settled()
	w.shows("/", "<li>Unfinished <b>0</b></li>",
		`<span class="badge s-processing">processing</span><span class="arrow"> to </span>`+
			`<span class="badge s-finished">finished</span>`)
	w.shows("/customers/"+alpha, "Sales laptops", `<span class="badge s-finished">finished</span>`, "2 versions",
		"<bdi>processing</bdi> <b>", "<bdi>finished</bdi> <b>for ")
}

func TestOverview_failingCustomerTurnsUpWithTheReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.api.AddCustomer(partnercentertest.Customer{ID: alpha, CompanyName: "Contoso Bakery"})
	w.api.AddCustomer(partnercentertest.Customer{ID: beta, CompanyName: "Fabrikam"})
	w.pass()
	w.api.Fail(partnercentertest.Fault{Path: beta, Status: 403, Code: "20002",
		Description: "No relationship with the customer."})
	w.pass()
	for _, path := range []string{"/", "/customers", "/customers?show=failing", "/customers/" + beta} {
		w.shows(path, "Fabrikam", "20002", "No relationship with the customer.", "Request id", "Correlation id")
	}
	w.shows("/", "Not all is well.", "1 of 2 customers of partner contoso is failing.")
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
	hostile := []string{"<script>alert(1)</script>", `"><img src=x onerror=alert(2)>`, "'-->]]></title></svg>{{.}}",
		"\u202e\ufeffgone", "\x1b[31m\u009b2J\u2067אבג"}
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
		if i := strings.IndexFunc(page, func(r rune) bool { return !sanitize.Printable(r) }); i >= 0 {
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
	_, err := w.db.Pool.Exec(t.Context(),
		`INSERT INTO partner_center.customers (customer_id, partner, company_name, first_seen_at)
		SELECT md5('c' || n)::uuid, 'contoso', 'Company ' || to_char(n, 'FM000'), now() FROM generate_series(1, 120) n`)
	w.ok(err)
	w.shows("/customers?order=name", "120 customers", "Page 1 of 3", "Company 050",
		`href="?order=name&amp;page=2"`)
	w.shows("/customers?order=name&page=3", "Page 3 of 3", "Company 101", "Company 120")
	w.shows("/customers?q=company+07", "10 customers", "Company 077")
	w.shows("/customers?q=nobody", "No customer was found.")
	for _, odd := range []string{"?page=0", "?page=-1", "?page=x", "?page=99999999999999999999", "?q=%00%ff",
		"?order=x&show=y", "?q=" + strings.Repeat("x", 5000)} {
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
	for path, want := range map[string]int{"/customers/" + beta: 404, "/customers/x": 404, "/nothing": 404,
		"/static/": 404, "/static/style.css": 200} {
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
	if page := w.shows("/customers?q=a", `href="?q=a&amp;watch"`); strings.Contains(page, "http-equiv") {
		t.Error("the page refreshes unasked")
	}
	w.shows("/customers?q=a&watch", `<meta http-equiv="refresh" content="5">`, `href="?q=a"`)
	w.shows("/", `href="?watch"`)
}

func TestOverview_withoutTheBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.site.batches = newCached(func(context.Context) (report.Batches, error) {
		return report.Batches{}, errors.New("statement timeout")
	})
	if page := w.shows("/", "The batches are still being read, or cannot be"); strings.Contains(page,
		"statement timeout") {
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
	if body := page.Body.String(); page.Code != 503 || !strings.Contains(body,
		"has been waiting for its database since") || !strings.Contains(body, "&lt;no route&gt;") {
		t.Errorf("%d %s", page.Code, body)
	}
}
