//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/store/historytest"
	"partnersync/store/localpg"
	"partnersync/sync/partnercenter/partnercentertest"
)

// TestTrial_postgresCrashes ends a PostgreSQL server under the daemon's hands, three times, and twenty times in the
// long form: by an immediate shutdown, by killing it, and by killing one of the daemon's sessions, upon which the
// server throws out all of them and recovers.
func TestTrial_postgresCrashes(t *testing.T) {
	t.Parallel()
	rounds := 3
	if *soak {
		rounds = 20
	}
	c := newCrashing(t)
	c.awaitMark("begin")
	for n := range rounds {
		c.wait(2 * time.Second)
		down := time.Duration(c.rand.Int64N(int64(3 * time.Second)))
		if *soak && n%4 == 0 { // for so long that the daemon tries as rarely as it ever does
			down += 20 * time.Second
		}
		switch n % 3 {
		case 0:
			c.crash(syscall.SIGQUIT, down) // pg_ctl stop -m immediate
		case 1:
			c.crash(syscall.SIGKILL, down)
		case 2:
			c.crashSession()
		}
		c.resume(n)
	}
	c.stop()
	c.settle(historytest.Options{OneProcess: true})
}

// crashing is a world with a server of its own, which crashes.
type crashing struct {
	*trial
	dir    string
	server *localpg.Server
	stop   func()
}

func newCrashing(t *testing.T) *crashing {
	t.Helper()
	c := &crashing{dir: t.TempDir()}
	for _, dir := range []string{c.dir, filepath.Dir(c.dir)} { // the server may run as another user
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	c.trial = &trial{t: t}
	c.begin()
	t.Cleanup(func() { c.server.Stop() })
	pool, err := pgxpool.New(t.Context(), c.server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	c.trial = newTrial(t, 200, pool, partnercentertest.Options{})
	c.stop = c.mutate(20 * time.Millisecond)
	c.mark("begin")
	c.replica(c.serve(nil), c.server.URL("postgres"))
	return c
}

// resume waits until the daemon, after the server has come back, first reads a customer and then goes on as ever.
func (c *crashing) resume(n int) {
	c.t.Helper()
	back := time.Now()
	c.until("the daemon to resume", func() bool {
		const query = `SELECT coalesce(max(last_attempt_at) > $1, false) FROM partner_center.sync_freshness`
		var resumed bool
		return c.pool.QueryRow(c.t.Context(), query, back).Scan(&resumed) == nil && resumed
	})
	took := time.Since(back)
	c.t.Logf("round %d: resumed after %.1f s", n, took.Seconds())
	if limit := 5 * time.Second; *soak && took > limit {
		c.t.Errorf("round %d: resumed after %s, want at most %s", n, took, limit)
	}
	c.mark(fmt.Sprint("round ", n))
	c.awaitMark(fmt.Sprint("round ", n))
}

// begin starts the server on the data there is.
func (c *crashing) begin() {
	c.t.Helper()
	var err error
	if c.server, err = localpg.Start(c.t.Context(), localpg.Config{Dir: c.dir}); err != nil {
		c.t.Fatal(err)
	}
}

// crash ends the server by a signal, and starts it again after a while.
func (c *crashing) crash(s syscall.Signal, down time.Duration) {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, "data", "postmaster.pid"))
	if err != nil {
		c.t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := syscall.Kill(pid, s); err != nil {
		c.t.Fatal(err)
	}
	c.until("the server to end", func() bool { return syscall.Kill(pid, 0) != nil })
	c.server.Stop() // an error, since it ended by itself; the directory is free then
	<-time.After(down)
	c.begin()
}

// crashSession kills the process of one of the daemon's sessions.
func (c *crashing) crashSession() {
	c.t.Helper()
	var pid int
	c.until("a session of the daemon's", func() bool {
		const query = `SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'replica-%' LIMIT 1`
		return c.pool.QueryRow(c.t.Context(), query).Scan(&pid) == nil
	})
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		c.t.Fatal(err)
	}
}
