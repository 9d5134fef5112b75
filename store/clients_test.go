package store

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"partnersync/store/storetest"
)

var clientsDir = flag.String("clients", "",
	"`directory` in whose node_modules pg and postgres are, for the tests with analysts' clients: deploy/test --clients")

// TestClients_readTheHistory reads a history with what analysts read it with: each version with its times, and no end of
// the current one.
func TestClients_readTheHistory(t *testing.T) {
	if *clientsDir == "" {
		t.Skip("allowed: it takes psycopg, pandas, pgjdbc and node-postgres: deploy/test --clients")
	}
	w := newWorld(t)
	w.pass(minute(1), complete("1"), batch("b", "queued"))
	w.pass(minute(2), complete("2"), batch("b", "processing"))
	w.pass(minute(3), complete("3"), batch("b", "finished"))
	want := fmt.Sprintf("queued %d %d false\nprocessing %d %d false\nfinished %d null true\n",
		minute(1).Unix(), minute(2).Unix(), minute(2).Unix(), minute(3).Unix(), minute(3).Unix())

	database, err := pgconn.ParseConfig(storetest.NewProxy(t, w.url).URL) // not each client knows sockets
	w.ok(err)
	const (
		python = "/usr/bin/python3" // Debian's: another one lacks its packages
		java   = "/usr/share/java/postgresql.jar"
		script = "testdata/clients/"
	)
	for name, command := range map[string][]string{
		"psycopg":  {python, script + "read_with_psycopg.py"},
		"pandas":   {python, script + "read_with_pandas.py"},
		"pgjdbc":   {"java", "-cp", java, script + "ReadWithJdbc.java"},
		"pg":       {"node", script + "read_with_node.cjs", "pg"},
		"postgres": {"node", script + "read_with_node.cjs", "postgres"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(want, w.client(t, database, command...)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	t.Run("psqlODBC", func(t *testing.T) {
		const query = "SELECT status, valid_to IS NULL FROM partner_center.device_batch_history ORDER BY valid_from\n"
		connection := fmt.Sprintf("Driver=PostgreSQL Unicode;Servername=%s;Port=%d;Database=%s;Uid=%s",
			database.Host, database.Port, database.Database, database.User)
		got := w.client(t, database, "sh", "-c", `printf %s "$1" | isql -k "$2" -b -d" "`, "", query, connection)
		if want := "queued 0\nprocessing 0\nfinished 1\n"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
	t.Run("the document's pandas", func(t *testing.T) {
		text, err := os.ReadFile("../deploy/bi.md")
		w.ok(err)
		_, code, _ := strings.Cut(string(text), "```python\n")
		code, _, found := strings.Cut(code, "```")
		if got := w.client(t, database, python, "-c", code); !found || !strings.Contains(got, "count") {
			t.Errorf("%q", got)
		}
	})
}

// client runs a client of the database, and returns what it prints.
func (w *world) client(t *testing.T, database *pgconn.Config, command ...string) string {
	t.Helper()
	client := exec.CommandContext(t.Context(), command[0], command[1:]...)
	client.Env = append(client.Environ(), "PGHOST="+database.Host, fmt.Sprint("PGPORT=", database.Port),
		"PGUSER="+database.User, "PGDATABASE="+database.Database, "PGSSLMODE=disable",
		"NODE_PATH="+*clientsDir+"/node_modules")
	got, err := client.Output()
	if exit, ok := err.(*exec.ExitError); ok {
		t.Fatalf("%v: %s", err, exit.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	return string(got)
}
