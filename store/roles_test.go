package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/migrations"
	"partnersync/store/storetest"
)

// Roles of deploy/roles.sql.
const (
	owner   = "partnersync_owner"
	writer  = "partnersync_writer"
	analyst = "partnersync_analyst"
)

// rolesTest is a database with the three roles, and a login that is in one of them alone.
type rolesTest struct {
	*world
	db *storetest.DB
}

func newRolesTest(t *testing.T, db *storetest.DB) *rolesTest {
	t.Helper()
	r := &rolesTest{&world{t: t, url: db.URL, pool: db.Pool}, db}
	if r.lines("SELECT concat_ws('|', rolsuper OR rolcreaterole) FROM pg_roles WHERE rolname = current_user") != "t" {
		t.Skip("allowed: the server's role may not create roles")
	}
	return r
}

// apply runs deploy/roles.sql.
func (r *rolesTest) apply(pool *pgxpool.Pool) {
	r.t.Helper()
	text, err := os.ReadFile("../deploy/roles.sql")
	r.ok(err)
	_, err = pool.Exec(r.t.Context(), string(text))
	r.ok(err)
}

// login makes a login with the attributes, such as IN ROLE x, and returns the URL under which it connects.
func (r *rolesTest) login(attributes string) string {
	r.t.Helper()
	name, password := "partnersync_test_"+strings.ToLower(rand.Text()), rand.Text()
	r.exec(fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s' %s", name, password, attributes))
	r.t.Cleanup(func() {
		drop := []string{"REASSIGN OWNED BY %s TO CURRENT_USER", "DROP OWNED BY %s", "DROP ROLE %s"}
		if storetest.IsCitus() { // where the first crashes the server; what the login owned went with the test
			drop = drop[2:]
		}
		for _, sql := range drop {
			if _, err := r.pool.Exec(context.WithoutCancel(r.t.Context()), fmt.Sprintf(sql, name)); err != nil {
				r.t.Errorf("dropping a login: %v", err)
			}
		}
	})
	u, err := url.Parse(r.url)
	r.ok(err)
	u.User = url.UserPassword(name, password)
	return u.String()
}

// connect opens a pool of connections that end with the test.
func (r *rolesTest) connect(url string) *pgxpool.Pool {
	r.t.Helper()
	pool, err := OpenPool(r.t.Context(), url)
	r.ok(err)
	r.t.Cleanup(pool.Close)
	return pool
}

// orders are the ways to a migrated database with the roles.
var orders = []struct {
	name string
	open func(*testing.T) *rolesTest
}{
	{"roles before the migrations", func(t *testing.T) *rolesTest {
		r := newRolesTest(t, storetest.Empty(t))
		r.apply(r.pool)
		r.apply(r.pool)
		r.ok(migrations.Up(t.Context(), r.connect(r.login("IN ROLE "+owner))))
		return r
	}},
	{"roles after the migrations", func(t *testing.T) *rolesTest {
		r := newRolesTest(t, storetest.New(t))
		r.apply(r.pool)
		r.apply(r.pool)
		return r
	}},
	{"by one who is no superuser", func(t *testing.T) *rolesTest {
		r := newRolesTest(t, storetest.Empty(t))
		r.apply(r.pool) // or other tests would make the roles at the same time, and they would be theirs
		r.exec("DROP SCHEMA partnersync CASCADE")
		admin := r.login("CREATEROLE")
		r.exec(adminOfRoles(r, admin))
		pool := r.connect(admin)
		r.ok(migrations.Up(t.Context(), pool))
		r.apply(pool)
		r.apply(pool)
		return r
	}},
}

// adminOfRoles makes the login the owner of the database, and from PostgreSQL 16 on one who may grant the roles: a server
// before lets everyone who may create roles.
func adminOfRoles(r *rolesTest, login string) string {
	r.t.Helper()
	u, err := url.Parse(login)
	r.ok(err)
	sql := fmt.Sprintf("ALTER DATABASE %s OWNER TO %s", strings.TrimPrefix(u.Path, "/"), u.User.Username())
	if r.lines("SELECT concat_ws('|', current_setting('server_version_num')::int >= 160000)") == "t" {
		sql += fmt.Sprintf("; GRANT %s, %s, %s TO %s WITH ADMIN TRUE, INHERIT FALSE, SET FALSE", owner, writer, analyst,
			u.User.Username())
	}
	return sql
}

// TestRoles looks at what each role may do, and may not, in the outcome of each order.
func TestRoles(t *testing.T) {
	t.Parallel()
	for _, order := range orders {
		t.Run(order.name, func(t *testing.T) {
			t.Parallel()
			r := order.open(t)
			r.writerMakesWholePasses()
			r.writerCanOnlyAddToHistory()
			r.writerNeitherMakesNorDropsAnything()
			r.analystReadsPartnerCenter()
			r.analystDoesNothingElse()
			r.ownerMigratesDownAndUp()
			r.newThingsOfTheOwnerAreReadable()
		})
	}
}

// TestCitus_roles looks at what the roles may do once the tables are distributed, which takes roles on all nodes.
func TestCitus_roles(t *testing.T) {
	t.Parallel()
	if !storetest.IsCitus() {
		t.Skip("allowed: it takes a cluster")
	}
	r := newRolesTest(t, storetest.New(t))
	r.apply(r.pool)
	storetest.Distribute(t, r.db)
	r.writerMakesWholePasses()
	r.writerCanOnlyAddToHistory()
	r.writerNeitherMakesNorDropsAnything()
	r.analystReadsPartnerCenter()
}

// A login may be in a role without its rights, and take them by a setting: everything works as for one that inherits
// them.
func TestRoles_asTheSettingOfALogin(t *testing.T) {
	t.Parallel()
	r := newRolesTest(t, storetest.Empty(t))
	r.apply(r.pool)
	set := func(role string) (url string) {
		url = r.login("NOINHERIT IN ROLE " + role)
		u, err := pgconn.ParseConfig(url)
		r.ok(err)
		r.exec(fmt.Sprintf("ALTER ROLE %s SET role = %s", u.User, role))
		return url
	}
	r.mayMigrate(r.connect(set(writer)), false)
	pool := r.connect(set(owner))
	r.ok(migrations.Up(t.Context(), pool))
	r.ok(migrations.Down(t.Context(), pool, 0))
	r.ok(migrations.Up(t.Context(), pool))
	w := worldOver(t, set(writer))
	w.wholePasses()
	w.wantWholePasses()
	w.want(writer, "SELECT current_user::text")
	w.ok(New(pool, Options{}).CheckMayPrune(t.Context()))
}

// rights are all the rights that the three roles have to anything in the two schemas, and who owns it.
const rights = `SELECT concat_ws('|', r.rolname, n.what, has.privilege) FROM (
		SELECT 'schema ' || nspname AS what, nspname, nspacl AS acl, nspowner AS owner FROM pg_namespace
		UNION ALL
		SELECT c.oid::regclass::text, c.relnamespace::regnamespace::text, c.relacl, c.relowner FROM pg_class c WHERE relkind IN ('r', 'v')
		UNION ALL
		SELECT p.oid::regprocedure::text, p.pronamespace::regnamespace::text, p.proacl, p.proowner FROM pg_proc p
	) n
	CROSS JOIN pg_roles r
	CROSS JOIN LATERAL (
		SELECT 'OWNER' AS privilege WHERE n.owner = r.oid
		UNION ALL
		SELECT x.privilege_type FROM aclexplode(n.acl) x WHERE x.grantee = r.oid AND r.rolname <> 'partnersync_owner'
	) has
	WHERE n.nspname IN ('partner_center', 'partnersync') AND r.rolname LIKE 'partnersync\_%' AND r.rolname !~ '^partnersync_test'
	ORDER BY 1`

func TestRoles_areTheSameInEachOrder(t *testing.T) {
	t.Parallel()
	var want string
	for i, order := range orders {
		got := order.open(t).lines(rights)
		if i == 0 {
			want = got
		}
		if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
			t.Errorf("%s: rights (-%s +these)\n%s", order.name, orders[0].name, diff)
		}
	}
	for _, right := range []string{
		"partnersync_owner|partner_center.devices|OWNER", "partnersync_owner|schema partner_center|OWNER",
		"partnersync_writer|partner_center.device_versions|INSERT", "partnersync_analyst|partner_center.device_versions|SELECT",
	} {
		if !slices.Contains(strings.Split(want, "\n"), right) {
			t.Errorf("%s is missing in\n%s", right, want)
		}
	}
}

