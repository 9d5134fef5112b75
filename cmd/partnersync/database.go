package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/cmd/partnersync/config"
	"partnersync/migrations"
	"partnersync/store"
	"partnersync/store/localpg"
)

// database is the configured database, opened.
type database struct {
	*pgxpool.Pool
	config *config.Config
	log    *slog.Logger
	server *localpg.Server // nil unless it is a private one
}

// withDatabase runs do with the database. No secret is needed for that but the database's own, and no configuration if
// --database-url or DATABASE_URL names the database.
func (a *app) withDatabase(ctx context.Context, do func(context.Context, *database) error) error {
	c, log, err := a.configuration(config.NeedsDatabase)
	if err != nil {
		return err
	}
	return useDatabase(ctx, c, log, do)
}

// changeDatabase is withDatabase for commands that a person has change the database: it prints which one that is.
// Where that is in doubt, --yes does not stand for a person who has read it.
func (a *app) changeDatabase(ctx context.Context, yes bool, do func(context.Context, *database) error) error {
	c, log, err := a.configuration(config.NeedsDatabase)
	switch {
	case err != nil:
		return err
	case yes && c.Database.Doubt != "":
		return fails(exitUsage, fmt.Errorf("--yes is refused: %s", c.Database.Doubt))
	}
	fmt.Fprintln(a.stdout, c.Database)
	return useDatabase(ctx, c, log, do)
}

// logDatabase says which database is used, and what names it.
func logDatabase(d config.Database, log *slog.Logger) {
	log.Info("database", "host", d.Host, "database", d.Name, "named_by", d.From)
}

// useDatabase runs do with the database, which it opens and closes.
func useDatabase(
	ctx context.Context, c *config.Config, log *slog.Logger, do func(context.Context, *database) error,
) error {
	db, err := openDatabase(ctx, c, log)
	if err != nil {
		return fails(exitFailed, err)
	}
	defer db.close()
	return fails(exitFailed, do(ctx, db))
}

// openDatabase connects to the database. If the configuration asks for a private server, it starts that first.
func openDatabase(ctx context.Context, c *config.Config, log *slog.Logger) (*database, error) {
	db := &database{config: c, log: log}
	url := c.Database.ReadURL
	if c.Database.Local() {
		dir, err := filepath.Abs(c.StateDir)
		if err != nil {
			return nil, fmt.Errorf("finding state_dir %s: %w", c.StateDir, err)
		}
		if db.server, err = localpg.Start(ctx, localpg.Config{Dir: dir, Logger: log}); err != nil {
			return nil, err
		}
		url = func() (string, error) { return db.server.URL("postgres"), nil }
	}
	var err error
	if db.Pool, err = store.OpenPoolFrom(ctx, url); err != nil {
		db.stopServer()
		return nil, err
	}
	return db, nil
}

// close closes the connections and stops the private server.
func (d *database) close() {
	store.ClosePool(d.Pool)
	d.stopServer()
}

func (d *database) stopServer() {
	if d.server == nil {
		return
	}
	if err := d.server.Stop(); err != nil {
		d.log.Warn("stopping the private server failed", "err", err)
	}
}

// newStore returns what this process reads and writes the database with.
func (d *database) newStore() *store.Store {
	return store.New(d.Pool, store.Options{Lease: d.config.Lease, Version: version(), Endpoints: endpoints(d.config)})
}

// prepare brings the schema up to date, if the configuration allows it. The error wraps migrations.ErrAhead or
// migrations.ErrBehind if one of them is the reason.
func (d *database) prepare(ctx context.Context) error {
	state, err := migrations.Read(ctx, d.Pool)
	switch {
	case err != nil:
		return err
	case !state.Behind():
		return state.Check()
	case !d.config.MigrateOnStart:
		return fmt.Errorf("migrate_on_start is false, and %w", state.Check())
	}
	err = migrations.Up(ctx, d.Pool)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "42501" { // insufficient_privilege
		return fmt.Errorf("the database's user may not migrate it (%s), and %w as a user who may",
			e.Message, state.Check())
	}
	if err == nil {
		d.log.Info("schema migrated", "from", state.Version, "to", state.Newest)
	}
	return err
}
