package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	gosync "sync"
	"testing"

	"partnersync/store/storetest"
)

// hook is a receiver that can be down.
type hook struct {
	mu   gosync.Mutex
	down bool
	got  []string // "subject type" of each event, in the order in which they came
	last []byte   // body
	url  string
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var e struct{ Subject, Type string }
		if err == nil {
			err = json.Unmarshal(body, &e)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		switch {
		case err != nil:
			w.WriteHeader(http.StatusBadRequest)
		case h.down:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			h.got, h.last = append(h.got, e.Subject+" "+e.Type), body
		}
	}))
	t.Cleanup(server.Close)
	h.url = server.URL + "/services/hush-hook"
	return h
}

func (h *hook) setDown(down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down = down
}

// all returns what was received.
func (h *hook) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.got)
}

// received returns the types of the events of each customer's batch, each once: an event may come twice.
func (h *hook) received(customer int) []string {
	var types []string
	for _, each := range h.all() {
		if kind, ok := strings.CutPrefix(each, "/customers/"+customerID(customer)+"/deviceBatches/b "); ok {
			types = append(types, kind)
		}
	}
	return slices.Compact(types)
}

// kill ends the daemon without notice.
func (d *daemon) kill() {
	d.t.Helper()
	if err := d.cmd.Process.Kill(); err != nil {
		d.t.Fatal(err)
	}
	_ = d.cmd.Wait() // it was killed
}

// The events are in the database when the change is: neither a kill nor a receiver that is away loses one.
func TestWebhooks_killedDaemonLosesNoEvent(t *testing.T) {
	t.Parallel()
	const customers = 20
	p, h := newProgram(t, storetest.Empty(t).URL), newHook(t)
	p.addConfig("notify:\n  - url: " + h.url + "\n    name: chat\n")
	p.customers(customers, "queued")
	h.setDown(true)
	d := p.daemon("first")
	p.until("20", "SELECT count(*) FROM partner_center.device_batches")
	p.want("0", "SELECT count(*) FROM partnersync.outbox")
	for i, status := range []string{"finished", "finished_with_errors", "finished"} {
		p.status(customers, status)
		// In the middle of the merges, or of what follows them.
		p.until("t", fmt.Sprintf("SELECT count(*) > %d FROM partner_center.device_batch_versions", i*customers+i*5))
		d.kill()
		d = p.daemon(fmt.Sprint("again", i))
		p.until(fmt.Sprint((i+1)*customers), "SELECT count(*) FROM partner_center.device_batch_versions")
	}
	p.want("60", "SELECT count(*) FROM partnersync.outbox")
	h.setDown(false)
	p.sql("UPDATE partnersync.outbox SET next_at = now()")
	d.kill()
	d = p.daemon("last")
	for range 3 {
		p.until("t", "SELECT count(*) = 0 OR min(next_at) > now() FROM partnersync.outbox")
		p.sql("UPDATE partnersync.outbox SET next_at = now() WHERE attempts > 0")
	}
	p.until("0", "SELECT count(*) FROM partnersync.outbox")
	d.stop()
	for n := range customers {
		want := "batch.finished batch.finished_with_errors batch.finished"
		if got := strings.Join(h.received(n+1), " "); got != want {
			t.Errorf("customer %d: received %s, want %s", n+1, got, want)
		}
	}
	if strings.Contains(d.text(), "hush-hook") {
		t.Error("the webhook's URL was logged")
	}
}

func TestWebhooks_onceSendsBeforeItEnds(t *testing.T) {
	t.Parallel()
	p, h, teams := newProgram(t, storetest.Empty(t).URL), newHook(t), newHook(t)
	p.addConfig("notify:\n  - url: " + h.url + "\n    name: chat\n  - url: " + teams.url + "\n    format: teams\n")
	p.customers(3, "queued")
	p.exits(exitOK, "--once")
	p.status(3, "finished")
	p.exits(exitOK, "--backfill")
	for n := range 3 {
		if got := h.received(n + 1); !slices.Equal(got, []string{"batch.finished"}) {
			t.Errorf("customer %d: received %q", n+1, got)
		}
	}
	if got := teams.all(); !slices.Equal(got, []string{" message"}) { // a card has neither subject nor an event's type
		t.Errorf("Teams received %q, want one message", got)
	}
	p.want("0", "SELECT count(*) FROM partnersync.outbox")
}

// A pass over many customers is one card in the channel, or two if it takes long.
func TestWebhooks_daemonGathersForTeams(t *testing.T) {
	t.Parallel()
	const customers = 20
	p, teams := newProgram(t, storetest.Empty(t).URL), newHook(t)
	p.addConfig("page_url: https://sync.example.com\nnotify:\n  - url: " + teams.url + "\n    format: teams\n")
	p.customers(customers, "queued")
	d := p.daemon("teams")
	p.until("20", "SELECT count(*) FROM partner_center.device_batches")
	p.status(customers, "finished")
	p.until("20", "SELECT count(*) FROM partner_center.device_batch_versions")
	p.until("0", "SELECT count(*) FROM partnersync.outbox")
	d.stop()
	cards := teams.all()
	if len(cards) == 0 || len(cards) > customers/2 {
		t.Errorf("%d events came in %d cards", customers, len(cards))
	}
	if !strings.Contains(string(teams.last), `"url":"https://sync.example.com`) {
		t.Errorf("the card has no link to the page: %s", teams.last)
	}
}
