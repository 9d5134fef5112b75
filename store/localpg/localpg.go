// Package localpg runs a private PostgreSQL server from the binaries on the machine: for the demo, for tests, and for
// trying the program out. It listens on a Unix socket in a directory of its own, so that it needs neither a port nor a
// password and any number of servers run side by side.
//
//	srv, err := localpg.Start(ctx, localpg.Config{})
//	if err != nil {
//		return err
//	}
//	defer srv.Stop()
//	pool, err := pgxpool.New(ctx, srv.URL("postgres"))
//
// The server ends with the process that started it, even if that one is killed; where the system offers no way to do
// that (anything but Linux), the next Start stops what was left.
package localpg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// startTimeout bounds a Start whatever its context allows: a first start takes under a second, a recovery a few.
const startTimeout = time.Minute

// Config says where the server keeps its data and how it runs. The zero value is a server in a fresh temporary
// directory, which Stop removes.
type Config struct {
	// Dir holds the server's data, socket and log, and is made if missing; "" is a fresh temporary directory.
	Dir string
	// Settings are further settings, named as in postgresql.conf, such as fsync: "off". They hold for this run only.
	Settings map[string]string
	// Port is a TCP port to listen on as well, on the loopback interface only; 0 is none. Connections over TCP need a
	// password, and the role postgres has none until the caller sets it.
	Port int
	// Logger gets the little there is to say; nil discards it. The server's own log is the file postgres.log in Dir.
	Logger *slog.Logger
}

// Server is a running server with the superuser postgres and the database postgres, and nothing else in it that the
// callers of earlier runs did not make.
type Server struct {
	at   postmaster
	psql string // the program psql: a path, or just its name where the installation has none
	stop func() error
}

// Start starts the server and returns once it accepts connections. The context bounds the start only; so does a limit
// of a minute. If a live process, this one or another, has already started the server of cfg.Dir, that server is used
// as it is, without cfg.Settings and cfg.Port, and lives no longer than its starter wants it to. One whose starter is
// gone is stopped first.
//
// PostgreSQL refuses to run as root; then it runs as postgres or, where there is no such account, as nobody.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	srv, err := start(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("starting a private PostgreSQL server: %w", err)
	}
	return srv, nil
}

// URL returns the URL that connects to the database as the superuser, over the socket; pgx and psql understand it.
func (s *Server) URL(database string) string {
	query := url.Values{"host": {s.at.socketDir}, "port": {strconv.Itoa(s.at.port)}}
	raw := strings.ReplaceAll(query.Encode(), "+", "%20") // psql takes + for itself
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/" + database, RawQuery: raw}
	return u.String()
}

// PsqlCommand returns the shell command that opens the database in psql. It works for the account that the server runs
// as and for root.
func (s *Server) PsqlCommand(database string) string {
	return shellQuote(s.psql) + " " + shellQuote(s.URL(database))
}

// Stop ends the server, waits until it is down, and removes a temporary directory. It disconnects whoever is connected.
// Further calls return what the first one did. A server that another process started, or another Start in this one, is
// left running.
func (s *Server) Stop() error {
	return s.stop()
}

func start(ctx context.Context, cfg Config) (*Server, error) {
	h, err := openHome(cfg.Dir)
	if err != nil {
		return nil, err
	}
	srv, err := h.start(ctx, cfg)
	if err != nil {
		return nil, errors.Join(err, h.close())
	}
	return srv, nil
}

func (h *home) start(ctx context.Context, cfg Config) (*Server, error) {
	pg, err := findPrograms(ctx, os.Getenv("PATH"), "/", h.version())
	if err != nil {
		return nil, err
	}
	running, err := h.claim(ctx)
	if err != nil {
		return nil, err
	}
	if running != nil {
		srv := &Server{at: *running, psql: pg.psql(), stop: func() error { return nil }}
		cfg.Logger.Info("using the running private postgresql server", "dir", h.dir, "look_around", srv.PsqlCommand("postgres"))
		return srv, nil
	}
	if err := h.initialize(ctx, pg); err != nil {
		return nil, err
	}
	p, at, err := h.launch(ctx, pg, cfg)
	if err != nil {
		return nil, err
	}
	go watch(p, cfg.Logger, h.log())
	srv := &Server{at: at, psql: pg.psql(), stop: sync.OnceValue(func() error { return h.shutDown(p) })}
	cfg.Logger.Info("private postgresql server started", "dir", h.dir, "version", pg.version.String(), "look_around", srv.PsqlCommand("postgres"))
	return srv, nil
}

// shutDown asks for a fast shutdown: clients are disconnected, and what is committed is on disk when it is over.
func (h *home) shutDown(p *process) error {
	if err := errors.Join(p.stop(), h.close()); err != nil {
		return fmt.Errorf("stopping the private PostgreSQL server: %w", err)
	}
	return nil
}

// watch reports a server that ends though nobody stopped it.
func watch(p *process, logger *slog.Logger, log string) {
	<-p.done
	if !p.stopping.Load() {
		logger.Error("private postgresql server ended by itself", "err", p.err, "log", log)
	}
}

// shellQuote returns s as one word of a POSIX shell.
func shellQuote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
