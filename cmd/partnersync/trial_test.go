//go:build unix

package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/store/historytest"
	"partnersync/store/storetest"
	"partnersync/sync/partnercenter/partnercentertest"
)

// The trials run the program as processes of their own, between the emulated API and a real PostgreSQL, do violence to
// them while the data changes all the time, and then compare the history with what the API served.
var (
	soak    = flag.Bool("soak", false, "run the trials in their long form, with the program as it is shipped")
	soakFor = flag.Duration("soak.for", time.Hour,
		"with -soak: how long the replicas are under fire; the other trials take some ten minutes")
	trialSeed = flag.Uint64("trial.seed", 0, "what makes the trials' random choices; 0: something new each time")
)

// trialTimeout is the longest that a trial waits for anything; how long things may take is asserted in the long form
// only.
const trialTimeout = 2 * time.Minute

// lease is the shortest there is. A worker without a heartbeat for so long loses its customers.
const lease = 2 * time.Second

// trial is what a trial has of its own.
type trial struct {
	t          *testing.T
	rand       *rand.Rand
	api        *partnercentertest.Emulator
	pool       *pgxpool.Pool
	program    string
	schedule   string
	listen     string // where replicas do; "": nowhere
	replicas   []*replica
	lastChange time.Time // of the data, once it does not change any more

	batchesStay bool // the data changes without batches that vanish
	noDevices   bool // device lists are not read
}

// trialDatabase returns the database of a trial, which its daemons migrate; in a cluster it is distributed already.
func trialDatabase(t *testing.T) *storetest.DB {
	t.Helper()
	if storetest.IsCitus() {
		return storetest.New(t)
	}
	return storetest.Empty(t)
}

// seed returns what makes all random choices.
var seed = sync.OnceValue(func() uint64 {
	if *trialSeed != 0 {
		return *trialSeed
	}
	return rand.Uint64()
})

// newTrial prepares a trial on an empty database. n tells trials of one seed apart.
func newTrial(t *testing.T, n uint64, pool *pgxpool.Pool, o partnercentertest.Options) *trial {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the seed was -trial.seed=%d", seed())
		}
	})
	o.Timeline, o.ClientSecret, o.DevicePageSize, o.Speed, o.LogSize = true, clientSecret, 2, 1, 1
	tr := &trial{
		t: t, rand: rand.New(rand.NewPCG(seed(), n)), api: partnercentertest.New(o), pool: pool,
		program: "partnersync", schedule: "@every 1s",
	}
	if *soak {
		tr.program = build(t, t.TempDir())
	}
	return tr
}

// serve serves the emulator until the test ends, through a handler that may look at requests first; nil is none.
func (tr *trial) serve(handler http.Handler) (url string) {
	if handler == nil {
		handler = tr.api
	}
	server := httptest.NewServer(handler)
	tr.t.Cleanup(server.Close)
	tr.t.Cleanup(tr.api.ClearFaults)
	return server.URL
}

// replica is a daemon.
type replica struct {
	t       *testing.T
	name    string // also its connections' application_name
	program string
	env     []string
	args    []string
	log     string // file with what it says
	cmd     *exec.Cmd
	over    chan error // how the process ended
}

// replica starts a daemon, which is killed when the test ends.
func (tr *trial) replica(apiURL, databaseURL string) *replica {
	tr.t.Helper()
	r := &replica{t: tr.t, name: fmt.Sprintf("replica-%d", len(tr.replicas)), program: tr.program}
	tr.replicas = append(tr.replicas, r)
	dir := tr.t.TempDir()
	r.log = filepath.Join(dir, "log")
	config := filepath.Join(dir, "partnersync.yaml")
	head := fmt.Sprintf("schedule: %q\nlease: %s\nlisten: %q\n%s", tr.schedule, lease, tr.listen, nobodyNotified)
	partner := fmt.Sprintf("    requests_per_minute: 0\n    concurrency: 4\n    devices: %t\n", !tr.noDevices)
	if err := os.WriteFile(config, []byte(head+defaultConfig+partner), 0o600); err != nil {
		tr.t.Fatal(err)
	}
	separator := "?"
	if strings.Contains(databaseURL, "?") {
		separator = "&"
	}
	r.args = []string{"--config", config, "--log-level", "debug"}
	r.env = append(os.Environ(), "API_URL="+apiURL, "CLIENT_SECRET="+clientSecret, "GORACE=atexit_sleep_ms=10",
		"DATABASE_URL="+databaseURL+separator+"application_name="+r.name)
	tr.t.Cleanup(func() {
		r.kill()
		if tr.t.Failed() {
			r.t.Logf("the end of the output of %s:\n%s", r.name, tail(r.output(), 30))
		}
	})
	r.start()
	return r
}

