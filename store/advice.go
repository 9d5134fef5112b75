package store

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// unreachable is the advice if the server does not answer.
const unreachable = "check that PostgreSQL runs and that database_url has the right host and port"

// advice is what to do about an error of the server, by its SQLSTATE.
var advice = map[string]string{
	"25006": "the server is read-only, perhaps a standby: let database_url name the writable one, or all of them and " +
		"target_session_attrs=read-write",
	"26000": poolerAdvice,
	"28000": signInAdvice,
	"28P01": signInAdvice,
	"3D000": "create the database, or correct its name in database_url",
	"3F000": schemaAdvice,
	"42501": "grant the user of database_url the rights that deploy/roles.sql gives",
	"42703": schemaAdvice,
	"42P01": schemaAdvice,
	"42P05": poolerAdvice,
	"53100": "the server's disk is full: make room on it",
	"53200": "the server is out of memory: lower its work_mem or max_connections, or give it more",
	"53300": "the server has no connection left: lower pool_max_conns in database_url or the number of replicas, " +
		"or raise its max_connections",
	"53400": "a limit in the server's configuration was reached: raise the one that the message names",
	"57014": "a statement was cancelled: look for a statement_timeout that is too short, " +
		"and in pg_locks for what it waited for",
	"57P01": restartAdvice,
	"57P02": restartAdvice,
	"57P03": restartAdvice,
}

const (
	poolerAdvice = "this is a pooler without prepared statements: add default_query_exec_mode=exec to database_url"
	signInAdvice = "check the user and the password in database_url (in a URL, % is written as %25 and @ as %40), " +
		"and the server's pg_hba.conf"
	schemaAdvice  = "the schema is not the one that this release needs: run partnersync migrate up"
	restartAdvice = "the server stops or starts: if it does not come back, look into its log"
)

// Advice returns what a person can do about an error of the database, as a clause without a full stop. It is "" for
// other errors, and for those about which nothing general can be said.
func Advice(err error) string {
	if errors.Is(err, ErrEncoding) {
		return "create a database with ENCODING 'UTF8' TEMPLATE template0, and name that one in database_url"
	}
	if errors.Is(err, errStandby) {
		return advice["25006"]
	}
	if code := sqlState(err); code != "" {
		return advice[code]
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		// pgx has no type for servers that it refused because of target_session_attrs.
		text := err.Error()
		if strings.Contains(text, "read only connection") || strings.Contains(text, "server is in standby mode") {
			return "none of the servers that database_url names is writable: promote one, or name the one that is"
		}
		return unreachable
	}
	if lostConnection(err) {
		return unreachable
	}
	return ""
}

// lostConnection reports whether a connection to the server broke, or nothing arrived over it in time.
func lostConnection(err error) bool {
	if _, ok := errors.AsType[*url.Error](err); ok {
		return false // of an HTTP request
	}
	_, ofNetwork := errors.AsType[*net.OpError](err)
	return ofNetwork || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// OneLine returns the text of an error on one line. pgx puts each address that it tried on a line of its own, and
// tries each twice, with TLS and without.
func OneLine(err error) string {
	var line strings.Builder
	last := ""
	for part := range strings.Lines(err.Error()) {
		part = strings.TrimSpace(part)
		switch text := line.String(); {
		case part == "" || part == last:
			continue
		case strings.HasSuffix(text, ":"), strings.HasSuffix(text, ";"):
			line.WriteString(" ")
		case text != "":
			line.WriteString("; ")
		}
		line.WriteString(part)
		last = part
	}
	return line.String()
}
