package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/term"

	"partnersync/cmd/partnersync/config"
	"partnersync/migrations"
	"partnersync/store"
	"partnersync/store/localpg"
	"partnersync/store/sanitize"
)

// app is one invocation of the program: its surroundings and its flags.
type app struct {
	lookupEnv      func(string) (string, bool)
	stdin          io.Reader
	stdout, stderr io.Writer
	transport      http.RoundTripper // of the partners' requests, for tests; nil: the network's

	configPath string
	logLevel   string
	flags      syncFlags
}

// logger writes to stderr: text on a terminal, JSON elsewhere. Neither passes on what a terminal would obey: text quotes it,
// and a log of JSON is looked at on one too.
func (a *app) logger(out io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
		return nil, fmt.Errorf("--log-level %q: write debug, info, warn or error", a.logLevel)
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: readable}
	if onTerminal(a.stderr) {
		return slog.New(slog.NewTextHandler(out, options)), nil
	}
	return slog.New(slog.NewJSONHandler(sanitize.JSONWriter(out), options)), nil
}

// readable writes durations as Go does, with their unit, in JSON too, and each error on one line.
func readable(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	if err, ok := a.Value.Any().(error); ok {
		a.Value = slog.StringValue(store.OneLine(err))
	}
	return a
}

// onTerminal reports whether the stream is a terminal.
func onTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// configuration returns what load, which is config.Load or config.LoadDatabase, makes of the file, and logs its warnings.
func (a *app) configuration(log *slog.Logger, load configLoader) (*config.Config, error) {
	c, err := load(a.configPath, a.lookupEnv)
	if err != nil {
		return nil, fails(exitUsage, fmt.Errorf("the configuration cannot be used:\n%w", err))
	}
	for _, w := range c.Warnings {
		log.Warn("configuration", "warning", w)
	}
	return c, nil
}

type configLoader func(flag string, lookupEnv func(string) (string, bool)) (*config.Config, error)

// database is an open database, and the private server it is in, if any.
type database struct {
	*pgxpool.Pool
	server *localpg.Server
}

// openDatabase connects to the database, and first starts the private server if that is what database_url says.
func openDatabase(ctx context.Context, c *config.Config, log *slog.Logger) (*database, error) {
	if c.DatabaseURL.Reveal() != config.LocalDatabase {
		pool, err := store.OpenPool(ctx, c.DatabaseURL.Reveal())
		if err != nil {
			return nil, err
		}
		return &database{Pool: pool}, nil
	}
	dir, err := filepath.Abs(c.StateDir)
	if err != nil {
		return nil, fmt.Errorf("finding state_dir %s: %w", c.StateDir, err)
	}
	server, err := localpg.Start(ctx, localpg.Config{Dir: dir, Logger: log})
	if err != nil {
		return nil, err
	}
	pool, err := store.OpenPool(ctx, server.URL("postgres"))
	if err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	return &database{Pool: pool, server: server}, nil
}

// close lets the connections go, and ends the private server. A server that does not answer is not waited for.
func (d *database) close() error {
	closed := make(chan struct{})
	go func() {
		d.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(2 * time.Second):
	}
	if d.server != nil {
		return d.server.Stop()
	}
	return nil
}

// prepare brings the schema up to date, if the configuration allows it. The error wraps migrations.ErrAhead or
// migrations.ErrBehind if one of them is the reason.
func prepare(ctx context.Context, pool *pgxpool.Pool, c *config.Config, log *slog.Logger) error {
	state, err := migrations.Read(ctx, pool)
	switch {
	case err != nil:
		return err
	case !state.Behind():
		return state.Check()
	case !c.MigrateOnStart:
		return fmt.Errorf("migrate_on_start is false, and %w", state.Check())
	}
	err = migrations.Up(ctx, pool)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "42501" { // insufficient_privilege
		return fmt.Errorf("the database's user may not migrate it (%s), and %w as a user who may", e.Message, state.Check())
	}
	if err == nil {
		log.Info("schema migrated", "from", state.Version, "to", state.Newest)
	}
	return err
}