func TestRoles_whatWasGrantedByHandIsTakenBack(t *testing.T) {
	t.Parallel()
	r := orders[1].open(t)
	want := r.lines(rights)
	r.exec(`GRANT ALL ON ALL TABLES IN SCHEMA partner_center, partnersync TO partnersync_writer, partnersync_analyst;
		GRANT USAGE ON SCHEMA partnersync TO partnersync_analyst; ALTER TABLE partnersync.runs OWNER TO CURRENT_USER`)
	r.apply(r.pool)
	if diff := cmp.Diff(want, r.lines(rights)); diff != "" {
		t.Errorf("rights: (-before +after)\n%s", diff)
	}
}

func (r *rolesTest) writerMakesWholePasses() {
	r.t.Helper()
	w := worldOver(r.t, r.login("IN ROLE "+writer))
	state, err := migrations.Read(r.t.Context(), w.pool)
	if w.ok(err); state.Behind() || state.Ahead() {
		r.t.Errorf("the writer sees %+v, want it current", state)
	}
	w.ok(migrations.Up(r.t.Context(), w.pool)) // there is nothing to do, as a daemon finds at its start
	w.wholePasses()
	w.wantWholePasses()
}

// refused tries statements that are to be refused for want of rights. Each is about %s, one of what.
func (r *rolesTest) refused(pool *pgxpool.Pool, what []string, statements ...string) {
	r.t.Helper()
	for _, statement := range statements {
		for _, name := range what {
			sql := strings.ReplaceAll(statement, "%s", name)
			_, err := pool.Exec(r.t.Context(), sql)
			e, ok := err.(*pgconn.PgError)
			unsupported := ok && storetest.IsCitus() && e.Code == "0A000" // a cluster refuses it to everybody
			if !ok || e.Code != "42501" && !unsupported {                 // insufficient_privilege
				r.t.Errorf("%s: %v, want it refused", sql, err)
			}
		}
	}
}

