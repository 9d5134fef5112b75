//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"partnersync/store/storetest"
)

// findPgBouncer returns the program and its version as major*100 + minor.
func findPgBouncer(t *testing.T) (path string, version int) {
	t.Helper()
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer", "/opt/homebrew/opt/pgbouncer/bin/pgbouncer",
		"/usr/local/opt/pgbouncer/bin/pgbouncer"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		output, err := exec.CommandContext(t.Context(), path, "--version").Output()
		match := regexp.MustCompile(`PgBouncer (\d+)\.(\d+)`).FindSubmatch(output)
		if err != nil || match == nil {
			t.Fatalf("%s --version: %v\n%s", path, err, output)
		}
		major, _ := strconv.Atoi(string(match[1])) // digits, by the pattern
		minor, _ := strconv.Atoi(string(match[2]))
		return path, major*100 + minor
	}
	t.Fatal("PgBouncer is missing: install the package pgbouncer (Debian and Homebrew call it so), or run " +
		"deploy/test, which does")
	return "", 0
}

// newPooler starts a PgBouncer in transaction mode in front of the database, with further settings, and returns the
// database's URL through it.
func newPooler(t *testing.T, database string, settings ...string) string {
	t.Helper()
	path, version := findPgBouncer(t)
	if version >= 121 {
		settings = append(settings, "max_prepared_statements = 0") // earlier ones know no prepared statements at all
	}
	server, err := pgx.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	dir, credential := poolerHome(t)
	config := filepath.Join(dir, "pgbouncer.ini")
	password := ""
	if server.Password != "" {
		password = " password='" + strings.ReplaceAll(server.Password, "'", "''") + "'"
	}
	text := fmt.Sprintf("[databases]\n* = host=%s port=%d user=%s%s\n\n[pgbouncer]\n"+
		"pool_mode = transaction\nauth_type = any\nlisten_port = 6432\nunix_socket_dir = %s\n%s\n",
		server.Host, server.Port, server.User, password, dir, strings.Join(settings, "\n"))
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), path, config)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential} // PgBouncer refuses to run as root
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("log of PgBouncer:\n%s", &log)
		}
	})
	u := url.URL{Scheme: "postgres", User: url.User(server.User), Path: "/" + server.Database,
		RawQuery: url.Values{"host": {dir}, "port": {"6432"}}.Encode()}
	storetest.Eventually(t, func() (string, bool) {
		conn, err := pgx.Connect(t.Context(), u.String())
		if err != nil {
			return err.Error(), false
		}
		return "", conn.Close(t.Context()) == nil
	})
	return u.String()
}

// poolerHome returns a directory for PgBouncer, and for root the account that owns it and the private server's socket.
func poolerHome(t *testing.T) (dir string, credential *syscall.Credential) {
	t.Helper()
	// t.TempDir is closed to other accounts, and its path too long for a socket
	dir, err := os.MkdirTemp("", "pgbouncer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if os.Geteuid() != 0 {
		return dir, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		account, err = user.Lookup("nobody")
	}
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.ParseUint(account.Uid, 10, 32) // numbers, but on systems that have no root
	gid, _ := strconv.ParseUint(account.Gid, 10, 32)
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		t.Fatal(err)
	}
	return dir, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// execMode is the setting that README names for poolers without prepared statements.
const execMode = "&default_query_exec_mode=exec"

func TestPgBouncer_everyCommandThroughIt(t *testing.T) {
	t.Parallel()
	db := storetest.Empty(t)
	storetest.Shadow(t, db.Pool) // a search path cannot be set at the start of a connection
	p := newProgram(t, db.URL)
	p.direct += "&search_path=pg_catalog" // what the test itself asks
	p.env["DATABASE_URL"] = newPooler(t, db.URL) + execMode
	p.customers(3, "queued")
	if out, _ := p.exits(0, "--dry-run", "--once"); !strings.Contains(out, "3 to insert") {
		t.Errorf("dry run: %s", out)
	}
	out, log := p.exits(0, "--once")
	if !strings.Contains(log, "schema migrated") || !strings.Contains(out, "3 inserted") {
		t.Errorf("first pass: %s%s", out, log)
	}
	p.status(3, "processing")
	if out, _ := p.exits(0, "--once"); !strings.Contains(out, "3 changed") {
		t.Errorf("second pass: %s", out)
	}
	p.status(3, "finished")
	if out, _ := p.exits(0, "--backfill"); !strings.Contains(out, "3 changed") {
		t.Errorf("backfill: %s", out)
	}
	d := p.daemon("daemon")
	d.logged(2, "pass finished")
	d.stop()
	d.wantLines(0, `"level":"ERROR"`)
	p.want("9|3", "SELECT count(*), count(*) FILTER (WHERE is_current) FROM "+
		"partner_center.device_batch_history")
	p.exits(0, "migrate", "down", "--to", "0", "--yes")
	p.exits(0, "migrate", "up")
	p.want("0", "SELECT count(*) FROM partner_center.device_batches")
}

