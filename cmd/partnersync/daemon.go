package main

import (
	"context"
	"errors"
	"log/slog"

	"partnersync/cmd/partnersync/config"
	"partnersync/migrations"
	"partnersync/store"
	"partnersync/sync"
)

// daemon makes passes until ctx is done. It waits for a database that cannot be used, and for a schema that somebody
// else has to migrate; a schema of a newer release is the one thing it cannot wait for.
func (a *app) daemon(ctx context.Context, c *config.Config, log *slog.Logger) error {
	log.Info("partnersync starts", "version", version(), "partners", len(c.Partners), "schedule", c.Schedule.String(), "timezone", c.Timezone.String())
	l := newListening(c, log)
	r, err := a.newRunner(c, l.metrics, log)
	if err != nil {
		return fails(exitUsage, err)
	}
	l.site.Watch(r)
	l.start(ctx, c.Listen)
	defer l.stop()
	defer notifySystemd(ctx, log)()
	db, err := waitForDatabase(ctx, r, c, log)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // stopped while waiting
	case err != nil:
		return fails(exitFailed, err)
	}
	connect(r, newStore(c, db))
	if err := l.connect(ctx, db.Pool); err != nil {
		return errors.Join(fails(exitFailed, err), db.close())
	}
	stopSending := startSending(ctx, newSender(c, r.Store, l.metrics, log))
	r.OnRun = func(run store.Run) { l.passed(ctx, run) }
	err = r.Run(ctx)
	stopSending()
	l.stop()
	if closed := db.close(); closed != nil {
		log.Warn("closing the database failed", "err", closed)
	}
	log.Info("partnersync stops")
	return fails(exitFailed, err)
}

// waitForDatabase returns the database once it is there and its schema is up to date.
func waitForDatabase(ctx context.Context, r *sync.Runner, c *config.Config, log *slog.Logger) (db *database, err error) {
	var ahead error
	err = r.Await(ctx, "start", func(ctx context.Context) error {
		if db == nil {
			if db, err = openDatabase(ctx, c, log); err != nil {
				return err
			}
		}
		err := prepare(ctx, db.Pool, c, log)
		if errors.Is(err, migrations.ErrAhead) {
			ahead = err
			return nil
		}
		return err
	})
	if err = errors.Join(ahead, err); err != nil && db != nil {
		err = errors.Join(err, db.close())
	}
	return db, err
}