// names returns the names of what there is in the two schemas.
func (r *rolesTest) names(query string) []string {
	r.t.Helper()
	all := strings.Split(r.lines(query), "\n")
	if len(all[0]) == 0 {
		r.t.Fatalf("nothing is selected by %s", query)
	}
	return all
}

const (
	tablesOf    = "SELECT concat_ws('|', oid::regclass) FROM pg_class WHERE relkind = 'r' AND relnamespace = "
	viewsOf     = "SELECT concat_ws('|', oid::regclass) FROM pg_class WHERE relkind = 'v' AND relnamespace = "
	functionsOf = "SELECT concat_ws('|', oid::regprocedure) FROM pg_proc WHERE pronamespace = "
	public      = "'partner_center'::regnamespace"
	machinery   = "'partnersync'::regnamespace"
)

func (r *rolesTest) writerCanOnlyAddToHistory() {
	r.t.Helper()
	pool := r.connect(r.login("IN ROLE " + writer))
	r.refused(pool, r.names(tablesOf+public+` AND relname LIKE '%\_versions'`),
		"UPDATE %s SET customer_id = customer_id", "DELETE FROM %s", "TRUNCATE %s", "SELECT 1 FROM %s FOR UPDATE")
}

func (r *rolesTest) writerNeitherMakesNorDropsAnything() {
	r.t.Helper()
	pool := r.connect(r.login("IN ROLE " + writer))
	tables := slices.Concat(r.names(tablesOf+public), r.names(tablesOf+machinery+" AND relname NOT LIKE 'goose%'"))
	r.refused(pool, tables, "DROP TABLE %s", "TRUNCATE %s", "ALTER TABLE %s ADD COLUMN more text", "CREATE INDEX ON %s (customer_id)",
		"COMMENT ON TABLE %s IS NULL")
	r.refused(pool, r.names(tablesOf+public), "DELETE FROM %s")
	r.refused(pool, r.names(viewsOf+public), "DROP VIEW %s")
	r.refused(pool, r.names(functionsOf+public), "DROP FUNCTION %s")
	r.refused(pool, []string{"partner_center", "partnersync"}, "DROP SCHEMA %s CASCADE", "CREATE TABLE %s.mine (id int)",
		"CREATE FUNCTION %s.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'")
	r.refused(pool, []string{"mine"}, "CREATE SCHEMA %s")
	r.refused(pool, []string{owner, analyst}, "SET ROLE %s")
	r.mayMigrate(pool, false)
	r.refused(pool, []string{"partnersync.goose_db_version", "partnersync.goose_lock"}, "DROP TABLE %s", "DELETE FROM %s", "TRUNCATE %s",
		"INSERT INTO %s DEFAULT VALUES")
	r.refused(pool, []string{"partnersync.grant_rights()"}, "CALL %s")
	r.refused(pool, []string{"partnersync.goose_lock"}, "SELECT * FROM %s")
}

