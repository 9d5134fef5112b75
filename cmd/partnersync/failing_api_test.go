package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/store/storetest"
	"partnersync/sync/partnercenter/partnercentertest"
)

// failingAPI is an emulated API that answers over TCP and a database, for programs that run in a synctest bubble: while
// a request is on its way time stands, and every wait between requests is over at once.
type failingAPI struct {
	*world
	*partnercentertest.Emulator // the world's
	db                          *storetest.DB
	pool                        *pgxpool.Pool     // of the bubble: a connection made in it must be closed in it
	piped                       http.RoundTripper // to the emulator; nil: over TCP
}

// newFailingAPI has two customers with a batch "b" each, queued. more is added to the partner's configuration.
func newFailingAPI(t *testing.T, more string) *failingAPI {
	t.Helper()
	db := storetest.New(t)
	more = "    devices: false\n    policies: false\n    concurrency: 1\n" + more
	w := newWorld(t, db.URL, more, partnercentertest.Options{})
	f := &failingAPI{world: w, Emulator: w.api, db: db}
	// Something reads from a connection that is kept, so that time would stand forever.
	w.server.Config.SetKeepAlivesEnabled(false)
	// The database's clock is the real one: a pause that is kept there would last in earnest.
	const forgetPauses = `
		CREATE FUNCTION partnersync.forget_pause() RETURNS trigger LANGUAGE plpgsql AS
		    'BEGIN NEW.paused_until := NULL; RETURN NEW; END';
		CREATE TRIGGER forget_pause BEFORE INSERT OR UPDATE ON partnersync.partner_pauses
		    FOR EACH ROW EXECUTE FUNCTION partnersync.forget_pause()`
	if _, err := f.db.Pool.Exec(t.Context(), forgetPauses); err != nil {
		t.Fatal(err)
	}
	w.customers(2, "queued")
	return f
}

// passed is what a pass of the program has left behind.
type passed struct {
	summary
	code int
	log  []logLine
	raw  string // the log
}

// logLine is a line of the log, as far as the tests look at it.
type logLine struct {
	Level, Msg, Code, Wait, Err string
	RequestID                   string `json:"request_id"`
}

// once runs the program with --once. It must be called in a bubble.
func (f *failingAPI) once(t *testing.T) passed {
	t.Helper()
	var out, log bytes.Buffer
	var p passed
	a := &app{lookupEnv: f.env.lookup, stdin: strings.NewReader(""), stdout: &out, stderr: &log, transport: f.piped}
	p.code = a.run(t.Context(), []string{"--once", "--json", "--log-level", "debug", "--config", f.config})
	p.raw = log.String()
	if err := json.Unmarshal(out.Bytes(), &p.summary); err != nil || len(p.Runs) != 1 {
		t.Fatalf("summary %s: %v; log: %s", &out, err, p.raw)
	}
	for line := range strings.Lines(p.raw) {
		var l logLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("log line %s: %v", line, err)
		}
		p.log = append(p.log, l)
	}
	if strings.Contains(out.String()+p.raw, mark) {
		t.Error("a secret was printed: look for " + mark)
	}
	return p
}

// lines returns the lines with a message.
func (p passed) lines(msg string) []logLine {
	return slices.DeleteFunc(slices.Clone(p.log), func(l logLine) bool { return l.Msg != msg })
}

// waits returns how long was waited before each retry.
func (p passed) waits(t *testing.T) (waits []time.Duration) {
	t.Helper()
	for _, l := range p.lines("retrying request") {
		d, err := time.ParseDuration(l.Wait)
		if err != nil {
			t.Fatal(err)
		}
		waits = append(waits, d)
	}
	return waits
}

// statuses returns the status of each customer's batch in the database, with a + once it is removed.
func (f *failingAPI) statuses(t *testing.T) (got string) {
	t.Helper()
	const query = `
		SELECT string_agg(concat(status, CASE WHEN removed_at IS NOT NULL THEN '+' END), ' '
		                  ORDER BY customer_id, batch_id)
		FROM partner_center.device_batches`
	if err := f.pool.QueryRow(t.Context(), query).Scan(&got); err != nil {
		t.Fatal(err)
	}
	return got
}

// backOff are the waits where the server asks for none.
var backOff = []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 3500 * time.Millisecond}

func threeTimes(d time.Duration) []time.Duration { return []time.Duration{d, d, d} }

// about compares waits, which have a jitter of a fifth.
var about = cmp.Comparer(func(x, y time.Duration) bool {
	return min(x, y)*10 >= max(x, y)*8 // of either with the middle
})

// apiFailure is something that goes wrong in a pass after a good one, while each batch goes from queued to finished.
type apiFailure struct {
	name  string
	fault partnercentertest.Fault
	date  time.Duration // sets the fault's Retry-After to a date so far from now
	dead  bool          // in place of the fault nobody listens at all
	piped bool          // requests go through memory, so that time goes on while one waits for its answer

	exit              int
	rows              string // of both customers afterwards
	code              string // of the first customer's failure; "" for none
	message           string // within its message
	enumeration       string // within the run's error
	requests, retries int64
	waits             []time.Duration
}

