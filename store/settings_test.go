package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"partnersync/store/storetest"
)

// Whatever a database's administrator has set, passes work as they do by default, in both ways to send statements.
func TestPasses_underSettingsOfTheDatabase(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{
		"default_transaction_isolation = 'serializable'",
		"default_transaction_isolation = 'repeatable read'",
		"default_transaction_read_only = on",
		"default_transaction_deferrable = on",
		"client_encoding = 'LATIN1'",
		"DateStyle = 'German, DMY'",
		"IntervalStyle = 'iso_8601'",
		"bytea_output = 'escape'",
		"TimeZone = 'Pacific/Chatham'",
		"standard_conforming_strings = off",
		"extra_float_digits = -15",
		"statement_timeout = '500ms'",
		"lock_timeout = '1ms'",
		"search_path = 'nowhere'",
		"row_security = off",
		"plan_cache_mode = 'force_generic_plan'",
		"transaction_timeout = '200ms'",
	} {
		for _, mode := range []string{"cache_statement", "exec"} {
			t.Run(setting+" "+mode, func(t *testing.T) {
				t.Parallel()
				db := storetest.New(t)
				database := db.Pool.Config().ConnConfig.Database
				sql := fmt.Sprintf("ALTER DATABASE %s SET %s", pgx.Identifier{database}.Sanitize(), setting)
				_, err := db.Pool.Exec(t.Context(), sql)
				if sqlState(err) == "42704" && strings.HasPrefix(setting, "transaction_timeout") {
					t.Skip("allowed: PostgreSQL 17 is the first with transaction_timeout")
				}
				if err != nil {
					t.Fatal(err)
				}
				w := worldOver(t, withParameter(t, db.URL, "default_query_exec_mode", mode))
				w.pool = db.Pool // of the test itself: its connection is older than the setting
				w.wholePasses()
				w.wantWholePasses()
			})
		}
	}
}

func TestOpenPool_refusesOtherEncodings(t *testing.T) {
	t.Parallel()
	db := storetest.Empty(t)
	name := "latin_" + strings.ReplaceAll(customerID(1), "-", "")
	create := "CREATE DATABASE " + name + " TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
	if _, err := db.Pool.Exec(t.Context(), create); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := db.Pool.Exec(context.Background(), "DROP DATABASE "+name); err != nil {
			t.Error(err)
		}
	})
	_, err := OpenPool(t.Context(), strings.Replace(db.URL, "/"+db.Pool.Config().ConnConfig.Database, "/"+name, 1))
	if !errors.Is(err, ErrEncoding) || !strings.Contains(Advice(err), "UTF8") {
		t.Errorf("got %v (%s), want ErrEncoding", err, Advice(err))
	}
}

func TestOpenPool_waitsShortlyForEachHost(t *testing.T) {
	db := storetest.New(t)
	t.Setenv("PGCONNECT_TIMEOUT", "")
	for url, want := range map[string]time.Duration{
		db.URL: connectTimeout,
		withParameter(t, db.URL, "connect_timeout", "77"): 77 * time.Second,
	} {
		pool, err := OpenPool(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		if got := pool.Config().ConnConfig.ConnectTimeout; got != want {
			t.Errorf("%s is waited for, want %s", got, want)
		}
		if got := pool.Config().PingTimeout; got != want {
			t.Errorf("a ping may take %s, want %s", got, want)
		}
		if got := pool.Config().ConnConfig.Tracer; got != TimeLimit(statementTimeout+connectTimeout) {
			t.Errorf("the limit of a statement is %v", got)
		}
		pool.Close()
	}
	t.Setenv("PGCONNECT_TIMEOUT", "66")
	pool, err := OpenPool(t.Context(), db.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if got := pool.Config().ConnConfig.ConnectTimeout; got != 66*time.Second {
		t.Errorf("%s is waited for, want what the environment says", got)
	}
}

func TestWrite_isRetriedAfterConflicts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for code, want := range map[string]int{"40001": conflictTries, "40P01": conflictTries, "40003": 1, "23505": 1} {
		tries := 0
		err := w.write(t.Context(), func(pgx.Tx) error {
			tries++
			return &pgconn.PgError{Code: code}
		})
		if tries != want || sqlState(err) != code {
			t.Errorf("%s: %d tries and %v, want %d", code, tries, err, want)
		}
	}
	tries := 0
	w.ok(w.write(t.Context(), func(pgx.Tx) error {
		if tries++; tries == 1 {
			return &pgconn.PgError{Code: "40P01"}
		}
		return nil
	}))
}

// A password that is replaced, in the URL's source or in its passfile, is taken up by the next connection.
func TestOpenPoolFrom_readsThePasswordForEachConnection(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	file := filepath.Join(t.TempDir(), "pgpass")
	password := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("*:*:*:*:"+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	password("first")
	url, reads := withParameter(t, db.URL, "passfile", file), 0
	pool, err := OpenPoolFrom(t.Context(), func() (string, error) {
		reads++
		return url, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for _, want := range []string{"second", "third"} {
		password(want)
		pool.Reset()
		conn, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.Conn().Config().Password; got != want {
			t.Errorf("the connection has the password %q, want %q", got, want)
		}
		conn.Release()
	}
	url = withParameter(t, db.URL, "password", "fourth")
	pool.Reset()
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if got := conn.Conn().Config().Password; got != "fourth" || reads < 4 {
		t.Errorf("the connection has the password %q after %d reads, want the source's", got, reads)
	}
}