var deletes = regexp.MustCompile(`DELETE FROM (partner\w+\.\w+)`)

// TestRoles_writerDeletesWhatTheStoreDeletes compares the rights with the SQL of this package and the outbox.
func TestRoles_writerDeletesWhatTheStoreDeletes(t *testing.T) {
	t.Parallel()
	r := orders[1].open(t)
	files, err := filepath.Glob("*.go")
	r.ok(err)
	outboxFiles, err := filepath.Glob("outbox/*.go")
	r.ok(err)
	var want []string
	for _, file := range append(files, outboxFiles...) {
		text, err := os.ReadFile(file)
		r.ok(err)
		for _, match := range deletes.FindAllStringSubmatch(string(text), -1) {
			byOwner := file == "prune.go" && strings.HasPrefix(match[1], "partner_center.")
			if !strings.HasSuffix(file, "_test.go") && !byOwner {
				want = append(want, match[1])
			}
		}
	}
	slices.Sort(want)
	got := r.lines(`SELECT concat_ws('|', c.oid::regclass) FROM pg_class c WHERE relkind = 'r' AND relnamespace IN (` + public + `, ` + machinery + `)
		AND has_table_privilege('partnersync_writer', c.oid, 'DELETE') ORDER BY c.oid::regclass::text COLLATE "C"`)
	if diff := cmp.Diff(strings.Join(slices.Compact(want), "\n"), got); diff != "" {
		t.Errorf("tables that the writer may delete from: (-store +roles.sql)\n%s", diff)
	}
}

func (r *rolesTest) analystReadsPartnerCenter() {
	r.t.Helper()
	pool := r.connect(r.login("IN ROLE " + analyst))
	readable := slices.Concat(r.names(tablesOf+public), r.names(viewsOf+public))
	for _, function := range r.names(functionsOf + public) {
		name, arguments, _ := strings.Cut(strings.TrimSuffix(function, ")"), "(")
		calls := strings.Split(arguments, ",")
		for i, typ := range calls {
			calls[i] = "NULL::" + typ
		}
		readable = append(readable, name+"("+strings.Join(calls, ", ")+")")
	}
	for _, name := range readable {
		_, err := pool.Exec(r.t.Context(), "SELECT * FROM "+name)
		r.ok(err)
	}
}

