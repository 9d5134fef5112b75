package migrations_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/store/storetest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldenSchema is the data contract as the catalogue has it, so that a change of it shows in review.
const goldenSchema = "testdata/schema.txt"

func TestSchema_isAsWritten(t *testing.T) {
	t.Parallel()
	pool := storetest.New(t).Pool
	// Each major version words definitions a little differently.
	server := "PostgreSQL " + column(t, pool, "SELECT (current_setting('server_version_num')::int / 10000)::text")[0]
	got := server + "\n" + schema(t, pool)
	if *update {
		ok(t, os.WriteFile(goldenSchema, []byte(got), 0o644))
	}
	golden, err := os.ReadFile(goldenSchema)
	ok(t, err)
	want := string(golden)
	if written, _, _ := strings.Cut(want, "\n"); written != server {
		t.Skipf("allowed: %s is of %s, the server is %s", goldenSchema, written, server)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s differs; if that is intended, run go test ./migrations -update: (-want +got)\n%s", goldenSchema,
			diff)
	}
}

// ours is true of a pg_class c that a migration made: goose's own tables are its own business.
const ours = `c.relnamespace IN ('partner_center'::regnamespace, 'partnersync'::regnamespace)
	AND c.relname NOT LIKE 'goose%'`

// schema describes everything in the two schemas.
func schema(t *testing.T, pool *pgxpool.Pool) string {
	t.Helper()
	queries := []string{`
		SELECT format('schema %s -- %s', nspname, obj_description(oid, 'pg_namespace'))
		FROM pg_namespace WHERE nspname IN ('partner_center', 'partnersync') ORDER BY nspname`, `
		SELECT format(E'%s %s%s -- %s\n', CASE c.relkind WHEN 'r' THEN 'table' ELSE 'view' END, c.oid::regclass,
		              ' (' || array_to_string(c.reloptions, ', ') || ')', obj_description(c.oid, 'pg_class'))
		       || (SELECT string_agg(concat_ws(' ', '   ', a.attname, format_type(a.atttypid, a.atttypmod),
		                                       'COLLATE ' || nullif(nullif(a.attcollation, 0)::regcollation::text, '"default"'),
		                                       CASE WHEN a.attnotnull THEN 'NOT NULL' END, 'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid),
		                                       CASE a.attidentity WHEN 'a' THEN 'GENERATED ALWAYS AS IDENTITY' END,
		                                       '-- ' || col_description(c.oid, a.attnum)), E'\n' ORDER BY a.attnum)
		           FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
		       || CASE WHEN c.relkind = 'v' THEN E'\n' || pg_get_viewdef(c.oid, true) ELSE '' END
		FROM pg_class c WHERE ` + ours + ` AND c.relkind IN ('r', 'v') ORDER BY c.relkind, c.oid::regclass::text`, `
		SELECT format('constraint %s on %s: %s', k.conname, k.conrelid::regclass, pg_get_constraintdef(k.oid))
		FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
		WHERE ` + ours + ` AND k.contype <> 'n' ORDER BY k.conrelid::regclass::text, k.conname`, `
		SELECT pg_get_indexdef(c.oid) FROM pg_class c WHERE ` + ours + ` AND c.relkind = 'i' ORDER BY c.oid::regclass::text`, `
		SELECT pg_get_functiondef(p.oid) || '-- ' || obj_description(p.oid, 'pg_proc')
		FROM pg_proc p WHERE p.pronamespace IN ('partner_center'::regnamespace, 'partnersync'::regnamespace)
		ORDER BY p.oid::regprocedure::text`}
	var b strings.Builder
	for _, query := range queries {
		for _, object := range column(t, pool, query) {
			fmt.Fprintf(&b, "\n%s\n", object)
		}
	}
	return b.String()
}

// indexed are the columns of B-trees, with their positions in them.
const indexed = `(
	SELECT i.indexrelid::regclass::text AS name, c.relnamespace::regnamespace::text AS schema, i.indisunique AS is_key,
	       x.position, a.attname AS attribute, a.attcollation AS attcollation
	FROM pg_index i
	JOIN pg_class c ON c.oid = i.indrelid
	JOIN pg_class b ON b.oid = i.indexrelid
	JOIN pg_am m ON m.oid = b.relam AND m.amname = 'btree'
	CROSS JOIN unnest(i.indkey::smallint[]) WITH ORDINALITY AS x (attnum, position)
	JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = x.attnum
	WHERE ` + ours + `)`

