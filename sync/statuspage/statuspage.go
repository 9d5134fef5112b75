// Package statuspage is what the daemon listens for: a status page for people, /metrics for Prometheus, and /healthz and
// /readyz for whatever keeps it running.
//
//	site := statuspage.New(statuspage.Options{Partners: partners, Metrics: registry, …})
//	go site.ListenAndServe(ctx, "127.0.0.1:9470") // before the database is there
//	…
//	site.Connect(reader)
//
// The page is plain HTML that needs no script, made from what a [store.Reader] answers. It names customers, and so it is
// shown on loopback addresses only, or to those who know a password; see [Site.Handler].
package statuspage

import (
	"context"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"partnersync/store"
	"partnersync/store/cron"
	"partnersync/sync"
	"partnersync/sync/partnercenter"
)

// Partner is a partner whose passes are watched.
type Partner struct {
	Name     string
	Schedule cron.Schedule
}

// Options are what a Site is made of.
type Options struct {
	Partners []Partner
	Version  string // of the program
	// Password lets people see the page from other machines than this one, under any user name; "": nobody.
	Password partnercenter.Secret
	// Schema tells whether the database has the schema that this release needs; nil: it is not asked.
	Schema func(context.Context, *pgxpool.Pool) error
	// Metrics are shown at /metrics; nil: there is no such page.
	Metrics prometheus.Gatherer
	Logger  *slog.Logger // nil: discard
}

// Site is what is shown. It is safe for concurrent use.
type Site struct {
	options Options
	log     *slog.Logger
	started time.Time
	pages   *template.Template
	reader  atomic.Pointer[store.Reader]
	batches *cached[store.Batches]

	troubles troubles

	expiries *cached[[]expiry] // nil: nothing is known of any
	waiting  func() (sync.Wait, bool)
}

// New returns a site that has no database yet.
func New(o Options) *Site {
	s := &Site{options: o, log: o.Logger, started: time.Now(), pages: parsePages(o.Version)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.batches = newCached(func(ctx context.Context) (store.Batches, error) {
		r, err := s.database()
		if err != nil {
			return store.Batches{}, err
		}
		return r.Batches(ctx, shownDays, shownBatches)
	})
	return s
}

// Connect gives the site its database. The reader stays the caller's to close, after all listening has ended.
func (s *Site) Connect(ctx context.Context, r *store.Reader) {
	s.reader.Store(r)
	s.Refresh(ctx)
}

// Refresh has what is dear to read read again, so that nobody has to wait for it: call it after each pass. It does not
// wait either.
func (s *Site) Refresh(ctx context.Context) { s.batches.renew(ctx) }

// errNotConnected is the error of a site that has no database yet.
var errNotConnected = errors.New("partnersync is still waiting for its database: its log says why")

func (s *Site) database() (*store.Reader, error) {
	if r := s.reader.Load(); r != nil {
		return r, nil
	}
	return nil, errNotConnected
}

// Handler returns what answers requests to an address. /healthz, /readyz and /metrics are for everybody there. The page
// is for those who know the password; if there is none, it is shown on loopback only, to requests for a loopback host.
func (s *Site) Handler(loopback bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	if s.options.Metrics != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(s.options.Metrics, promhttp.HandlerOpts{
			ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError,
		}))
	}
	page := http.NewServeMux()
	page.HandleFunc("GET /{$}", s.overview)
	page.HandleFunc("GET /customers", s.customers)
	page.HandleFunc("GET /customers/{id}", s.customer)
	page.Handle("GET /static/", staticFiles())
	page.HandleFunc("GET /", s.notFound)
	mux.Handle("GET /", s.admit(loopback, page))
	mux.HandleFunc("/", refuseMethod)
	guarded := http.Handler(mux)
	if loopback && s.options.Password == "" {
		guarded = onlyLoopbackHosts(mux)
	}
	return withHeaders(guarded)
}
