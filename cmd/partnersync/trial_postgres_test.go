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

	"github.com/jackc/pgx/v5"

	"partnersync/store/historytest"
	"partnersync/store/storetest"
	"partnersync/sync/partnercenter/partnercentertest"
)

// TestTrial_postgresCrashes ends a PostgreSQL server under the daemon's hands, three times, and twenty times in the
// long form: by an immediate shutdown, by killing it, and by killing one of its sessions, upon which the server throws out
// all of them and recovers. In a cluster, each node by turns.
func TestTrial_postgresCrashes(t *testing.T) {
	t.Parallel()
	rounds := 3
	if *soak {
		rounds = 20
	}
	c := newCrashing(t)
	c.replica(c.serve(nil), c.db.URL)
	c.awaitMark("begin")
	for n := range rounds * len(c.nodes) {
		node := c.nodes[n%len(c.nodes)]
		c.wait(2 * time.Second)
		down := time.Duration(c.rand.Int64N(int64(3 * time.Second)))
		if *soak && n%4 == 0 { // for so long that the daemon tries as rarely as it ever does
			down += 20 * time.Second
		}
		switch n / len(c.nodes) % 3 {
		case 0:
			c.crash(node, syscall.SIGQUIT, down) // pg_ctl stop -m immediate
		case 1:
			c.crash(node, syscall.SIGKILL, down)
		case 2:
			c.crashSession(node)
		}
		c.resume(n)
	}
	c.stop()
	c.settle()
}

// crashing is a world whose server crashes, or the nodes of whose cluster do.
type crashing struct {
	*trial
	db    *storetest.DB
	nodes []*storetest.Node
	stop  func()
}

func newCrashing(t *testing.T) *crashing {
	t.Helper()
	c := &crashing{}
	c.db, c.nodes = storetest.NewOnNodes(t)
	c.trial = newTrial(t, 200, c.db.Pool, partnercentertest.Options{})
	c.stop = c.mutate(20 * time.Millisecond)
	c.mark("begin")
	return c
}

// settle is the trial's. While a node of a cluster is down, what a customer's batches are is read and cannot be written, and the
// policies are read all the same.
func (c *crashing) settle() {
	c.t.Helper()
	c.trial.settle(historytest.Options{OneProcess: len(c.nodes) == 1})
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
	limit := 5 * time.Second
	if len(c.nodes) > 1 {
		limit += 10 * time.Second // a commit in doubt may have to be settled first
	}
	if *soak && took > limit {
		c.t.Errorf("round %d: resumed after %s, want at most %s", n, took, limit)
	}
	c.mark(fmt.Sprint("round ", n))
	c.awaitMark(fmt.Sprint("round ", n))
}

// begin starts a server on the data there is.
func (c *crashing) begin(node *storetest.Node) {
	c.t.Helper()
	if err := node.Start(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

// crash ends a server by a signal, and starts it again after a while.
func (c *crashing) crash(node *storetest.Node, s syscall.Signal, down time.Duration) {
	c.t.Helper()
	c.end(node, s)
	<-time.After(down)
	c.begin(node)
}

// end ends a server by a signal.
func (c *crashing) end(node *storetest.Node, s syscall.Signal) {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(node.Dir, "data", "postmaster.pid"))
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
	node.Stop() // an error, since it ended by itself; the directory is free then
}

// crashSession kills the process of one of the sessions at a server: of the daemon's, or of the coordinator's at a worker.
func (c *crashing) crashSession(node *storetest.Node) {
	c.t.Helper()
	var pid int
	c.until("a session", func() bool {
		const query = `
			SELECT pid FROM pg_stat_activity
			WHERE datname = $1 AND (application_name LIKE 'replica-%' OR application_name LIKE 'citus_internal gpid=%')
			LIMIT 1`
		database := c.pool.Config().ConnConfig.Database
		conn, err := pgx.Connect(c.t.Context(), node.URL(database))
		if err != nil {
			return false
		}
		defer conn.Close(c.t.Context())
		return conn.QueryRow(c.t.Context(), query, database).Scan(&pid) == nil
	})
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		c.t.Fatal(err)
	}
}