// rules of the data contract, each with the question what breaks it, and a statement that would.
var rules = []struct{ rule, broken, crime string }{
	{"both schemas have a comment", `
		SELECT nspname::text FROM pg_namespace
		WHERE nspname IN ('partner_center', 'partnersync') AND coalesce(trim(obj_description(oid, 'pg_namespace')), '') = ''`,
		`COMMENT ON SCHEMA partner_center IS NULL`},
	{"every table and view has a comment", `
		SELECT c.oid::regclass::text FROM pg_class c
		WHERE ` + ours + ` AND c.relkind IN ('r', 'v', 'm', 'p') AND coalesce(trim(obj_description(c.oid, 'pg_class')), '') = ''`,
		`COMMENT ON VIEW partner_center.sync_runs IS ' '`},
	{"every column has a comment", `
		SELECT c.oid::regclass || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE ` + ours + ` AND c.relkind IN ('r', 'v', 'm', 'p') AND a.attnum > 0 AND NOT a.attisdropped
		  AND coalesce(trim(col_description(c.oid, a.attnum)), '') = ''`,
		`ALTER TABLE partnersync.runs ADD COLUMN more text`},
	{"every function has a comment", `
		SELECT p.oid::regprocedure::text FROM pg_proc p
		WHERE p.pronamespace IN ('partner_center'::regnamespace, 'partnersync'::regnamespace)
		  AND coalesce(trim(obj_description(p.oid, 'pg_proc')), '') = ''`,
		`CREATE FUNCTION partner_center.one() RETURNS integer LANGUAGE sql AS 'SELECT 1'`},
	{"every function is bound when it is made, or states its search path", `
		SELECT p.oid::regprocedure::text FROM pg_proc p
		WHERE p.pronamespace IN ('partner_center'::regnamespace, 'partnersync'::regnamespace) AND p.prosqlbody IS NULL
		  AND coalesce(p.proconfig, '{}') <> '{"search_path=pg_catalog, pg_temp"}'`,
		`CREATE FUNCTION partner_center.one() RETURNS integer LANGUAGE sql AS 'SELECT 1'`},
	{"every time is a timestamptz", `
		SELECT c.oid::regclass || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE ` + ours + ` AND a.attnum > 0 AND NOT a.attisdropped
		  AND a.atttypid IN ('timestamp'::regtype, 'time'::regtype, 'timetz'::regtype)`,
		`ALTER TABLE partnersync.workers ALTER COLUMN started_at TYPE timestamp`},
	{"keys of analysts' tables begin with customer_id", `
		SELECT name FROM ` + indexed + ` k
		WHERE schema = 'partner_center' AND is_key AND position = 1 AND attribute <> 'customer_id'`,
		`CREATE UNIQUE INDEX crime ON partner_center.device_batches (batch_id, customer_id)`},
	{"foreign keys of analysts' tables begin with customer_id", `
		SELECT f.conname::text FROM pg_constraint f
		JOIN pg_class c ON c.oid = f.conrelid
		JOIN pg_class d ON d.oid = f.confrelid
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = f.conkey[1]
		JOIN pg_attribute b ON b.attrelid = d.oid AND b.attnum = f.confkey[1]
		WHERE f.contype = 'f' AND 'partner_center'::regnamespace IN (c.relnamespace, d.relnamespace)
		  AND (a.attname <> 'customer_id' OR b.attname <> 'customer_id')`,
		`ALTER TABLE partner_center.device_batches ADD run_id bigint REFERENCES partnersync.runs`},
	{`text in keys is COLLATE "C"`, `
		SELECT name || '.' || attribute FROM ` + indexed + ` k WHERE is_key AND attcollation NOT IN (0, '"C"'::regcollation)`,
		`CREATE UNIQUE INDEX crime ON partnersync.workers (host)`},
	// Ids are cut at 1,000 bytes; the other words are our own or the configuration's.
	{"no B-tree on free text, which may be too long for one", `
		SELECT name || '.' || attribute FROM ` + indexed + ` k
		WHERE attcollation <> 0 AND attribute NOT IN ('batch_id', 'device_id', 'policy_id', 'partner', 'kind', 'resource', 'endpoint', 'type', 'subject')`,
		`CREATE INDEX crime ON partner_center.device_batches (customer_id, status)`},
	{"no trigger", `
		SELECT tgname::text FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid WHERE ` + ours + ` AND NOT g.tgisinternal`,
		`CREATE TRIGGER crime BEFORE UPDATE ON partnersync.runs FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`},
}

func TestSchema_keepsItsRules(t *testing.T) {
	t.Parallel()
	pool := storetest.New(t).Pool
	for _, r := range rules {
		t.Run(r.rule, func(t *testing.T) {
			if broken := column(t, pool, r.broken); len(broken) > 0 {
				t.Errorf("broken by %s", strings.Join(broken, ", "))
			}
		})
	}
}

func TestSchema_crimesAreFound(t *testing.T) {
	t.Parallel()
	pool := storetest.New(t).Pool
	for _, r := range rules {
		t.Run(r.rule, func(t *testing.T) {
			tx, err := pool.Begin(t.Context())
			ok(t, err)
			defer tx.Rollback(context.WithoutCancel(t.Context()))
			_, err = tx.Exec(t.Context(), r.crime)
			ok(t, err)
			if broken := column(t, tx, r.broken); len(broken) != 1 {
				t.Errorf("%s: found %v, want one", r.crime, broken)
			}
		})
	}
}
