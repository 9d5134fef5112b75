package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"partnersync/migrations"
	"partnersync/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func exec(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	_, err := pool.Exec(t.Context(), sql)
	ok(t, err)
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// column returns the one column of the query's rows.
func column(t *testing.T, db querier, sql string) []string {
	t.Helper()
	rows, err := db.Query(t.Context(), sql)
	ok(t, err)
	values, err := pgx.CollectRows(rows, pgx.RowTo[string])
	ok(t, err)
	return values
}

func wantVersion(t *testing.T, pool *pgxpool.Pool, want int64) {
	t.Helper()
	state, err := migrations.Read(t.Context(), pool)
	ok(t, err)
	if diff := cmp.Diff(migrations.State{Version: want, Newest: migrations.Newest()}, state); diff != "" {
		t.Errorf("state: (-want +got)\n%s", diff)
	}
}

func TestUp_fromNothing(t *testing.T) {
	t.Parallel()
	pool := storetest.Empty(t).Pool
	ok(t, migrations.Up(t.Context(), pool))
	wantVersion(t, pool, migrations.Newest())
	ok(t, migrations.Up(t.Context(), pool)) // nothing to do
	wantVersion(t, pool, migrations.Newest())
}

func TestUp_poolOfASingleConnection(t *testing.T) {
	t.Parallel()
	config, err := pgxpool.ParseConfig(storetest.Empty(t).URL)
	ok(t, err)
	config.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	ok(t, err)
	defer pool.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // or it would wait for ever
	defer cancel()
	ok(t, migrations.Up(ctx, pool))
	ok(t, migrations.Down(ctx, pool, 0))
	wantVersion(t, pool, 0)
}

func TestUp_withoutPreparedStatements(t *testing.T) {
	t.Parallel()
	config, err := pgxpool.ParseConfig(storetest.Empty(t).URL)
	ok(t, err)
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec // as behind a pooler
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	ok(t, err)
	defer pool.Close()
	ok(t, migrations.Up(t.Context(), pool))
	wantVersion(t, pool, migrations.Newest())
}

func TestDown_oneByOneToNothingAndUpAgain(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	pool := db.Pool
	before := schema(t, pool)
	version := migrations.Newest()
	for version > 0 {
		to := migrations.Previous(version)
		ok(t, migrations.Down(t.Context(), pool, to))
		wantVersion(t, pool, to)
		version = to
	}
	left := column(t, pool, `
		SELECT c.oid::regclass::text FROM pg_class c
		WHERE c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('partner_center', 'partnersync')) AND c.relkind IN ('r', 'v')
		ORDER BY 1`)
	if diff := cmp.Diff([]string{"partnersync.goose_db_version", "partnersync.goose_lock"}, left); diff != "" {
		t.Errorf("left at version 0: (-want +got)\n%s", diff)
	}
	if schemas := column(t, pool,
		"SELECT nspname::text FROM pg_namespace WHERE nspname = 'partner_center'"); len(schemas) > 0 {
		t.Error("the schema partner_center is left at version 0")
	}
	ok(t, migrations.Up(t.Context(), pool))
	storetest.Distribute(t, db)
	if diff := cmp.Diff(before, schema(t, pool)); diff != "" {
		t.Errorf("the schema after down and up: (-before +after)\n%s", diff)
	}
}

func TestUp_eachStepLeadsToTheNext(t *testing.T) {
	t.Parallel()
	const rows = `
		INSERT INTO partner_center.customers (customer_id, partner, first_seen_at)
		VALUES ('00000000-0000-4000-8000-000000000001', 'contoso', now())
		ON CONFLICT DO NOTHING;
		INSERT INTO partner_center.device_batches (customer_id, batch_id, valid_from)
		VALUES ('00000000-0000-4000-8000-000000000001', 'a', now())
		ON CONFLICT DO NOTHING;
		INSERT INTO partner_center.devices (customer_id, batch_id, device_id, valid_from)
		VALUES ('00000000-0000-4000-8000-000000000001', 'a', '1', now())
		ON CONFLICT DO NOTHING;
		INSERT INTO partnersync.list_state (customer_id, resource)
		VALUES ('00000000-0000-4000-8000-000000000001', 'device_batches')
		ON CONFLICT DO NOTHING`
	db := storetest.New(t)
	pool := db.Pool
	want := schema(t, pool)
	for version := migrations.Newest(); version > 0; version = migrations.Previous(version) {
		exec(t, pool, rows)
		ok(t, migrations.Down(t.Context(), pool, migrations.Previous(version)))
		ok(t, migrations.Up(t.Context(), pool))
		storetest.Distribute(t, db)
		if diff := cmp.Diff(want, schema(t, pool)); diff != "" {
			t.Errorf("the schema after going below version %d and up: (-want +got)\n%s", version, diff)
		}
	}
}

