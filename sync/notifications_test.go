package sync

import (
	"net/http"
	"testing"
	"time"

	"partnersync/store"
	"partnersync/sync/partnercenter/partnercentertest"
)

func TestOnce_tellsOnceThatTheSignInIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.store = store.New(w.pool, store.Options{Endpoints: []store.Endpoint{{Name: "a", StuckAfter: time.Hour, FailingAfter: 100}}})
	const outbox = "SELECT type, subject, data->>'error_code' FROM partnersync.outbox ORDER BY event_id"
	w.customers(1)
	w.once()
	remove := w.api.Fail(partnercentertest.Fault{Path: "/oauth2/", Status: http.StatusUnauthorized})
	for range 3 {
		w.partner = w.newPartner("contoso", w.url, 0) // as in a new process: it has no token yet
		w.once()
	}
	w.want("1|contoso", "SELECT count(*), min(subject) FROM partnersync.outbox WHERE type = 'partner.sign_in_failed'")
	remove()
	w.partner = w.newPartner("contoso", w.url, 0)
	w.once()
	w.want("0", "SELECT count(*) FROM partnersync.notified WHERE type = 'partner.sign_in_failed'")
	w.want("partner.sign_in_failed|contoso|AADSTS7000222", outbox)
}

func TestOnce_firstPassTellsNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.store = store.New(w.pool, store.Options{Endpoints: []store.Endpoint{{Name: "a", StuckAfter: time.Hour, FailingAfter: 1}}})
	ids := w.customers(3)
	w.put(ids[0], "a", "finished")
	w.put(ids[1], "a", "queued")
	w.api.Fail(partnercentertest.Fault{Path: ids[2], Status: http.StatusForbidden})
	w.once()
	w.want("0", "SELECT count(*) FROM partnersync.outbox")
	w.put(ids[0], "a", "finished_with_errors")
	w.put(ids[1], "a", "finished")
	w.put(ids[1], "b", "finished")
	w.once()
	w.want("batch.finished_with_errors|"+ids[0]+"/a\nbatch.finished|"+ids[1]+"/a\ncustomer.failing|"+ids[2],
		"SELECT type, subject FROM partnersync.outbox ORDER BY subject")
}
