package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/migrations"
	"partnersync/store/localpg"
)

// citusVariable is the environment variable that has New give databases that are distributed over a Citus cluster.
const citusVariable = "TEST_CITUS"

// citusSettings are those of each node: few shards, so that the tests are quick.
var citusSettings = map[string]string{
	"fsync": "off", "full_page_writes": "off", "max_connections": "200", "shared_preload_libraries": "citus",
	"max_prepared_transactions": "200", "wal_level": "logical", "citus.shard_count": "4",
	"citus.node_conninfo": "sslmode=prefer", "citus.recover_2pc_interval": "5s", "citus.max_cached_conns_per_worker": "4",
}

// Citus is a cluster of a coordinator and two workers. A template does not copy the workers' shards, so that a database
// is used by one test after the other, and emptied between them.
type Citus struct {
	nodes []*Node // the coordinator first

	mu      sync.Mutex
	free    []string          // databases that no test uses
	objects map[string]string // what each database has, when it is made
}

// NewCitus starts a cluster of the test's own, with further settings of its nodes.
func NewCitus(t testing.TB, further map[string]string) *Citus {
	t.Helper()
	settings := maps.Clone(citusSettings)
	maps.Copy(settings, further)
	c, err := startCitus(t.Context(), settings)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	t.Cleanup(func() {
		if err := c.stop(); err != nil {
			t.Errorf("storetest: %v", err)
		}
	})
	return c
}

// startCitus starts the cluster's servers.
func startCitus(ctx context.Context, settings map[string]string) (c *Citus, err error) {
	c = &Citus{objects: map[string]string{}}
	for range 3 {
		node, err := startNode(ctx, settings)
		if err != nil {
			return c, errors.Join(c.stop(),
				fmt.Errorf("starting a node of a Citus cluster, whose extension the server's binaries must have: %w", err))
		}
		c.nodes = append(c.nodes, node)
	}
	return c, nil
}

func (c *Citus) stop() (err error) {
	for _, node := range c.nodes {
		err = errors.Join(err, node.stop())
	}
	return err
}

// take returns the name of a distributed database that is empty.
func (c *Citus) take(ctx context.Context) (name string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last := len(c.free) - 1; last >= 0 {
		name, c.free = c.free[last], c.free[:last]
		return name, nil
	}
	name = fmt.Sprint("distributed_", len(c.objects)+1)
	c.objects[name] = "" // the name is taken
	if err := c.Create(ctx, name); err != nil {
		return "", err
	}
	c.objects[name], err = c.readObjects(ctx, name)
	return name, err
}

// readObjects returns the ids, names and owners of all tables and views with their triggers and functions, the rights
// to them, how they are distributed, the database's settings, the migrations, and where the nodes are.
func (c *Citus) readObjects(ctx context.Context, name string) (objects string, err error) {
	const query = `
		SELECT concat_ws('; ', (SELECT string_agg(concat_ws(' ', nodename, nodeport), ',' ORDER BY nodeid) FROM pg_dist_node),
		           string_agg(concat_ws(' ', c.oid, c.relname, c.relowner, c.relacl, p.partmethod, p.colocationid), ',' ORDER BY c.oid),
		           (SELECT string_agg(s.setconfig::text, ',') FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
		            WHERE d.datname = current_database()),
		           query_to_xml('TABLE partnersync.goose_db_version', true, false, ''),
		           (SELECT string_agg(oid::text, ',' ORDER BY oid) FROM pg_trigger WHERE NOT tgisinternal),
		           (SELECT string_agg(oid::text, ',' ORDER BY oid) FROM pg_proc
		            WHERE pronamespace IN (to_regnamespace('partner_center'), to_regnamespace('partnersync'))))
		FROM pg_class c
		LEFT JOIN pg_dist_partition p ON p.logicalrelid = c.oid
		WHERE c.relnamespace IN (to_regnamespace('partner_center'), to_regnamespace('partnersync'))`
	conn, err := pgx.Connect(ctx, c.nodes[0].URL(name))
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, query).Scan(&objects)
	return objects, err
}

// Coordinator returns the server that the others are asked through.
func (c *Citus) Coordinator() *localpg.Server { return c.nodes[0].Server }

// Create makes a database on each node, migrates it, and distributes it.
func (c *Citus) Create(ctx context.Context, name string) error {
	var join []string
	for i, node := range c.nodes {
		if err := execOn(ctx, node.URL("postgres"), "CREATE DATABASE "+name); err != nil {
			return err
		}
		if err := execOn(ctx, node.URL(name), "CREATE EXTENSION citus"); err != nil {
			return err
		}
		function := "citus_add_node"
		if i == 0 {
			function = "citus_set_coordinator_host"
		}
		join = append(join, nodeSQL(function, node.URL(name)))
	}
	url := c.nodes[0].URL(name)
	if err := execOn(ctx, url, join...); err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := migrations.Up(ctx, pool); err != nil {
		return err
	}
	return c.distribute(ctx, name)
}

