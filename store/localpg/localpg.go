// Package localpg runs a private PostgreSQL server from the binaries on the machine: for the demo, for tests, and
// for trying out the program. It listens on a Unix socket in a directory of its own, so that it needs neither a
// port nor a password, and any number of servers can run side by side.
//
// The server ends with the process that started it, even if that process is killed. Systems other than Linux offer
// no way to do that; there the next Start stops a server that was left running. Windows has no private servers.
package localpg

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// startTimeout limits every Start. A first start takes less than a second, a recovery a few.
const startTimeout = time.Minute

// Config configures a server. The zero value is a server in a new temporary directory, which Stop removes.
type Config struct {
	// Dir holds the server's data, socket and log, and is created if missing; "": a new temporary directory.
	Dir string
	// Settings are further settings, named as in postgresql.conf, such as fsync: "off". They apply to this run only.
	Settings map[string]string
	// Port is a TCP port to listen on as well, on the loopback interface only; 0: none. Connections over TCP need a
	// password, and the role postgres has none until the caller sets one.
	Port int
	// Logger, nil: discard. The server's own log is the file postgres.log in Dir.
	Logger *slog.Logger
}

// Server is a running server with the superuser postgres and the database postgres, and with what the callers of
// earlier runs created in it.
type Server struct {
	socketDir string
	port      int
	psql      string // the program psql: a path, or its name if the installation has none
	stop      func() error
}

// Start starts the server and returns once it accepts connections. The context applies to the start only, which
// takes a minute at most. If a live process, this one or another, has already started the server of cfg.Dir, that
// server is used as it is, without cfg.Settings and cfg.Port, and ends when its starter ends it. If the starter is
// gone, the server is stopped first.
//
// PostgreSQL refuses to run as root. Started by root it runs as postgres or, if there is no such account, as nobody.
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
	query := url.Values{"host": {s.socketDir}, "port": {strconv.Itoa(s.port)}}
	raw := strings.ReplaceAll(query.Encode(), "+", "%20") // psql does not decode +
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/" + database, RawQuery: raw}
	return u.String()
}

// PsqlCommand returns the shell command that opens the database in psql. It works for the account that the server
// runs as and for root.
func (s *Server) PsqlCommand(database string) string {
	return shellQuote(s.psql) + " " + shellQuote(s.URL(database))
}

// Stop ends the server and its connections, waits until it is down, and removes a temporary directory. Further
// calls return the result of the first one. A server that another process started, or another Start in this one, is
// left running.
func (s *Server) Stop() error {
	return s.stop()
}

// shellQuote returns s as one word of a POSIX shell.
func shellQuote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
