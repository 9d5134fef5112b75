package sync

import (
	"strings"
	"testing"
	"time"

	"partnersync/store"
	"partnersync/store/cron"
	"partnersync/store/storetest"
	"partnersync/sync/partnercenter/partnercentertest"
)

const (
	runCounts = `SELECT state, customers_total, customers_ok, customers_failed, inserted, changed, removed, unchanged
		FROM partner_center.sync_runs ORDER BY run_id`
	rowCounts = `SELECT (SELECT count(*) FROM partner_center.device_batch_history),
		(SELECT count(*) FROM partner_center.device_history),
		(SELECT count(*) FROM partner_center.configuration_policy_history)`
)

// twoCustomers returns a world with two customers, who have three batches, eight devices and a policy between them.
func twoCustomers(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, partnercentertest.Options{}).reading()
	ids := w.customers(2)
	w.fill(ids[0], "a", 3)
	w.fill(ids[0], "b", 4)
	w.fill(ids[1], "c", 1)
	w.api.PutPolicy(ids[0], partnercentertest.Policy{ID: "p", Name: "Kiosk"})
	return w
}

const (
	allCounted = "complete|2|2|0|12|0|0|0"
	allRows    = "3|8|1"
)

// Each commit of a pass, in turn, happens and is not answered.
func TestRun_commitsWithoutAnAnswerAreNeitherLostNorRepeated(t *testing.T) {
	t.Parallel()
	begin := func(cut int64) (*world, *storetest.Proxy) {
		w := twoCustomers(t)
		p := storetest.NewProxy(t, w.pool.Config().ConnString())
		p.Cut.Store(cut)
		through := w.through(p, store.Options{}, 0)
		through.partner.Concurrency = 1
		r := through.runner()
		r.RunOnStart = true
		w.start(r)
		return w, p
	}
	unharmed, counting := begin(0)
	unharmed.until(allCounted, runCounts)
	unharmed.want(allRows, rowCounts)
	commits := counting.Commits.Load()
	if commits < 8 {
		t.Fatalf("only %d commits in a pass of eight transactions at least", commits)
	}
	worlds, proxies := make([]*world, commits), make([]*storetest.Proxy, commits)
	for i := range commits {
		worlds[i], proxies[i] = begin(i + 1) // they all wait out their back-off at the same time
	}
	for i, w := range worlds {
		w.until(allCounted, runCounts)
		w.want(allRows, rowCounts)
		w.want("0", "SELECT count(*) FROM partner_center.device_batch_history WHERE NOT is_current")
		if seen := proxies[i].Commits.Load(); seen < int64(i)+1 {
			t.Errorf("commit %d of %d was never reached", i+1, seen)
		}
	}
}

func TestRun_fullDiskIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := twoCustomers(t)
	w.exec(`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE disk_full; END $$`)
	w.exec(`CREATE TRIGGER fail BEFORE INSERT ON partner_center.devices EXECUTE FUNCTION fail()`)
	logger, log := newLog()
	r := w.runner()
	r.RunOnStart, r.Logger = true, logger
	runs, stop := w.start(r)
	w.untilWaiting(r, "make room")
	w.exec("DROP TRIGGER fail ON partner_center.devices")
	<-runs
	w.untilGoingOn(r)
	w.want(allCounted, runCounts)
	w.want(allRows, rowCounts)
	stop()
	text := log.String()
	if n := strings.Count(text, "waiting for the database"); n != 1 {
		t.Errorf("the outage was logged %d times:\n%s", n, text)
	}
	if n := strings.Count(text, "can be used again"); n != 1 {
		t.Errorf("its end was logged %d times:\n%s", n, text)
	}
}

