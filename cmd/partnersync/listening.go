package main

import (
	"context"
	"log/slog"
	stdsync "sync"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"partnersync/cmd/partnersync/config"
	"partnersync/migrations"
	"partnersync/store"
	"partnersync/store/report"
	"partnersync/sync/statuspage"
)

// listening is the daemon's status page and its metrics. They are there before the database is.
type listening struct {
	site    *statuspage.Site
	metrics *statuspage.Metrics
	reader  *report.Reader // nil until connect

	stopServing func()
}

// newListening returns the page and the metrics of a configuration, without their database.
func newListening(c *config.Config, log *slog.Logger) *listening {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	l := &listening{metrics: statuspage.NewMetrics(registry, version())}
	l.site = statuspage.New(statuspage.Options{
		Version: version(), Password: c.StatusPagePassword, PageURL: c.PageURL, Metrics: registry, Logger: log,
		Schema: migrations.Require,
	})
	registry.MustRegister(l.site.Collector(c.CustomerMetrics))
	return l
}

// start listens at the address, and logs when passes stand still, until stop; an empty address is none.
func (l *listening) start(ctx context.Context, address string) {
	l.stopServing = inBackground(ctx, func(ctx context.Context) {
		var g stdsync.WaitGroup
		g.Go(func() { l.site.LogOverdue(ctx) })
		if address != "" {
			l.site.ListenAndServe(ctx, address)
		}
		g.Wait()
	})
}

// connect gives the page and the metrics their database.
func (l *listening) connect(ctx context.Context, pool *pgxpool.Pool) (err error) {
	if l.reader, err = report.NewReader(ctx, pool); err != nil {
		return err
	}
	l.site.Connect(ctx, l.reader, pool)
	return nil
}

// passed counts a run that is over, and has the page read the batches anew.
func (l *listening) passed(ctx context.Context, run store.Run) {
	l.metrics.Run(run)
	l.site.Refresh(ctx)
}

// stop ends the listening and closes the reader's connections. It may be called twice.
func (l *listening) stop() {
	l.stopServing()
	if l.reader != nil {
		l.reader.Close()
	}
}
