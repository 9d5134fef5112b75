package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"partnersync/cmd/partnersync/config"
	"partnersync/migrations"
	"partnersync/store"
	"partnersync/sync"
)

// daemon makes passes until ctx is done. It waits for a database that cannot be used, and for a schema that somebody
// else has to migrate. It cannot wait for an older release if the schema is of a newer one: that is an error.
func (a *app) daemon(ctx context.Context, c *config.Config, log *slog.Logger) error {
	log.Info("partnersync starts", "version", version(), "partners", len(c.Partners),
		"schedule", c.Schedule.String(), "timezone", c.Timezone.String())
	l := newListening(c, log)
	r, err := a.newRunner(c, l.metrics, log)
	if err != nil {
		return fails(exitUsage, err)
	}
	l.site.Watch(r)
	l.start(ctx, c.Listen)
	defer l.stop()
	defer notifySystemd(ctx, log)()
	defer surviveHangups(log)()
	db, err := waitForDatabase(ctx, r, c, log)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // stopped while waiting
	case err != nil:
		return fails(exitFailed, err)
	}
	defer db.close()
	connect(r, db.newStore())
	if err := l.connect(ctx, db.Pool); err != nil {
		return fails(exitFailed, err)
	}
	stopSending := inBackground(ctx, newSender(c, r.Store, l.metrics, log).Run)
	r.OnRun = func(run store.Run) { l.passed(ctx, run) }
	err = r.Run(ctx)
	stopSending()
	l.stop() // before the database is closed, which it reads
	log.Info("partnersync stops")
	return fails(exitFailed, err)
}

// surviveHangups has a SIGHUP logged, which would end the program without a word: others reload their configuration
// then. The stop that it returns ends that.
func surviveHangups(log *slog.Logger) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	return inBackground(context.Background(), func(ctx context.Context) {
		defer signal.Stop(hangups)
		for {
			select {
			case <-hangups:
				log.Warn("SIGHUP changes nothing: a new configuration takes a restart, new secrets in files do not")
			case <-ctx.Done():
				return
			}
		}
	})
}

// waitForDatabase returns the database once it answers and its schema is up to date.
func waitForDatabase(ctx context.Context, r *sync.Runner, c *config.Config, log *slog.Logger) (*database, error) {
	var db *database
	var ahead error // which ends the waiting
	err := r.Await(ctx, "start", func(ctx context.Context) (err error) {
		if db == nil {
			if db, err = openDatabase(ctx, c, log); err != nil {
				return err
			}
		}
		if err = db.prepare(ctx); errors.Is(err, migrations.ErrAhead) {
			ahead, err = err, nil
		}
		return err
	})
	if err = errors.Join(ahead, err); err != nil && db != nil {
		db.close()
	}
	return db, err
}
