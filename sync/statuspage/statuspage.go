// Package statuspage is what the daemon listens for: a status page for people, /metrics for Prometheus, and /healthz
// and /readyz for whatever keeps the daemon running.
//
// The page is plain HTML that needs no script, made from what a [report.Reader] reads. It names customers, so it is
// shown only on loopback addresses, or to those who know a password; see [Site.Handler].
package statuspage

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	stdsync "sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"partnersync/store/report"
	"partnersync/sync"
	"partnersync/sync/partnercenter"
)

// Options are what a Site is made of.
type Options struct {
	Version string // of the program
	// Password lets people see the page from other machines, under any user name; "": nobody does.
	Password partnercenter.Secret
	PageURL  string // where people see the page, such as behind a proxy; "": by a loopback host
	// Schema returns an error if the database does not have the schema that this release needs; nil: that is not
	// checked.
	Schema func(context.Context, *pgxpool.Pool) error
	// Metrics are shown at /metrics; nil: there is no such page.
	Metrics prometheus.Gatherer
	Logger  *slog.Logger // nil: discard
}

// Site is what is shown. It is safe for concurrent use.
type Site struct {
	options Options
	log     *slog.Logger
	pages   *template.Template
	reader  atomic.Pointer[report.Reader]
	watched atomic.Pointer[pgxpool.Pool] // the sync's
	reached *cached[string]              // what is wrong with the schema
	state   *cached[report.State]        // for whoever may ask often
	batches *cached[report.Batches]

	runner      *sync.Runner          // nil: there is none to watch
	credentials *cached[[]credential] // nil likewise

	mu     stdsync.Mutex
	warned map[string]time.Time // when each warning was last due
}

// New returns a site that has no database yet.
func New(o Options) *Site {
	s := &Site{options: o, log: o.Logger, pages: parsePages(o.Version), warned: map[string]time.Time{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	// The two are all that uses the probe's connections, of which there are two.
	s.reached = cachedFrom(s, func(ctx context.Context, r *report.Reader) (string, error) {
		return s.reach(ctx, r.Probe())
	})
	s.reached.fresh = true
	s.state = cachedFrom(s, func(ctx context.Context, r *report.Reader) (report.State, error) {
		return r.Probe().State(ctx)
	})
	s.batches = cachedFrom(s, func(ctx context.Context, r *report.Reader) (report.Batches, error) {
		return r.Batches(ctx, shownDays, shownBatches)
	})
	return s
}

// Connect gives the site its database, and the pool of the sync, whose use is among the metrics. The caller closes the
// reader after all listening has ended.
func (s *Site) Connect(ctx context.Context, r *report.Reader, watched *pgxpool.Pool) {
	s.reader.Store(r)
	s.watched.Store(watched)
	s.Refresh(ctx)
}

// Refresh starts reading anew what takes long to read, so that nobody has to wait for it. Call it after each pass.
func (s *Site) Refresh(ctx context.Context) { s.batches.renew(ctx) }

// errNotConnected is the error of a site that has no database yet.
var errNotConnected = errors.New("partnersync is still waiting for its database: its log says why")

func (s *Site) database() (*report.Reader, error) {
	if r := s.reader.Load(); r != nil {
		return r, nil
	}
	return nil, errNotConnected
}

// Handler returns the handler of an address. /healthz, /readyz and /metrics are for everybody who can reach it. The
// page is for those who know the password, on loopback by a host of this machine or of Options.PageURL; if there is
// none, it is shown on loopback only, to requests for a loopback host that no proxy has passed on.
func (s *Site) Handler(loopback bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	if s.options.Metrics != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(s.options.Metrics, promhttp.HandlerOpts{
			ErrorLog: scrapeLog{s}, ErrorHandling: promhttp.ContinueOnError,
		}))
	}
	page := http.NewServeMux()
	page.HandleFunc("GET /{$}", s.overview)
	page.HandleFunc("GET /customers", s.customers)
	page.HandleFunc("GET /customers/{id}", s.customer)
	page.Handle("GET /static/", staticFiles())
	page.HandleFunc("GET /", s.notFound)
	mux.HandleFunc("/", refuseMethod)
	if s.options.Password != "" {
		mux.Handle("GET /", s.withPassword(loopback, page))
		return withHeaders(mux)
	}
	mux.Handle("GET /", onlyHere(loopback, page))
	if loopback {
		return withHeaders(onlyLoopbackHosts(mux))
	}
	return withHeaders(mux)
}

// settledAfter is for how long a warning must not have been due before it is logged again.
const settledAfter = 5 * time.Minute

// warn logs what goes wrong whenever somebody asks, but only when that begins: pages that are watched ask every few
// seconds, and so does Prometheus. attrs tell warnings apart, and have few values.
func (s *Site) warn(msg string, err error, attrs ...any) {
	s.logBeginning(slog.LevelWarn, msg, err, attrs...)
}

func (s *Site) logBeginning(level slog.Level, msg string, err error, attrs ...any) {
	s.mu.Lock()
	now, key := time.Now(), fmt.Sprint(msg, attrs)
	last := s.warned[key] // zero: never
	s.warned[key] = now
	s.mu.Unlock()
	if now.Sub(last) > settledAfter {
		s.log.Log(context.Background(), level, msg, append(attrs, "err", err)...)
	}
}