func TestRun_readOnlyServerIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := twoCustomers(t)
	w.exec(`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE read_only_sql_transaction; END $$`)
	w.exec(`CREATE TRIGGER fail BEFORE INSERT ON partnersync.workers EXECUTE FUNCTION fail()`)
	r := w.runner()
	r.RunOnStart = true
	runs, _ := w.start(r)
	w.untilWaiting(r, "target_session_attrs")
	w.exec("DROP TRIGGER fail ON partnersync.workers")
	if run := <-runs; run.State != store.Complete {
		t.Errorf("run: %+v", run)
	}
	w.untilGoingOn(r)
	w.want(allCounted, runCounts)
}

func TestOnce_statementTimeOutFailsItsCustomerAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	ids := w.customers(3)
	for _, id := range ids {
		w.put(id, "b", "queued")
	}
	w.exec(`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN IF NEW.customer_id = '` + ids[1] + `' THEN RAISE query_canceled; END IF; RETURN NEW; END $$`)
	w.exec(`CREATE TRIGGER fail BEFORE INSERT ON partner_center.device_batches FOR EACH ROW EXECUTE FUNCTION fail()`)
	if run := w.once(); run.State != store.Partial || run.CustomersOK != 2 {
		t.Errorf("run: %+v", run)
	}
	w.want(ids[1]+"|database_57014",
		"SELECT customer_id, last_error_code FROM partner_center.sync_freshness WHERE consecutive_failures > 0")
}

// In a cluster, where the node of one customer is down. Nothing more is asked of the API for it: none of it could be written.
func TestOnce_nodeThatIsDownFailsItsCustomersAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{}).reading()
	ids := w.customers(2)
	for _, id := range ids {
		w.put(id, "b", "queued")
	}
	w.once()
	w.put(ids[1], "c", "queued")
	w.exec(`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		RAISE EXCEPTION 'connection to the remote node worker1:5432 failed' USING ERRCODE = '08006'; END $$`)
	w.exec(`CREATE TRIGGER fail BEFORE INSERT ON partner_center.device_batches FOR EACH ROW EXECUTE FUNCTION fail()`)
	before := len(w.api.Requests())
	if run := w.once(); run.State != store.Partial || run.CustomersOK != 1 || run.CustomersFailed != 1 {
		t.Errorf("run: %+v", run)
	}
	w.want(ids[1]+"|database_node_down",
		"SELECT customer_id, last_error_code FROM partner_center.sync_freshness WHERE consecutive_failures > 0")
	var asked []string
	for _, r := range w.api.Requests()[before:] {
		if strings.Contains(r.Path, ids[1]) {
			asked = append(asked, r.Path)
		}
	}
	if len(asked) != 1 {
		t.Errorf("asked for the lists of the customer whose node is down: %v", asked)
	}
}

// The network drops packets in mid-pass: no connection ends, and no answer comes.
func TestRun_workerThatCannotRenewItsHeartbeatStopsAndBeginsAnew(t *testing.T) {
	t.Parallel()
	w := twoCustomers(t)
	p := storetest.NewProxy(t, w.pool.Config().ConnString())
	through := w.through(p, store.Options{Lease: 2 * time.Second}, 0)
	hit := make(chan struct{}, 10)
	remove := w.api.Fail(partnercentertest.Fault{Path: "deviceBatches$", Hang: true,
		Before: func() { hit <- struct{}{} }})
	r := through.runner()
	r.RunOnStart = true
	runs, _ := w.start(r)
	<-hit
	p.Silent.Store(true)
	w.untilWaiting(r, "heartbeat")
	w.eventually(func() (string, bool) { // the pass has let go of the API
		_, waits := r.outages.since("contoso")
		return "the pass goes on", waits
	})
	remove()
	p.Silent.Store(false)
	if run := <-runs; run.State != store.Complete {
		t.Errorf("run: %+v", run)
	}
	w.untilGoingOn(r)
	w.want(allCounted, runCounts)
	w.want(allRows, rowCounts)
}

