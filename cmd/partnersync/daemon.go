package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"partnersync/migrations"
)

// daemon makes passes until ctx is done. It waits for a database that cannot be used, and for a schema that somebody
// else has to migrate; a schema of a newer release is the one thing it cannot wait for.
func (a *app) daemon(ctx context.Context, c *config, log *slog.Logger) error {
	log.Info("partnersync starts", "version", version(), "partners", len(c.Partners), "schedule", c.Schedule.String(), "timezone", c.Timezone.String())
	defer newNotifier(a.lookupEnv).start(ctx, log)()
	db, err := waitForDatabase(ctx, c, log)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // stopped while waiting
	case err != nil:
		return fails(exitFailed, err)
	}
	r, err := newRunner(c, db, log)
	if err != nil {
		return errors.Join(fails(exitUsage, err), db.close())
	}
	err = r.Run(ctx)
	if closed := db.close(); closed != nil {
		log.Warn("closing the database failed", "err", closed)
	}
	log.Info("partnersync stops")
	return fails(exitFailed, err)
}

// waitForDatabase returns the database once it is there and its schema is up to date.
func waitForDatabase(ctx context.Context, c *config, log *slog.Logger) (*database, error) {
	var db *database
	reason := ""
	for pause := time.Second; ; pause = min(2*pause, 30*time.Second) {
		var err error
		if db == nil {
			db, err = openDatabase(ctx, c, log)
		}
		if err == nil {
			err = prepare(ctx, db.Pool, c, log)
		}
		switch {
		case err == nil:
			return db, nil
		case errors.Is(err, migrations.ErrAhead):
			return nil, errors.Join(err, db.close())
		case ctx.Err() != nil && db == nil:
			return nil, err
		case ctx.Err() != nil:
			return nil, errors.Join(err, db.close())
		}
		if err.Error() != reason {
			reason = err.Error()
			log.Error("waiting for the database", "err", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}
