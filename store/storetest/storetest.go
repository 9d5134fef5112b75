// Package storetest gives each test a PostgreSQL database of its own. A package that uses it has
//
//	func TestMain(m *testing.M) { storetest.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		t.Parallel()
//		db := storetest.New(t)
//		db.Pool.Exec(t.Context(), …)
//	}
//
// The databases are in a private server that starts at the first use and ends with the test binary; where
// TEST_DATABASE_URL is set, in the server it names instead, whose role needs the right to create databases.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// serverVariable names the environment's variable with the URL of a server to use instead of a private one.
const serverVariable = "TEST_DATABASE_URL"

// DB is a database of one test's own.
type DB struct {
	URL  string        // for further connections; close them before the test ends
	Pool *pgxpool.Pool // closed when the test ends
}

// errNoMain is for packages without a TestMain that calls Main.
var errNoMain = errors.New("there is no server: add func TestMain(m *testing.M) { storetest.Main(m) } to the package's tests")

// shared is what Main gives New and Empty.
var shared *cluster

// Main runs the tests of a package and exits with their result. Call it from TestMain, and nothing after it.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is Main for a TestMain that has more to do: it returns the result, to exit with.
func Run(m *testing.M) (code int) {
	shared = newCluster(os.Getenv(serverVariable))
	code = m.Run()
	if err := shared.close(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "storetest:", err)
		code = max(code, 1)
	}
	return code
}

// New returns a database with all migrations applied. It is dropped when the test ends.
func New(t testing.TB) *DB {
	t.Helper()
	return open(t, shared, migrated)
}

// Empty returns a database with nothing in it. It is dropped when the test ends.
func Empty(t testing.TB) *DB {
	t.Helper()
	return open(t, shared, empty)
}

func open(t testing.TB, c *cluster, k kind) *DB {
	t.Helper()
	name, err := c.create(t.Context(), k)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	t.Cleanup(func() {
		// The test's own context is over by now.
		if err := c.drop(context.WithoutCancel(t.Context()), name); err != nil {
			t.Errorf("storetest: %v", err)
		}
	})
	db := &DB{URL: c.url(name)}
	if db.Pool, err = pgxpool.New(t.Context(), db.URL); err != nil {
		t.Fatalf("storetest: %v", err)
	}
	t.Cleanup(db.Pool.Close)
	return db
}