// With one connection to the server, what a session keeps would still be there afterwards.
func TestPgBouncer_nothingIsKeptInASession(t *testing.T) {
	t.Parallel()
	p := newProgram(t, storetest.Empty(t).URL)
	pooler := newPooler(t, p.direct, "default_pool_size = 1")
	p.env["DATABASE_URL"] = pooler + execMode
	p.customers(3, "queued")
	p.exits(0, "--once")
	p.status(3, "finished")
	p.exits(0, "--backfill")
	p.direct = pooler
	for _, query := range []string{
		"SELECT count(*) FROM pg_prepared_statements",
		"SELECT count(*) FROM pg_cursors",
		"SELECT count(*) FROM pg_listening_channels()",
		`SELECT count(*) FROM pg_locks
		 WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
		"SELECT count(*) FROM pg_class WHERE relpersistence = 't'",
		// PgBouncer itself hands on the settings that the clients began with.
		`SELECT count(*) FROM pg_settings
		 WHERE source = 'session' AND name NOT IN ('application_name', 'client_encoding', 'DateStyle', 'IntervalStyle',
		       'TimeZone', 'standard_conforming_strings')`,
	} {
		p.want("0", query)
	}
}

func TestPgBouncer_replicasShareFewConnections(t *testing.T) {
	t.Parallel()
	const customers, replicas = 40, 3
	p := newProgram(t, storetest.Empty(t).URL)
	p.env["DATABASE_URL"] = newPooler(t, p.direct, "default_pool_size = 2") + execMode
	p.customers(customers, "queued")
	var daemons []*daemon
	for i := range replicas {
		daemons = append(daemons, p.daemon(fmt.Sprint("replica", i))) // they migrate at the same time too
	}
	statuses := []string{"queued", "processing", "finished"}
	for i, status := range statuses {
		p.status(customers, status)
		p.until(fmt.Sprint(customers*(i+1)), "SELECT count(*) FROM partner_center.device_batch_history")
	}
	p.until(fmt.Sprint(replicas), "SELECT count(*) FROM partnersync.workers")
	for _, d := range daemons {
		d.stop()
		d.wantLines(0, `"level":"ERROR"`)
		d.wantLines(0, "taken over")
	}
	p.want("0", "SELECT count(*) FROM partner_center.sync_runs WHERE state NOT IN ('complete', 'abandoned') OR "+
		"customers_failed > 0")
	p.want(fmt.Sprintf("%d|%d", customers, 2*customers),
		"SELECT sum(inserted), sum(changed) FROM partner_center.sync_runs")
	p.want(fmt.Sprint(customers), `
		SELECT count(*) FROM (
		    SELECT FROM partner_center.device_batch_history
		    GROUP BY customer_id
		    HAVING array_agg(status ORDER BY valid_from) = '{queued,processing,finished}') t`)
}

func TestPgBouncer_withoutTheSettingTheErrorNamesIt(t *testing.T) {
	t.Parallel()
	p := newProgram(t, storetest.New(t).URL)
	p.customers(3, "queued")
	p.env["DATABASE_URL"] = newPooler(t, p.direct, "default_pool_size = 1")
	_, log := p.exits(1, "--once")
	lines := strings.Split(strings.TrimSpace(log), "\n")
	last := lines[len(lines)-1]
	if !strings.HasPrefix(last, "partnersync: ") || !strings.Contains(last, "prepared statement") ||
		!strings.HasSuffix(last, "add default_query_exec_mode=exec to database_url") {
		t.Errorf("the last line is %s", last)
	}
}
