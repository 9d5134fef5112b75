package sync

import (
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/store"
	"partnersync/store/storetest"
)

// through returns the world as a worker sees it whose connections go through the proxy. limit is how long it waits for
// a statement; 0: as long as the daemon.
func (w *world) through(p *storetest.Proxy, o store.Options, limit time.Duration) *world {
	w.t.Helper()
	pool, err := store.OpenPool(w.t.Context(), p.URL)
	w.ok(err)
	w.t.Cleanup(pool.Close)
	if limit > 0 {
		config := pool.Config()
		config.ConnConfig.Tracer = store.TimeLimit(limit)
		pool, err = pgxpool.NewWithConfig(w.t.Context(), config)
		w.ok(err)
		w.t.Cleanup(pool.Close)
	}
	other := *w
	other.store = store.New(pool, o)
	return &other
}