// Distribute runs deploy/citus.sql again, as is done after a migration. Where there is no cluster, it does nothing.
func Distribute(t testing.TB, db *DB) {
	t.Helper()
	if !IsCitus() {
		return
	}
	if err := shared.citus.distribute(t.Context(), db.Pool.Config().ConnConfig.Database); err != nil {
		t.Fatalf("storetest: %v", err)
	}
}

func (c *Citus) distribute(ctx context.Context, name string) error {
	_, here, _, _ := runtime.Caller(0)
	distribute := filepath.Join(filepath.Dir(here), "../../deploy/citus.sql")
	psql := exec.CommandContext(ctx, "sh", "-c", c.nodes[0].PsqlCommand(name)+` -q -v ON_ERROR_STOP=1 -f "$1"`, "", distribute)
	if output, err := psql.CombinedOutput(); err != nil {
		return fmt.Errorf("distributing the tables: %w: %s", err, output)
	}
	return nil
}

// nodeSQL calls a function about a node, which the others reach where that URL leads.
func nodeSQL(function, url string) string {
	config := parsed(url)
	return fmt.Sprintf("SELECT %s('%s', %d)", function, config.Host, config.Port)
}

func parsed(url string) *pgx.ConnConfig {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		panic(err) // localpg or a Proxy made it
	}
	return config
}

// give takes a database back, and empties it. One whose tables a test has made anew is not used again, nor is one whose
// nodes are elsewhere now.
func (c *Citus) give(ctx context.Context, name string) error {
	const empty = `
		DO $$
		DECLARE
		    tables text;
		BEGIN
		    SELECT string_agg(c.oid::regclass::text, ', ') INTO tables
		    FROM pg_class c
		    WHERE c.relnamespace IN ('partner_center'::regnamespace, 'partnersync'::regnamespace) AND c.relkind = 'r'
		      AND c.relname NOT LIKE 'goose%' AND NOT c.relispartition;
		    EXECUTE 'TRUNCATE ' || tables || ' RESTART IDENTITY';
		END
		$$`
	// A test that failed may have left a transaction open.
	const end = `
		SELECT pg_terminate_backend(pid)
		FROM pg_stat_activity
		WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`
	if err := execOn(ctx, c.nodes[0].URL(name), end); err != nil {
		return err
	}
	if objects, err := c.readObjects(ctx, name); err != nil || objects != c.objects[name] {
		return err
	}
	if err := execOn(ctx, c.nodes[0].URL(name), empty); err != nil {
		return fmt.Errorf("emptying the database %s: %w", name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.free = append(c.free, name)
	return nil
}

// WorkerProxies has the nodes of a database that is distributed reach its workers by proxies from now on.
func WorkerProxies(t testing.TB, db *DB) (all []*Proxy) {
	t.Helper()
	const move = `SELECT citus_update_node(nodeid, $2, $3) FROM pg_dist_node WHERE nodename = $1`
	for _, node := range shared.citus.nodes[1:] {
		direct := node.URL(db.Pool.Config().ConnConfig.Database)
		p := NewProxy(t, direct)
		from, to := parsed(direct), parsed(p.URL)
		if _, err := db.Pool.Exec(t.Context(), move, from.Host, to.Host, to.Port); err != nil {
			t.Fatalf("storetest: having a worker reached by a proxy: %v", err)
		}
		all = append(all, p)
	}
	return all
}

// execOn runs statements, each in a transaction of its own.
func execOn(ctx context.Context, url string, statements ...string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("running %s: %w", sql, err)
		}
	}
	return nil
}

// SkipRefused skips a test on a cluster that refuses a statement of the test's own, by which it makes what is to be
// there.
func SkipRefused(t testing.TB, err error) {
	t.Helper()
	e, ok := errors.AsType[*pgconn.PgError](err)
	if IsCitus() && ok && (e.Code == notSupported || e.Code == invalidDatetime) {
		t.Skipf("allowed: a cluster refuses by what the test makes what is there: %v", err)
	}
}

// What a cluster answers to a statement that it does not plan, and to a date that it computes although nobody asks for
// it.
const (
	notSupported    = "0A000"
	invalidDatetime = "22007"
)

// IsCitus reports whether New gives databases that are distributed over a Citus cluster.
func IsCitus() bool { return os.Getenv(citusVariable) != "" }
