package store

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"partnersync/migrations"
	"partnersync/store/storetest"
)

// Where everyone may create in schema public, one without any right can offer functions there that fit better than
// PostgreSQL's own. Nothing of ours calls one, with whatever rights it runs.
func TestSearchPath_noFunctionOfAStrangerIsCalled(t *testing.T) {
	t.Parallel()
	r := newRolesTest(t, storetest.Empty(t))
	super := r.pool
	r.pool = r.connect(withParameter(t, r.url, "search_path", "pg_catalog")) // of the test itself
	r.exec("GRANT CREATE ON SCHEMA public TO PUBLIC")
	storetest.Shadow(t, r.connect(r.login("")))
	if _, err := super.Exec(t.Context(), "SELECT unnest(ARRAY['a'])"); err == nil || !strings.Contains(err.Error(), "shadow") {
		t.Fatalf("the stranger's functions are not called at all: %v", err)
	}
	r.apply(super)
	r.ok(migrations.Up(t.Context(), super))
	r.mayMigrate(super, true)
	r.apply(super)
	r.writerMakesWholePasses()
	for _, view := range storetest.Views {
		sql := strings.ReplaceAll(view.Query, "now() - interval '200 days'", "now()")
		if _, err := super.Exec(t.Context(), sql); err != nil {
			t.Errorf("%s: %v", view.Name, err)
		}
	}
	lost, err := migrations.TablesLost(t.Context(), super, migrations.Newest(), 0)
	if err != nil || len(lost) == 0 {
		t.Errorf("tables lost: %v, %v", lost, err)
	}
	r.ok(migrations.Down(t.Context(), super, 0))
	r.ok(migrations.Up(t.Context(), super))
}

// Functions are inlined, so that the planner reads no more than one customer's rows for one customer.
func TestSearchPath_functionsAreInlined(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, function := range []string{"device_batches_as_of", "devices_as_of", "configuration_policies_as_of"} {
		rows, err := w.pool.Query(t.Context(), "EXPLAIN SELECT * FROM partner_center."+function+"(now()) WHERE customer_id = '"+alpha+"'")
		w.ok(err)
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		w.ok(err)
		if text := strings.Join(plan, "\n"); strings.Contains(text, "Function Scan") {
			t.Errorf("%s is not inlined:\n%s", function, text)
		}
	}
}

// A member of a role does not inherit its settings, but one may make a login of the role itself.
func TestRoles_haveASearchPath(t *testing.T) {
	t.Parallel()
	r := orders[1].open(t)
	r.want("partnersync_analyst\npartnersync_owner\npartnersync_writer", `
		SELECT r.rolname::text FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole JOIN pg_database d ON d.oid = s.setdatabase
		WHERE d.datname = current_database() AND s.setconfig = '{"search_path=pg_catalog, pg_temp"}' ORDER BY 1`)
}

// outside is a statement that runs over a pool, and so under whatever search path the role or the database has.
var outside = regexp.MustCompile(`\b[pP]ool\.(Query|QueryRow|Exec|SendBatch|Begin|BeginTx|CopyFrom)\(.*`)

func TestSearchPath_everyStatementIsInATransactionThatStatesIt(t *testing.T) {
	t.Parallel()
	read := 0
	for _, dir := range []string{"cmd", "migrations", "store", "sync"} {
		err := fs.WalkDir(os.DirFS(".."), dir, func(file string, _ fs.DirEntry, err error) error {
			skip := strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "store/storetest/")
			if err != nil || skip || filepath.Ext(file) != ".go" {
				return err
			}
			read++
			text, err := os.ReadFile("../" + file)
			for _, line := range outside.FindAllString(string(text), -1) {
				t.Errorf("%s: %s", file, line)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if read < 100 {
		t.Errorf("%d files were read, want all", read)
	}
}