func (r *rolesTest) analystDoesNothingElse() {
	r.t.Helper()
	pool := r.connect(r.login("IN ROLE " + analyst))
	r.refused(pool, r.names(tablesOf+machinery), "SELECT 1 FROM %s", "DELETE FROM %s")
	r.refused(pool, r.names(tablesOf+public), "INSERT INTO %s (customer_id) VALUES (gen_random_uuid())",
		"UPDATE %s SET customer_id = customer_id", "DELETE FROM %s", "TRUNCATE %s", "DROP TABLE %s")
	r.refused(pool, []string{"partner_center", "partnersync"}, "CREATE TABLE %s.mine (id int)", "DROP SCHEMA %s CASCADE")
	// Not only for want of the schema.
	r.want("0", "SELECT concat_ws('|', count(*)) FROM pg_class c WHERE relnamespace = "+machinery+" AND relkind = 'r'"+
		" AND has_table_privilege('partnersync_analyst', c.oid, 'SELECT, INSERT, UPDATE, DELETE')")
}

func (r *rolesTest) ownerMigratesDownAndUp() {
	r.t.Helper()
	want := r.lines(rights)
	pool := r.connect(r.login("IN ROLE " + owner))
	r.mayMigrate(pool, true)
	r.ok(migrations.Down(r.t.Context(), pool, 0))
	r.mayMigrate(pool, true)
	r.mayMigrate(r.connect(r.login("IN ROLE "+writer)), false)
	r.ok(migrations.Up(r.t.Context(), pool))
	if diff := cmp.Diff(want, r.lines(rights)); diff != "" {
		r.t.Errorf("rights after going down and up: (-before +after)\n%s", diff)
	}
	r.refused(pool, []string{"mine"}, "CREATE ROLE %s", "CREATE DATABASE %s")
}

func (r *rolesTest) mayMigrate(pool *pgxpool.Pool, want bool) {
	r.t.Helper()
	if got, err := migrations.Allowed(r.t.Context(), pool); err != nil || got != want {
		r.t.Errorf("may migrate: %t, error %v, want %t", got, err, want)
	}
}

// newThingsOfTheOwnerAreReadable looks at what the owner makes without a migration.
func (r *rolesTest) newThingsOfTheOwnerAreReadable() {
	r.t.Helper()
	pool := r.connect(r.login("IN ROLE " + owner))
	_, err := pool.Exec(r.t.Context(), `
		SET ROLE partnersync_owner;
		CREATE TABLE partner_center.later (customer_id uuid);
		CREATE VIEW partner_center.later_still AS SELECT * FROM partner_center.later;
		CREATE FUNCTION partner_center.latest() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM partner_center.later';
		REVOKE EXECUTE ON FUNCTION partner_center.latest() FROM PUBLIC;
		CREATE TABLE partnersync.secret (id int);
		RESET ROLE`)
	r.ok(err)
	for _, role := range []string{writer, analyst} {
		pool := r.connect(r.login("IN ROLE " + role))
		for _, name := range []string{"later", "later_still"} {
			_, err := pool.Exec(r.t.Context(), "SELECT * FROM partner_center."+name)
			r.ok(err)
		}
		r.refused(pool, []string{"partner_center.later"}, "INSERT INTO %s DEFAULT VALUES", "DELETE FROM %s")
		r.refused(pool, []string{"partnersync.secret"}, "SELECT * FROM %s")
	}
	_, err = r.connect(r.login("IN ROLE "+analyst)).Exec(r.t.Context(), "SELECT partner_center.latest()")
	r.ok(err)
}

func TestRoles_newTablesOfALaterMigrationAreGranted(t *testing.T) {
	t.Parallel()
	r := orders[0].open(t)
	pool := r.connect(r.login("IN ROLE " + owner))
	newest := migrations.Newest()
	r.ok(migrations.Down(t.Context(), pool, newest-4))
	r.ok(migrations.Up(t.Context(), r.connect(r.login("IN ROLE "+owner)))) // another one
	if diff := cmp.Diff(orders[1].open(t).lines(rights), r.lines(rights)); diff != "" {
		t.Errorf("rights: (-want +got)\n%s", diff)
	}
}
