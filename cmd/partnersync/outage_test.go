//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"partnersync/store/localpg"
	"partnersync/sync/partnercenter/partnercentertest"
)

// fragile is a server of the test's own, which comes and goes at the same address.
type fragile struct {
	t   *testing.T
	dir string
	srv *localpg.Server
}

// newFragile starts the server and returns the URL of its database.
func newFragile(t *testing.T, settings ...string) (f *fragile, url string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "fragile-") // t.TempDir is closed to the server's account
	if err == nil {
		err = os.Chmod(dir, 0o711)
	}
	if err != nil {
		t.Fatal(err)
	}
	f = &fragile{t: t, dir: dir}
	t.Cleanup(func() {
		_ = f.srv.Stop() // an error if the test has killed it
		os.RemoveAll(dir)
	})
	f.start(settings...)
	return f, f.srv.URL("postgres")
}

// start starts the server, with settings as name=value.
func (f *fragile) start(settings ...string) {
	f.t.Helper()
	all := map[string]string{"fsync": "off"}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		all[name] = value
	}
	srv, err := localpg.Start(f.t.Context(), localpg.Config{Dir: f.dir, Settings: all})
	if err != nil {
		f.t.Fatal(err)
	}
	f.srv = srv
}

func (f *fragile) stop() {
	f.t.Helper()
	if err := f.srv.Stop(); err != nil {
		f.t.Fatal(err)
	}
}

// crash ends the server as a failure of the machine would: nothing is written on the way out.
func (f *fragile) crash() {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, "data", "postmaster.pid"))
	if err != nil {
		f.t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGQUIT)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	_ = f.srv.Stop() // waits, and says that it had ended by itself
}

// wantOneOutage checks that the log tells of one outage, of its end, and of nothing else that is an error.
func (d *daemon) wantOneOutage(hint string) {
	d.t.Helper()
	d.wantLines(1, `"msg":"the database can be used again"`)
	d.wantLines(0, `\n`)
	outages := 0
	for line := range strings.Lines(d.text()) {
		switch {
		case strings.Contains(line, `"msg":"waiting for the database"`) && strings.Contains(line, hint):
			outages++
		case strings.Contains(line, `"level":"ERROR"`) && !strings.Contains(line, "the server stops or starts") &&
			!strings.Contains(line, "check that PostgreSQL runs"):
			d.t.Errorf("an error besides: %s", line)
		}
	}
	if outages != 1 {
		d.t.Errorf("%d lines say %q, want 1", outages, hint)
	}
}

func TestDaemon_serverThatIsDownAtTheStart(t *testing.T) {
	t.Parallel()
	server, url := newFragile(t)
	server.stop()
	p := newProgram(t, url)
	p.customers(2, "queued")
	d := p.daemon("daemon")
	d.logged(1, "waiting for the database")
	server.start()
	d.logged(1, `"customers_ok":2`) // a pass that the next tick does not cut off
	d.stop()
	d.wantOneOutage("check that PostgreSQL runs")
	p.want("2", "SELECT count(*) FROM partner_center.device_batch_history")
}

func TestDaemon_serverThatGoesAwayInMidPass(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*fragile){"restart": (*fragile).stop, "crash": (*fragile).crash} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, url := newFragile(t)
			p := newProgram(t, url)
			p.customers(6, "queued")
			hit := make(chan struct{}, 100)
			p.api.Fail(partnercentertest.Fault{Path: "deviceBatches$", Skip: 3, Hang: true,
				Before: func() { hit <- struct{}{} }})
			d := p.daemon("daemon")
			<-hit
			end(server)
			d.logged(1, "waiting for the database")
			p.api.ClearFaults()
			server.start()
			d.logged(1, "the database can be used again")
			p.until("6", "SELECT count(*) FROM partner_center.device_batch_history")
			p.status(6, "finished")
			p.until("12", "SELECT count(*) FROM partner_center.device_batch_history")
			d.stop()
			if n := strings.Count(d.text(), "waiting for the database"); n < 1 || n > 3 {
				t.Errorf("the outage was logged %d times", n)
			}
			p.want("6|6|0", "SELECT sum(inserted), sum(changed), sum(removed) FROM partner_center.sync_runs")
			p.want("0", "SELECT count(*) FROM partner_center.device_batch_history WHERE not_before >= valid_from OR "+
				"valid_to <= valid_from")
			p.want("0", "SELECT count(*) FROM partner_center.sync_runs WHERE customers_ok > customers_total OR "+
				"customers_failed > 0")
		})
	}
}

func TestDaemon_serverThatBecomesReadOnly(t *testing.T) {
	t.Parallel()
	_, url := newFragile(t)
	p := newProgram(t, url)
	p.customers(2, "queued")
	d := p.daemon("daemon")
	d.logged(1, `"customers_ok":2`) // a pass that the next tick does not cut off
	// A transaction that states its access mode is refused by a server that cannot write only, not for the default.
	p.sql(`CREATE FUNCTION partnersync.refuse() RETURNS trigger LANGUAGE plpgsql
		AS $$ BEGIN RAISE read_only_sql_transaction; END $$`)
	p.sql("CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON partnersync.workers EXECUTE FUNCTION partnersync.refuse()")
	d.logged(1, "target_session_attrs")
	p.status(2, "finished")
	p.sql("DROP TRIGGER refuse ON partnersync.workers")
	p.until("4", "SELECT count(*) FROM partner_center.device_batch_history")
	d.logged(1, "can be used again")
	d.stop()
	d.wantOneOutage("target_session_attrs")
}

func TestDaemon_serverWithoutAConnectionLeft(t *testing.T) {
	t.Parallel()
	_, url := newFragile(t, "max_connections=6", "superuser_reserved_connections=0", "max_wal_senders=0")
	p := newProgram(t, url)
	p.customers(2, "queued")
	var taken []*pgx.Conn
	release := func() {
		for _, conn := range taken {
			conn.Close(context.WithoutCancel(t.Context()))
		}
	}
	t.Cleanup(release)
	for {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			break // that was the last one
		}
		taken = append(taken, conn)
	}
	d := p.daemon("daemon")
	d.logged(1, "waiting for the database")
	_, log := p.exits(1, "--once")
	if !strings.HasSuffix(log, "or raise its max_connections\n") || strings.Count(log, "\n") != 2 { // the other one says which database
		t.Errorf("--once says: %s", log)
	}
	release()
	d.logged(1, `"customers_ok":2`) // a pass that the next tick does not cut off
	d.stop()
	d.wantOneOutage("lower pool_max_conns")
}

func TestOnce_serverThatGoesAwayInMidPass(t *testing.T) {
	t.Parallel()
	server, url := newFragile(t)
	p := newProgram(t, url)
	p.customers(6, "queued")
	stopped := make(chan struct{})
	p.api.Fail(partnercentertest.Fault{Path: "deviceBatches$", Skip: 3, Times: 1, Before: func() {
		server.crash()
		close(stopped)
	}})
	_, log := p.exits(1, "--once")
	<-stopped
	lines := strings.Split(strings.TrimSpace(log), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "partnersync: ") || !strings.Contains(last, "; ") {
		t.Errorf("the last line does not say what to do: %s", last)
	}
	server.start()
	p.exits(0, "--once")
	p.want(fmt.Sprint(6), "SELECT count(*) FROM partner_center.device_batch_history")
	p.want("6|6", "SELECT (SELECT sum(inserted) FROM partner_center.sync_runs), (SELECT customers_ok FROM "+
		"partner_center.sync_runs ORDER BY run_id DESC LIMIT 1)")
}
