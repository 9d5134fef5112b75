package storetest

import (
	"context"
	"errors"
	"fmt"
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
	"citus.node_conninfo": "sslmode=prefer", "citus.recover_2pc_interval": "5s",
}

// citus is a coordinator and two workers. A template does not copy the workers' shards, so that a database is used by one
// test after the other, and emptied between them.
type citus struct {
	coordinator *localpg.Server
	workers     []*localpg.Server

	mu      sync.Mutex
	free    []string          // databases that no test uses
	objects map[string]string // what each database has, when it is made
}

// startCitus starts the cluster's servers.
func startCitus(ctx context.Context) (c *citus, err error) {
	c = &citus{objects: map[string]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	if c.coordinator, err = localpg.Start(ctx, localpg.Config{Settings: citusSettings}); err != nil {
		return c, fmt.Errorf("starting the coordinator of a Citus cluster, whose extension the server's binaries must have: %w", err)
	}
	for range 2 {
		worker, err := localpg.Start(ctx, localpg.Config{Settings: citusSettings})
		if err != nil {
			return c, fmt.Errorf("starting a worker of a Citus cluster: %w", err)
		}
		c.workers = append(c.workers, worker)
	}
	return c, nil
}

func (c *citus) stop() (err error) {
	for _, server := range append(c.workers, c.coordinator) {
		if server != nil {
			err = errors.Join(err, server.Stop())
		}
	}
	return err
}

// take returns the name of a distributed database that is empty.
func (c *citus) take(ctx context.Context) (name string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last := len(c.free) - 1; last >= 0 {
		name, c.free = c.free[last], c.free[:last]
		return name, nil
	}
	name = fmt.Sprint("distributed_", len(c.objects)+1)
	c.objects[name] = "" // the name is taken
	if err := c.create(ctx, name); err != nil {
		return "", err
	}
	c.objects[name], err = c.readObjects(ctx, name)
	return name, err
}

// readObjects returns the ids, names and owners of all tables and views with their triggers and functions, the rights to them, and how they are distributed.
func (c *citus) readObjects(ctx context.Context, name string) (objects string, err error) {
	const query = `
		SELECT concat_ws('; ',
		           string_agg(concat_ws(' ', c.oid, c.relname, c.relowner, c.relacl, p.partmethod, p.colocationid), ',' ORDER BY c.oid),
		           (SELECT string_agg(oid::text, ',' ORDER BY oid) FROM pg_trigger WHERE NOT tgisinternal),
		           (SELECT string_agg(oid::text, ',' ORDER BY oid) FROM pg_proc
		            WHERE pronamespace IN (to_regnamespace('partner_center'), to_regnamespace('partnersync'))))
		FROM pg_class c
		LEFT JOIN pg_dist_partition p ON p.logicalrelid = c.oid
		WHERE c.relnamespace IN (to_regnamespace('partner_center'), to_regnamespace('partnersync'))`
	conn, err := pgx.Connect(ctx, c.coordinator.URL(name))
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, query).Scan(&objects)
	return objects, err
}

// create makes a database on each node, migrates it, and distributes it as deploy/citus.sql does.
func (c *citus) create(ctx context.Context, name string) error {
	for _, server := range append(c.workers, c.coordinator) {
		if err := execOn(ctx, server.URL("postgres"), "CREATE DATABASE "+name); err != nil {
			return err
		}
		if err := execOn(ctx, server.URL(name), "CREATE EXTENSION citus"); err != nil {
			return err
		}
	}
	join := []string{nodeSQL("citus_set_coordinator_host", c.coordinator)}
	for _, worker := range c.workers {
		join = append(join, nodeSQL("citus_add_node", worker))
	}
	if err := execOn(ctx, c.coordinator.URL(name), join...); err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, c.coordinator.URL(name))
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := migrations.Up(ctx, pool); err != nil {
		return err
	}
	_, here, _, _ := runtime.Caller(0)
	distribute := filepath.Join(filepath.Dir(here), "../../deploy/citus.sql")
	psql := exec.CommandContext(ctx, "sh", "-c", c.coordinator.PsqlCommand(name)+` -q -v ON_ERROR_STOP=1 -f "$1"`, "", distribute)
	if output, err := psql.CombinedOutput(); err != nil {
		return fmt.Errorf("distributing the tables: %w: %s", err, output)
	}
	return nil
}

// nodeSQL calls a function about a node, which the others reach by its socket.
func nodeSQL(function string, server *localpg.Server) string {
	config, err := pgx.ParseConfig(server.URL("postgres"))
	if err != nil {
		panic(err) // localpg made it
	}
	return fmt.Sprintf("SELECT %s('%s', %d)", function, config.Host, config.Port)
}

// give takes a database back, and empties it. One whose tables a test has made anew is not used again.
func (c *citus) give(ctx context.Context, name string) error {
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
	if err := execOn(ctx, c.coordinator.URL(name), end); err != nil {
		return err
	}
	if objects, err := c.readObjects(ctx, name); err != nil || objects != c.objects[name] {
		return err
	}
	if err := execOn(ctx, c.coordinator.URL(name), empty); err != nil {
		return fmt.Errorf("emptying the database %s: %w", name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.free = append(c.free, name)
	return nil
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

// SkipRefused skips a test on a cluster that refuses a statement of the test's own, by which it makes what is to be there.
func SkipRefused(t testing.TB, err error) {
	t.Helper()
	e, ok := errors.AsType[*pgconn.PgError](err)
	if IsCitus() && ok && (e.Code == notSupported || e.Code == invalidDatetime) {
		t.Skipf("allowed: a cluster refuses by what the test makes what is there: %v", err)
	}
}

// What a cluster answers to a statement that it does not plan, and to a date that it computes although nobody asks for it.
const (
	notSupported    = "0A000"
	invalidDatetime = "22007"
)

// IsCitus reports whether New gives databases that are distributed over a Citus cluster.
func IsCitus() bool { return os.Getenv(citusVariable) != "" }