func (r *replica) start() {
	r.t.Helper()
	log, err := os.OpenFile(r.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	defer log.Close()
	r.cmd, r.over = exec.Command(r.program, r.args...), make(chan error, 1)
	r.cmd.Env, r.cmd.Stdout, r.cmd.Stderr = r.env, log, log
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	cmd, over := r.cmd, r.over
	go func() { over <- cmd.Wait() }()
}

func (r *replica) signal(s syscall.Signal) {
	if err := r.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		r.t.Errorf("sending %v to %s: %v", s, r.name, err)
	}
}

// kill ends the process at once, if it has not ended yet. A process that had ended by itself is an error.
func (r *replica) kill() {
	if r.over == nil {
		return
	}
	select {
	case err := <-r.over:
		r.t.Errorf("%s ended by itself: %v", r.name, err)
	default:
		r.signal(syscall.SIGKILL)
		<-r.over
	}
	r.over = nil
}

// end asks the process to end, and wants it to do so well.
func (r *replica) end() {
	r.t.Helper()
	r.signal(syscall.SIGTERM)
	select {
	case err := <-r.over:
		r.over = nil
		if err != nil {
			r.t.Errorf("%s, asked to end: %v", r.name, err)
		}
	case <-time.After(trialTimeout):
		r.t.Errorf("%s, asked to end, did not", r.name)
	}
}

func (r *replica) output() []byte {
	text, err := os.ReadFile(r.log)
	if err != nil {
		r.t.Error(err)
	}
	return text
}

func tail(text []byte, lines int) []byte {
	all := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return bytes.Join(all[max(0, len(all)-lines):], []byte("\n"))
}

// until waits for something to become true.
func (tr *trial) until(what string, holds func() bool) {
	tr.t.Helper()
	storetest.Eventually(tr.t, func() (string, bool) { return "waiting for " + what, holds() })
}

// wait lets a random time of up to d pass.
func (tr *trial) wait(d time.Duration) { <-time.After(time.Duration(tr.rand.Int64N(int64(d)))) }

// settle waits, once the data changes no more, until the replicas have caught up, ends them, and checks the history.
func (tr *trial) settle(o historytest.Options) {
	tr.t.Helper()
	o.CaughtUp, o.Slack = true, 30*time.Second
	tr.until("the replicas to make a whole pass", tr.caughtUp)
	for _, r := range tr.replicas {
		r.end()
		if output := r.output(); bytes.Contains(output, []byte("DATA RACE")) ||
			bytes.Contains(output, []byte("panic: ")) {
			tr.t.Errorf("%s printed:\n%s", r.name, output)
		}
	}
	damages, err := historytest.Check(tr.t.Context(), tr.pool, tr.served(), tr.changed(), o)
	if err != nil {
		tr.t.Fatal(err)
	}
	for _, d := range damages {
		tr.t.Error(d)
	}
	tr.eventful()
	tr.t.Logf("%d damages in %s", len(damages), tr.size())
}

// nobodyNotified configures a webhook at which nobody listens, so that all events stay in the outbox.
const nobodyNotified = `notify:
  - url: http://127.0.0.1:1/
    name: nobody
    events: [batch.finished, batch.finished_with_errors, batch.removed]
`

