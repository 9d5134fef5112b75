// Package storetest gives each test a PostgreSQL database of its own. A package that uses it calls [Main] from its
// TestMain, and [New] or [Empty] in each test.
//
// The databases are in a private server that starts when it is first needed and ends with the test binary. If
// TEST_DATABASE_URL is set, they are in the server at that URL instead, whose role must be allowed to create
// databases.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// serverVariable is the environment variable with the URL of a server to use instead of a private one.
const serverVariable = "TEST_DATABASE_URL"

// DB is the database of one test.
type DB struct {
	URL  string        // for further connections; close them before the test ends
	Pool *pgxpool.Pool // closed when the test ends
}

// errNoMain is the error in packages without a TestMain that calls Main.
var errNoMain = errors.New("there is no server: " +
	"add func TestMain(m *testing.M) { storetest.Main(m) } to the package's tests")

// shared is the cluster that New and Empty use.
var shared *cluster

// Main runs the tests of a package and exits with their result. Call it from TestMain, and nothing after it.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is Main for a TestMain that has more to do. It returns the exit code.
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
		// The test's own context has ended by now.
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

// Eventually calls what until it returns true. After three minutes the test, or script, fails with what it last got.
func Eventually(t interface{ Fatalf(string, ...any) }, what func() (got string, ok bool)) {
	if helper, ok := t.(interface{ Helper() }); ok {
		helper.Helper()
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(3 * time.Minute)
	for {
		got, ok := what()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("still so after three minutes: %s", got)
		}
	}
}
