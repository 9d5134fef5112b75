package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/migrations"
	"partnersync/store/localpg"
)

func TestMain(m *testing.M) { Main(m) }

func TestNew_isMigrated(t *testing.T) {
	t.Parallel()
	state, err := migrations.Read(t.Context(), New(t).Pool)
	if err != nil || state.Behind() || state.Ahead() || state.Version == 0 {
		t.Errorf("got %+v, %v, want the newest version", state, err)
	}
}

func TestEmpty_hasNoSchema(t *testing.T) {
	t.Parallel()
	state, err := migrations.Read(t.Context(), Empty(t).Pool)
	if err != nil || state.Version != 0 {
		t.Errorf("got %+v, %v, want version 0", state, err)
	}
}

func TestShadow_catchesCarelessStatements(t *testing.T) {
	t.Parallel()
	pool := New(t).Pool
	Shadow(t, pool)
	for _, careless := range []string{
		"SELECT count(*) FROM unnest(ARRAY['a'])", "SELECT format('%s', 'a'::text)", "SELECT ARRAY[1] @> ARRAY[1]",
		"SELECT has_database_privilege(current_database(), 'CREATE')", "SELECT to_jsonb(1)",
	} {
		if _, err := pool.Exec(t.Context(), careless); err == nil {
			t.Errorf("%s: works, want the shadow called", careless)
		}
		careful := "SET LOCAL search_path = pg_catalog, pg_temp; " + careless
		if _, err := pool.Exec(t.Context(), careful); err != nil {
			t.Errorf("%s: %v", careful, err)
		}
	}
}

func TestNew_parallelTestsHaveADatabaseEach(t *testing.T) {
	t.Parallel()
	for i := range 12 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			for _, open := range []func(testing.TB) *DB{New, Empty} {
				db := open(t)
				if _, err := db.Pool.Exec(t.Context(), "CREATE TABLE mine AS SELECT 1 AS one"); err != nil {
					t.Error(err)
				}
				conn, err := pgx.Connect(t.Context(), db.URL)
				if err != nil {
					t.Fatal(err)
				}
				// The connection is left open; the database is dropped all the same.
				if _, err := conn.Exec(t.Context(), "INSERT INTO mine VALUES (2)"); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestCluster_externalServerIsLeftAsItWas(t *testing.T) {
	t.Parallel()
	srv, err := localpg.Start(t.Context(), localpg.Config{Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Stop() })
	before := databases(t, srv.URL("postgres"))
	c := newCluster(srv.URL("postgres"))
	t.Run("databases of a test", func(t *testing.T) {
		a, b := open(t, c, migrated), open(t, c, empty)
		all := databases(t, srv.URL("postgres"))
		if len(all) != len(before)+3 {
			t.Errorf("with two databases and a template there are %v", all)
		}
		if a.URL == b.URL || !strings.Contains(a.URL, "/"+c.prefix) {
			t.Errorf("they are %s and %s", a.URL, b.URL)
		}
	})
	if err := c.close(t.Context()); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, databases(t, srv.URL("postgres"))); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

func TestCluster_unusedOneStartsNoServer(t *testing.T) {
	t.Parallel()
	if err := newCluster("postgres://nobody@localhost:1/none").close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCluster_withoutMainSaysWhatToDo(t *testing.T) {
	t.Parallel()
	var none *cluster
	if _, err := none.create(t.Context(), empty); !errors.Is(err, errNoMain) ||
		!strings.Contains(err.Error(), "storetest.Main(m)") {
		t.Errorf("got %v", err)
	}
}

func TestCluster_unusableServer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, server, want string }{
		{"no URL", "host=localhost dbname=x", serverVariable},
		{"nobody there", "postgres://postgres@127.0.0.1:1/x?connect_timeout=5", "asking the server for its version"},
		{"unknown parameter", "postgres://postgres@127.0.0.1:1/x?pool_max_conns=many", "pool_max_conns"},
	} {
		c := newCluster(test.server)
		for range 2 { // the second test of a package is told the same
			if _, err := c.create(t.Context(), empty); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: got %v, want %q in it", test.name, err, test.want)
			}
		}
		if err := c.close(t.Context()); err != nil {
			t.Errorf("%s: closing: %v", test.name, err)
		}
	}
}

// databases returns the names of the server's databases.
func databases(t *testing.T, url string) []string {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	rows, err := pool.Query(context.WithoutCancel(t.Context()), "SELECT datname::text FROM pg_database ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}