// ofFirst is the path of the first customer's batches.
const ofFirst = "000000000001/deviceBatches"

const (
	both    = "finished finished"
	without = "queued finished" // the first customer
	none    = "queued queued"
)

func TestFailingAPI(t *testing.T) {
	t.Parallel()
	for _, tt := range slices.Concat(throttling, serverErrors, brokenAnswers, slowAnswers, unexpectedAnswers, refusals,
		signIns, unreachable, enumerations) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			more := ""
			if tt.piped { // time goes on here, and not for the database, which has the places at the rate
				more = "    requests_per_minute: 0\n"
			}
			f := newFailingAPI(t, more)
			synctest.Test(t, func(t *testing.T) { f.failAndRecover(t, tt) })
		})
	}
}

// failAndRecover makes a good pass, one in which the API fails, and another good one.
func (f *failingAPI) failAndRecover(t *testing.T, tt apiFailure) {
	var err error
	if f.pool, err = pgxpool.New(t.Context(), f.db.URL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.pool.Close)
	if tt.piped {
		var stop func()
		f.piped, stop = partnercentertest.Pipe(f.Emulator)
		t.Cleanup(stop)
	}
	if first := f.once(t); first.code != exitOK {
		t.Fatalf("first pass: exit code %d, log %s", first.code, first.raw)
	}
	f.status(2, "finished")
	if tt.date != 0 {
		tt.fault.RetryAfter = time.Now().Add(tt.date).UTC().Format(http.TimeFormat)
	}
	remove := f.fail(tt)
	f.check(t, tt, f.once(t))
	remove()
	last := f.once(t)
	if strings.Contains(tables(t, f.pool), mark) {
		t.Error("the database has a secret: look for " + mark)
	}
	if got := f.statuses(t); last.code != exitOK || len(last.Failing) != 0 || got != both {
		t.Errorf("after the recovery: exit code %d, rows %s, failing %+v", last.code, got, last.Failing)
	}
}

// fail lets happen what the case wants.
func (f *failingAPI) fail(tt apiFailure) (remove func()) {
	if !tt.dead {
		return f.Fail(tt.fault)
	}
	url := f.env["API_URL"]
	f.env["API_URL"] = "http://127.0.0.1:1"
	return func() { f.env["API_URL"] = url }
}

func (f *failingAPI) check(t *testing.T, tt apiFailure, p passed) {
	t.Helper()
	run := p.Runs[0]
	states := map[int]string{exitOK: "complete", exitFailed: "failed", exitPartial: "partial"}
	failed := 0
	if tt.code != "" {
		failed = max(1, strings.Count(tt.rows, "queued"))
	}
	if p.code != tt.exit || p.ExitCode != tt.exit || run.State != states[tt.exit] || run.CustomersFailed != failed {
		t.Errorf("exit code %d, want %d; %+v", p.code, tt.exit, run)
	}
	if run.Requests != tt.requests || run.Retries != tt.retries {
		t.Errorf("%d requests and %d retries, want %d and %d", run.Requests, run.Retries, tt.requests, tt.retries)
	}
	if got := f.statuses(t); got != tt.rows {
		t.Errorf("rows are %s, want %s", got, tt.rows)
	}
	if diff := cmp.Diff(tt.waits, p.waits(t), about); diff != "" {
		t.Errorf("waits (-want +got)\n%s", diff)
	}
	if got := deref(run.Error); (got == "") != (tt.enumeration == "") || !strings.Contains(got, tt.enumeration) {
		t.Errorf("error of the run: %q, want %q", got, tt.enumeration)
	}
	checkFailure(t, tt, p, failed)
	if t.Failed() {
		t.Log(p.raw)
	}
}

// checkFailure checks what sync_freshness and the log say of the customers that failed.
func checkFailure(t *testing.T, tt apiFailure, p passed, failed int) {
	t.Helper()
	// A cause is a warning once, however many customers it fails.
	logged := slices.DeleteFunc(p.lines("list failed"), func(l logLine) bool { return l.Level != "WARN" })
	if len(p.Failing) != failed || len(logged) != min(1, failed) {
		t.Fatalf("%d customers failing and %d lines of it, want %d", len(p.Failing), len(logged), failed)
	}
	found := failed == 0
	for _, c := range p.Failing {
		if deref(c.LastErrorCode) != tt.code || !strings.Contains(deref(c.LastError), tt.message) ||
			c.ConsecutiveFailures != 1 {
			t.Errorf("failing: %s: %s; want %s: %s", deref(c.LastErrorCode), deref(c.LastError), tt.code, tt.message)
		}
		same := func(l logLine) bool {
			return l.Code == tt.code && l.Err == deref(c.LastError) && l.RequestID == deref(c.LastRequestID)
		}
		// the authority has its own
		answered := !strings.Contains(deref(c.LastError), "POST") || strings.HasPrefix(tt.code, "AADSTS")
		if found = found || same(logged[0]); answered != (deref(c.LastCorrelationID) != "") {
			t.Errorf("failing: %+v", c)
		}
	}
	if !found {
		t.Errorf("failing: %+v; logged: %+v", p.Failing, logged)
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