func TestUp_replicasAtTheSameTime(t *testing.T) {
	t.Parallel()
	db := storetest.Empty(t)
	var replicas errgroup.Group
	for range 5 {
		pool, err := pgxpool.New(t.Context(), db.URL)
		ok(t, err)
		defer pool.Close()
		replicas.Go(func() error { return migrations.Up(t.Context(), pool) })
	}
	ok(t, replicas.Wait())
	wantVersion(t, db.Pool, migrations.Newest())
	if twice := column(t, db.Pool, "SELECT version_id::text FROM partnersync.goose_db_version GROUP BY 1 HAVING "+
		"count(*) > 1"); len(twice) > 0 {
		t.Errorf("applied more than once: %v", twice)
	}
}

func TestUp_databaseOfANewerReleaseIsLeftAlone(t *testing.T) {
	t.Parallel()
	pool := storetest.New(t).Pool
	exec(t, pool, "INSERT INTO partnersync.goose_db_version (version_id, is_applied) SELECT max(version_id) + 1, "+
		"true FROM partnersync.goose_db_version")
	if err := migrations.Up(t.Context(), pool); !errors.Is(err, migrations.ErrAhead) {
		t.Errorf("up: %v, want ErrAhead", err)
	}
	if err := migrations.Require(t.Context(), pool); !errors.Is(err, migrations.ErrAhead) {
		t.Errorf("require: %v, want ErrAhead", err)
	}
	wantVersion(t, pool, migrations.Newest()+1)
	steps, err := migrations.Status(t.Context(), pool)
	ok(t, err)
	for _, step := range steps {
		if !step.Applied {
			t.Errorf("step %+v, want it applied", step)
		}
	}
}

func TestRequire(t *testing.T) {
	t.Parallel()
	pool := storetest.Empty(t).Pool
	if err := migrations.Require(t.Context(), pool); !errors.Is(err, migrations.ErrBehind) {
		t.Errorf("an empty database: %v, want ErrBehind", err)
	}
	ok(t, migrations.Up(t.Context(), pool))
	ok(t, migrations.Require(t.Context(), pool))
}

func TestState(t *testing.T) {
	t.Parallel()
	tests := []struct {
		state         migrations.State
		behind, ahead bool
	}{
		{migrations.State{Version: 0, Newest: 3}, true, false},
		{migrations.State{Version: 2, Newest: 3}, true, false},
		{migrations.State{Version: 3, Newest: 3}, false, false},
		{migrations.State{Version: 4, Newest: 3}, false, true},
	}
	for _, test := range tests {
		if s := test.state; s.Behind() != test.behind || s.Ahead() != test.ahead {
			t.Errorf("%+v: behind %t, ahead %t, want %t, %t", s, s.Behind(), s.Ahead(), test.behind, test.ahead)
		}
	}
}

func TestRead_andStatusOfAnEmptyDatabaseWriteNothing(t *testing.T) {
	t.Parallel()
	pool := storetest.Empty(t).Pool
	wantVersion(t, pool, 0)
	exec(t, pool, "CREATE SCHEMA partnersync") // roles.sql may have been here before
	wantVersion(t, pool, 0)
	exec(t, pool, "DROP SCHEMA partnersync")
	steps, err := migrations.Status(t.Context(), pool)
	ok(t, err)
	for _, step := range steps {
		if step.Applied {
			t.Errorf("step %+v, want it missing", step)
		}
	}
	lost, err := migrations.TablesLost(t.Context(), pool, 0, 0)
	if ok(t, err); len(lost) > 0 {
		t.Errorf("lost: %v, want nothing", lost)
	}
	const made = `SELECT nspname::text FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public')
		UNION ALL SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace`
	if got := column(t, pool, made); len(got) > 0 {
		t.Errorf("made in an empty database: %v", got)
	}
}

