package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/migrations"
	"partnersync/store/localpg"
)

// settings trade durability for speed, since the databases live for seconds, and leave room for parallel tests.
var settings = map[string]string{"fsync": "off", "full_page_writes": "off", "max_connections": "200"}

// kind is what a new database contains.
type kind int

const (
	empty kind = iota
	migrated
)

// cluster is the server with the databases of one test binary. It does nothing until a test needs a database.
type cluster struct {
	prefix  string // of the databases' names, different in each process
	count   atomic.Int64
	connect func() error // finds or starts the server, once
	migrate func() error // creates the template, once

	// Set by connect.
	admin    *pgxpool.Pool
	url      func(database string) string
	stop     func() error
	strategy string // the clause that makes copying a database quick
	citus    *Citus // over which migrated databases are distributed; nil: over none
}

// newCluster returns the cluster at a URL, or a private one for "".
func newCluster(server string) *cluster {
	c := &cluster{prefix: "partnersync_test_" + strings.ToLower(rand.Text()[:10]) + "_"}
	// All tests share the cluster, so that it must not end with the context of the first.
	c.connect = sync.OnceValue(func() error { return c.open(context.Background(), server) })
	c.migrate = sync.OnceValue(func() error { return c.makeTemplate(context.Background()) })
	return c
}

// open connects to the server, or starts one.
func (c *cluster) open(ctx context.Context, server string) error {
	address, stop := server, func() error { return nil }
	switch {
	case IsCitus():
		distributed, err := startCitus(ctx, citusSettings)
		if err != nil {
			return err
		}
		c.citus = distributed
		address, stop = distributed.nodes[0].URL("postgres"), distributed.stop
	case server == "":
		private, err := localpg.Start(ctx, localpg.Config{Settings: settings})
		if err != nil {
			return err
		}
		address, stop = private.URL("postgres"), private.Stop
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" {
		return fmt.Errorf("reading %s: it is no URL such as postgres://user@host/database", serverVariable)
	}
	admin, err := pgxpool.New(ctx, address)
	if err != nil {
		return errors.Join(err, stop())
	}
	var version int
	const query = `SELECT current_setting('server_version_num')::integer`
	if err := admin.QueryRow(ctx, query).Scan(&version); err != nil {
		admin.Close()
		return errors.Join(fmt.Errorf("asking the server for its version: %w", err), stop())
	}
	if version >= 15_00_00 { // older versions have no other strategy
		c.strategy = " STRATEGY file_copy"
	}
	c.admin, c.stop = admin, stop
	c.url = func(database string) string {
		u := *u
		u.Path = "/" + database
		return u.String()
	}
	return nil
}

func (c *cluster) template() string { return c.prefix + "template" }

// makeTemplate creates the database of which the migrated ones are copies. There may be no connections to it
// afterwards.
func (c *cluster) makeTemplate(ctx context.Context) error {
	if err := c.copy(ctx, "template0", c.template()); err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, c.url(c.template()))
	if err != nil {
		return err
	}
	defer pool.Close()
	return migrations.Up(ctx, pool)
}

// create creates a database and returns its name.
func (c *cluster) create(ctx context.Context, k kind) (string, error) {
	if c == nil {
		return "", errNoMain
	}
	if err := c.connect(); err != nil {
		return "", err
	}
	if c.citus != nil && k == migrated {
		return c.citus.take(ctx)
	}
	from := "template0"
	if k == migrated {
		if err := c.migrate(); err != nil {
			return "", fmt.Errorf("making the template database: %w", err)
		}
		from = c.template()
	}
	name := fmt.Sprintf("%s%d", c.prefix, c.count.Add(1))
	return name, c.copy(ctx, from, name)
}

// copy creates the database to as a copy of from. Neither name needs quoting.
func (c *cluster) copy(ctx context.Context, from, to string) error {
	if _, err := c.admin.Exec(ctx, "CREATE DATABASE "+to+" TEMPLATE "+from+c.strategy); err != nil {
		return fmt.Errorf("creating the database %s: %w", to, err)
	}
	return nil
}

// drop drops a database and ends the connections to it; a distributed one is given to the next test.
func (c *cluster) drop(ctx context.Context, name string) error {
	if c.citus != nil && strings.HasPrefix(name, "distributed_") {
		return c.citus.give(ctx, name)
	}
	if _, err := c.admin.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("dropping the database %s: %w", name, err)
	}
	return nil
}

// close drops the template and stops a private server, after all tests.
func (c *cluster) close(ctx context.Context) error {
	if c.admin == nil { // no test needed a database
		return nil
	}
	err := c.drop(ctx, c.template())
	c.admin.Close()
	return errors.Join(err, c.stop())
}