// eventful wants the outbox to have an event for each version of a batch that is one, and no other.
func (tr *trial) eventful() {
	tr.t.Helper()
	const query = `
		WITH versions AS MATERIALIZED (
		    SELECT customer_id, batch_id, valid_from, removed_at,
		           replace(lower(status), '-', '_') AS status,
		           replace(lower(lag(status) OVER versions), '-', '_') AS from_status,
		           lag(valid_from) OVER versions IS NULL AS is_first
		    FROM partner_center.device_batch_history
		    WINDOW versions AS (PARTITION BY customer_id, batch_id ORDER BY valid_from)
		), expected AS (
		    SELECT CASE WHEN removed_at IS NULL THEN 'batch.' || status ELSE 'batch.removed' END AS type,
		           customer_id::text, batch_id, valid_from
		    FROM versions
		    WHERE NOT is_first AND (removed_at IS NOT NULL
		          OR status IN ('finished', 'finished_with_errors') AND status IS DISTINCT FROM from_status)
		), enqueued AS (
		    SELECT type, data ->> 'customer_id', data ->> 'batch_id', (data ->> 'changed_by')::timestamptz
		    FROM partnersync.outbox
		), lost AS (
		    SELECT * FROM expected EXCEPT ALL SELECT * FROM enqueued
		), unfounded AS (
		    SELECT * FROM enqueued EXCEPT ALL SELECT * FROM expected
		)
		SELECT (SELECT count(*) FROM enqueued),
		       concat_ws('; ', (SELECT string_agg('lost: ' || l::text, '; ') FROM lost l),
		                       (SELECT string_agg('unfounded: ' || u::text, '; ') FROM unfounded u))`
	var events int
	var wrong string
	if err := tr.pool.QueryRow(tr.t.Context(), query).Scan(&events, &wrong); err != nil || wrong != "" {
		tr.t.Errorf("of %d events, %v: %s", events, err, wrong)
	}
	tr.t.Logf("%d events", events)
}

// served returns what the API has served.
func (tr *trial) served() (all []historytest.Serving) {
	for _, s := range tr.api.Timeline().Servings {
		all = append(all, historytest.Serving{
			List: historytest.List(s.List), At: s.At, CorrelationID: s.CorrelationID, First: s.First, Body: s.Body,
		})
	}
	return all
}

// changed returns what has changed in the API.
func (tr *trial) changed() (all []historytest.Change) {
	for _, c := range tr.api.Timeline().Changes {
		all = append(all, historytest.Change{List: historytest.List(c.List), Key: c.Key, At: c.At})
	}
	return all
}

// caughtUp reports whether a whole pass has been made since the data changed last, and all device lists have been read,
// for which a pass need not have the time. What a later one is served, and does not get to write before its daemon
// ends, is what the database has already.
func (tr *trial) caughtUp() bool {
	const query = `
		WITH batches AS MATERIALIZED (
		    SELECT customer_id, batch_id FROM partner_center.device_batches WHERE removed_at IS NULL AND NOT $2
		)
		SELECT EXISTS (SELECT 1 FROM partner_center.sync_runs WHERE started_at > $1 AND state = 'complete')
		   AND NOT EXISTS (
		       SELECT 1 FROM batches b
		       LEFT JOIN partnersync.list_state l
		              ON l.customer_id = b.customer_id AND l.resource = 'devices' AND l.batch_id = b.batch_id
		       WHERE coalesce(l.confirmed_at <= $1, true))`
	var caughtUp bool
	return tr.pool.QueryRow(tr.t.Context(), query, tr.lastChange, tr.noDevices).Scan(&caughtUp) == nil && caughtUp
}

// size says how much history there is.
func (tr *trial) size() string {
	const query = `
		SELECT (SELECT count(*) FROM partner_center.device_batch_history),
		       (SELECT count(*) FROM partner_center.device_history),
		       (SELECT count(*) FROM partner_center.configuration_policy_history),
		       (SELECT count(*) FROM partner_center.sync_runs)`
	var batches, devices, policies, runs int
	if err := tr.pool.QueryRow(tr.t.Context(), query).Scan(&batches, &devices, &policies, &runs); err != nil {
		tr.t.Error(err)
	}
	if batches < 2*trialCustomers {
		tr.t.Errorf("there are %d versions of batches, which says nothing", batches)
	}
	return fmt.Sprintf("%d versions of batches, %d of devices, %d of policies, written by %d runs", batches, devices,
		policies, runs)
}