func TestOnce_databaseThatGoesAwayEndsThePass(t *testing.T) {
	t.Parallel()
	w := twoCustomers(t)
	p := storetest.NewProxy(t, w.pool.Config().ConnString())
	through := w.through(p, store.Options{Lease: 2 * time.Second}, 0)
	w.api.Fail(partnercentertest.Fault{Path: "deviceBatches$", Hang: true, Before: func() { p.Silent.Store(true) }})
	_, err := through.runner().Once(t.Context(), Request{Kind: store.Once})
	if err == nil || !strings.Contains(err.Error(), errLeaseLapsed.Error()) {
		t.Errorf("got %v, want %v", err, errLeaseLapsed)
	}
}

// Between any two requests, the network forgets the connections of now, without a word to either side.
func TestRun_connectionsThatDieSilentlyHoldNoPassUp(t *testing.T) {
	t.Parallel()
	const requests = 9 // of a pass, the token's among them
	worlds, runs := make([]*world, requests), make([]<-chan store.Run, requests)
	for i := range requests {
		w := twoCustomers(t)
		p := storetest.NewProxy(t, w.pool.Config().ConnString())
		w.api.Fail(partnercentertest.Fault{Skip: i, Times: 1, Before: p.DropConnections})
		through := w.through(p, store.Options{}, 2*time.Second)
		through.partner.Concurrency = 1
		r := through.runner()
		r.RunOnStart = true
		worlds[i] = w
		runs[i], _ = w.start(r)
	}
	for i, w := range worlds {
		if run := <-runs[i]; run.State != store.Complete {
			t.Errorf("request %d: %+v", i+1, run)
		}
		w.want(allCounted, runCounts)
		w.want(allRows, rowCounts)
	}
}

// A page is progress, also of a pass that has recorded nothing yet.
func TestRun_pagesAreProgress(t *testing.T) {
	t.Parallel()
	w := twoCustomers(t)
	w.store = store.New(w.pool, store.Options{Lease: 2 * time.Second})
	remove := w.api.Fail(partnercentertest.Fault{Path: "deviceBatches$", Hang: true})
	const progressed = `SELECT progressed_at FROM partnersync.run_workers WHERE progressed_at IS NOT NULL`
	r := w.runner()
	r.RunOnStart = true
	w.start(r)
	w.until("1", "SELECT count(*) FROM ("+progressed+") p") // the customers came
	first := w.value(progressed)
	w.api.Fail(partnercentertest.Fault{Path: "policies$", Hang: true})
	remove()
	w.eventually(func() (string, bool) { return "no progress by the batches", w.value(progressed).After(first) })
	w.want("0", "SELECT count(*) FROM partnersync.customer_runs")
}

func TestRun_ticksOfAnOutageAreSkippedWithoutALineEach(t *testing.T) {
	t.Parallel()
	w := twoCustomers(t)
	var err error
	w.partner.Schedule, err = cron.Parse("@every 1s", time.UTC)
	w.ok(err)
	w.exec("ALTER TABLE partnersync.runs RENAME TO elsewhere")
	logger, log := newLog()
	r := w.runner()
	r.RunOnStart, r.Logger = true, logger
	runs, stop := w.start(r)
	w.untilWaiting(r, "partnersync migrate up")
	tries, _ := r.outages.since("contoso")
	w.eventually(func() (string, bool) { return "two ticks have not passed", time.Since(tries) > 2*time.Second })
	w.exec("ALTER TABLE partnersync.elsewhere RENAME TO runs")
	run := <-runs
	<-runs
	stop()
	if age := run.StartedAt.Sub(run.ScheduledFor); age > 20*time.Second {
		t.Errorf("the run after the outage is for a tick %s before", age)
	}
	for text, want := range map[string]int{
		`"waiting for the database"`: 1, `"the database can be used again"`: 1, `"ticks skipped while the database could not be used"`: 1,
	} {
		if got := strings.Count(log.String(), text); got != want {
			t.Errorf("%d lines of %s, want %d:\n%s", got, text, want, log)
		}
	}
}
