package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/store/storetest"
)

// connected returns a connection to a database of the test's own.
func connected(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), storetest.Empty(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func TestAdvice_ofErrorsThatTheServerGives(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, want string
		provoke    []string // the last one fails
	}{
		{"read-only", "target_session_attrs=read-write",
			[]string{"SET default_transaction_read_only = on", "CREATE TABLE t ()"}},
		{"statement time-out", "statement_timeout", []string{"SET statement_timeout = '1ms'", "SELECT pg_sleep(60)"}},
		{"missing table", "partnersync migrate up", []string{"SELECT 1 FROM nowhere"}},
		{"missing schema", "partnersync migrate up", []string{"CREATE TABLE nowhere.t ()"}},
		{"limit", "raise the one that the message names", []string{"SET temp_file_limit = '1kB'", "SET work_mem = '64kB'",
			"SELECT count(*) FROM (SELECT i FROM generate_series(1, 100000) i ORDER BY md5(i::text)) t"}},
		{"statement that is not there", "default_query_exec_mode=exec", []string{"EXECUTE nothing"}},
		{"statement that is there", "default_query_exec_mode=exec",
			[]string{"PREPARE one AS SELECT 1", "PREPARE one AS SELECT 1"}},
		{"full disk", "make room", []string{"DO $$ BEGIN RAISE disk_full; END $$"}},
		{"a mistake of ours", "", []string{"SELEC"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			conn := connected(t)
			var err error
			for _, sql := range test.provoke {
				if err != nil {
					t.Fatal(err)
				}
				_, err = conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
			}
			got := Advice(fmt.Errorf("asking: %w", err))
			if err == nil || got == "" != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("advice for %v is %q, want %q in it", err, got, test.want)
			}
		})
	}
}

// Behind a pooler, a statement that pgx has prepared is on another connection of the server.
func TestAdvice_preparedStatementGone(t *testing.T) {
	t.Parallel()
	conn := connected(t)
	ask := func() error {
		_, err := conn.Exec(t.Context(), "SELECT $1::integer", 1)
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "DEALLOCATE ALL", pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	if err := ask(); err == nil || !strings.Contains(Advice(err), "default_query_exec_mode=exec") {
		t.Errorf("advice for %v is %q", err, Advice(err))
	}
}

func TestAdvice_ofConnectionsThatFail(t *testing.T) {
	t.Parallel()
	here := storetest.Empty(t).URL
	for _, test := range []struct{ name, url, want string }{
		{"nobody there", "postgres://u:hush@127.0.0.1:1/x", "check that PostgreSQL runs"},
		{"no such host", "postgres://u:hush@nowhere.invalid/x", "check that PostgreSQL runs"},
		{"no such database", strings.Replace(here, "/partnersync_test_", "/nowhere_", 1), "create the database"},
		{"no such user", strings.Replace(here, "postgres@", "nobody_of_that_name@", 1), "check the user"},
		{"only a standby wanted", withParameter(t, here, "target_session_attrs", "read-only"), ""},
		{"writable wanted", withParameter(t, withParameter(t, here, "default_transaction_read_only", "on"),
			"target_session_attrs", "read-write"),
			"promote one"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := OpenPool(t.Context(), test.url)
			if err == nil || !strings.Contains(Advice(err), test.want) {
				t.Errorf("advice for %v is %q, want %q in it", err, Advice(err), test.want)
			}
			if err != nil && (strings.Contains(OneLine(err), "\n") || strings.Contains(OneLine(err), "hush")) {
				t.Errorf("more than a line, or a password: %s", OneLine(err))
			}
		})
	}
}

func TestAdvice_ofLostConnections(t *testing.T) {
	t.Parallel()
	broken := &net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset by peer")}
	for _, err := range []error{broken, io.ErrUnexpectedEOF, fmt.Errorf("asking: %w", context.DeadlineExceeded),
		net.ErrClosed} {
		if got := Advice(err); got != unreachable {
			t.Errorf("advice for %v is %q", err, got)
		}
	}
	for _, err := range []error{
		&url.Error{Op: "Get", URL: "https://api.example/", Err: broken}, errors.New("anything"), context.Canceled,
		ErrClaimLost,
	} {
		if got := Advice(err); got != "" {
			t.Errorf("advice for %v is %q, want none: it is not of the database", err, got)
		}
	}
}

func TestOneLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"one":                            "one",
		"failed to connect:\n\ta\n\tb\n": "failed to connect: a; b",
		"a;\nb":                          "a; b",
		"tried:\n\ta\n\ta\n\n\tb":        "tried: a; b",
		"":                               "",
	} {
		if got := OneLine(errors.New(text)); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestOpenPool_fewConnectionsUnlessAskedFor(t *testing.T) {
	t.Parallel()
	here := storetest.Empty(t).URL
	for url, want := range map[string]int32{here: 4, withParameter(t, here, "pool_max_conns", "9"): 9} {
		pool, err := OpenPool(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		if got := pool.Config().MaxConns; got != want {
			t.Errorf("%d connections, want %d", got, want)
		}
		pool.Close()
	}
}

func TestStore_readOnlyConnectionsAreGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok(w.Heartbeat(t.Context()))
	w.ok(w.Heartbeat(t.Context())) // from the second on, over a connection of its own
	for name, over := range map[string]*pgxpool.Pool{"heartbeat": w.heartbeats.pool, "write": w.pool} {
		readOnly := true // the first transaction, whatever the session's default is
		write := func() error {
			return w.transact(t.Context(), over, "READ WRITE", func(tx pgx.Tx) error {
				if readOnly {
					readOnly = false
					_, err := tx.Exec(t.Context(), "SET TRANSACTION READ ONLY")
					w.ok(err)
				}
				_, err := tx.Exec(t.Context(), "DELETE FROM partnersync.runs")
				return err
			})
		}
		conn, err := over.Acquire(t.Context())
		w.ok(err)
		process := conn.Conn().PgConn().PID()
		conn.Release()
		e, ok := errors.AsType[*pgconn.PgError](write())
		if !ok || e.Code != "25006" {
			t.Fatalf("%s: got %v, want the server to be read-only", name, e)
		}
		w.ok(write())
		conn, err = over.Acquire(t.Context())
		w.ok(err)
		if conn.Conn().PgConn().PID() == process {
			t.Errorf("%s: the connection was kept", name)
		}
		conn.Release()
	}
}
