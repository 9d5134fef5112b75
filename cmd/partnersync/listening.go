package main

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"partnersync/cmd/partnersync/config"
	"partnersync/migrations"
	"partnersync/store"
	"partnersync/sync/statuspage"
)

// listening is the daemon's status page with all that goes with it. It is there before the database is.
type listening struct {
	site    *statuspage.Site
	metrics *statuspage.Metrics
	cancel  context.CancelFunc
	ended   chan struct{}
	reader  *store.Reader // nil until connect
}

// newListening returns what there is to listen for.
func newListening(c *config.Config, log *slog.Logger) *listening {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	l := &listening{metrics: statuspage.NewMetrics(registry, version())}
	l.site = statuspage.New(statuspage.Options{
		Partners: watched(c), Version: version(), Password: c.StatusPagePassword, Metrics: registry, Logger: log, Schema: migrations.Require,
	})
	registry.MustRegister(l.site.Collector(c.CustomerMetrics))
	return l
}

// watched are the partners whose passes are looked at; nil where there is no configuration file.
func watched(c *config.Config) (all []statuspage.Partner) {
	for _, p := range c.Partners {
		all = append(all, statuspage.Partner{Name: p.Name, Schedule: p.Schedule})
	}
	return all
}

// start listens at the address, until stop; an empty one is none.
func (l *listening) start(ctx context.Context, address string) {
	l.serve(ctx, func(ctx context.Context) {
		if address != "" {
			l.site.ListenAndServe(ctx, address)
		}
	})
}

// serve runs do until stop.
func (l *listening) serve(ctx context.Context, do func(context.Context)) {
	ctx, l.cancel = context.WithCancel(ctx)
	l.ended = make(chan struct{})
	go func() {
		defer close(l.ended)
		do(ctx)
	}()
}

// connect gives what is listened for its database.
func (l *listening) connect(ctx context.Context, pool *pgxpool.Pool) (err error) {
	if l.reader, err = store.NewReader(ctx, pool); err != nil {
		return err
	}
	l.site.Connect(ctx, l.reader)
	return nil
}

// passed is told of a run that is over.
func (l *listening) passed(ctx context.Context, run store.Run) {
	l.metrics.Run(run)
	l.site.Refresh(ctx)
}

// stop ends the listening, and lets the connections go. It may be called twice.
func (l *listening) stop() {
	l.cancel()
	<-l.ended
	if l.reader != nil {
		l.reader.Close()
	}
}