func TestRead_errorOfAnotherKindIsReturned(t *testing.T) {
	t.Parallel()
	pool := storetest.New(t).Pool
	exec(t, pool, "ALTER TABLE partnersync.goose_db_version RENAME version_id TO version")
	if _, err := migrations.Read(t.Context(), pool); err == nil ||
		!strings.HasPrefix(err.Error(), "reading the schema's version: ") {
		t.Errorf("read: %v, want an error that says what it was about", err)
	}
}

func TestStatus_halfWay(t *testing.T) {
	t.Parallel()
	pool := storetest.New(t).Pool
	to := migrations.Previous(migrations.Previous(migrations.Newest()))
	ok(t, migrations.Down(t.Context(), pool, to))
	steps, err := migrations.Status(t.Context(), pool)
	ok(t, err)
	names, err := filepath.Glob("*.sql")
	ok(t, err)
	if len(steps) != len(names) {
		t.Fatalf("%d steps, want %d", len(steps), len(names))
	}
	for i, step := range steps {
		version := number(t, names[i])
		want := migrations.Step{Version: version, Name: names[i], Applied: version <= to}
		if diff := cmp.Diff(want, step); diff != "" {
			t.Errorf("step: (-want +got)\n%s", diff)
		}
	}
}

func TestPrevious(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("*.sql")
	ok(t, err)
	newest, before := number(t, names[len(names)-1]), number(t, names[len(names)-2])
	for version, want := range map[int64]int64{0: 0, 1: 0, 2: 1, newest: before, newest + 1: newest,
		newest + 9: newest} {
		if got := migrations.Previous(version); got != want {
			t.Errorf("previous of %d: %d, want %d", version, got, want)
		}
	}
}

// number returns the version of the migration in a file.
func number(t *testing.T, name string) (version int64) {
	t.Helper()
	if _, err := fmt.Sscanf(name, "%05d_", &version); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return version
}

func TestTablesLost_namesThoseWithRows(t *testing.T) {
	t.Parallel()
	pool := storetest.New(t).Pool
	newest := migrations.Newest()
	wantLost := func(to int64, want ...string) {
		t.Helper()
		lost, err := migrations.TablesLost(t.Context(), pool, newest, to)
		ok(t, err)
		sorted := cmpopts.SortSlices(func(a, b string) bool { return a < b })
		if diff := cmp.Diff(want, lost, sorted, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("lost by going down to %d: (-want +got)\n%s", to, diff)
		}
	}
	wantLost(0)
	exec(t, pool, `
		INSERT INTO partner_center.customers (customer_id, partner, first_seen_at) VALUES (gen_random_uuid(), 'contoso', now());
		INSERT INTO partnersync.list_state (customer_id, resource, observed_at) VALUES (gen_random_uuid(), 'device_batches', now())`)
	wantLost(0, "partner_center.customers", "partnersync.list_state")
	wantLost(versionOf(t, "customers"), "partnersync.list_state")
	wantLost(newest)
}

// versionOf returns the version of the migration with that name.
func versionOf(t *testing.T, name string) int64 {
	t.Helper()
	steps, err := migrations.Status(t.Context(), storetest.New(t).Pool)
	ok(t, err)
	for _, step := range steps {
		if strings.HasSuffix(step.Name, "_"+name+".sql") {
			return step.Version
		}
	}
	t.Fatalf("there is no migration %s", name)
	return 0
}

func TestFiles_nameNoRole(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("*.sql")
	ok(t, err)
	roles := regexp.MustCompile(`(?i)\b(GRANT|REVOKE|OWNER TO|SET ROLE|AUTHORIZATION|partnersync_(owner|writer|analyst))\b`)
	for _, name := range names {
		text, err := os.ReadFile(name)
		ok(t, err)
		if match := roles.Find(text); match != nil {
			t.Errorf("%s: %s; roles are the business of roles.sql", name, match)
		}
	}
}
