package sync

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"partnersync/store"
	"partnersync/store/cron"
	"partnersync/store/outbox"
	"partnersync/sync/partnercenter"
	"partnersync/sync/partnercenter/partnercentertest"
)

func TestRun_refusedPartnerWaitsAndStopsNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.customers(2)
	wrong := partnercentertest.New(partnercentertest.Options{ClientSecret: "another"})
	refused := w.newPartner("fabrikam", serve(t, wrong), 0)
	var log bytes.Buffer
	w.log = slog.New(slog.NewTextHandler(&log, nil))
	r := w.runner()
	r.Partners = []Partner{w.partner, refused}
	r.RunOnStart = true
	runs := map[string]int{}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan store.Run, 100)
	r.OnRun = func(run store.Run) { done <- run }
	every, err := cron.Parse("@every 1s", time.UTC)
	w.ok(err)
	for i := range r.Partners {
		r.Partners[i].Schedule = every
		r.Partners[i].Expiries = []func(context.Context) (Expiry, error){func(context.Context) (Expiry, error) {
			return CredentialExpiry("client secret", time.Now().Add(24*time.Hour)), nil
		}}
	}
	var g errgroup.Group
	g.Go(func() error { return r.Run(ctx) })
	for runs["contoso"] < 4 || runs["fabrikam"] < 1 {
		select {
		case run := <-done:
			runs[run.Partner]++
		case <-time.After(time.Minute):
			t.Fatalf("runs: %v", runs)
		}
	}
	stop()
	w.ok(g.Wait())
	if n := len(wrong.Requests()); n != 1 || runs["fabrikam"] != 1 {
		t.Errorf("%d requests for the partner that is refused, runs: %v", n, runs)
	}
	text := log.String()
	if n := strings.Count(text, "its sign-in was refused"); n != 1 ||
		strings.Count(text, "the sign-in ends soon") != 2 {
		t.Errorf("the refusal was logged %d times:\n%s", n, text)
	}
}

func TestRun_customerWhoIsRefusedStopsNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.store = store.New(w.pool,
		store.Options{Endpoints: []outbox.Endpoint{{Name: "a", StuckAfter: time.Hour, FailingAfter: 100}}})
	refused := w.customers(2)[1]
	w.partner.Concurrency = 1 // so that nobody uses the token that is asked for after its 401
	w.api.Fail(partnercentertest.Fault{Path: refused, Status: http.StatusUnauthorized})
	every, err := cron.Parse("@every 1s", time.UTC)
	w.ok(err)
	w.partner.Schedule = every
	r := w.runner()
	r.RunOnStart = true
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan store.Run, 100)
	r.OnRun = func(run store.Run) { done <- run }
	var g errgroup.Group
	g.Go(func() error { return r.Run(ctx) })
	for whole := 0; whole < 3; whole++ {
		select {
		case run := <-done:
			if run.CustomersDeferred > 0 { // by a tick that came in the middle
				whole--
				continue
			}
			if run.State != store.Partial || run.CustomersOK != 1 {
				t.Errorf("run: %+v", run)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the partner waits")
		}
	}
	stop()
	w.ok(g.Wait())
	w.want("0", "SELECT count(*) FROM partnersync.outbox WHERE type = 'partner.sign_in_failed'")
}

func TestRun_userWhoSignsInAgainEndsTheWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.customers(1)
	u := w.user()
	w.asUser(u)
	w.partner.Users = u
	w.api.RevokeSignIns()
	if run := w.once(); run.State != store.Failed {
		t.Fatalf("run: %+v", run)
	}
	watch := newSignIn(w.runner(), w.partner)
	if !watch.refused(t.Context()) {
		t.Fatal("not refused")
	}
	refresh := partnercenter.Secret(w.api.RefreshToken("admin@contoso.example", true))
	w.ok(u.SignIn(t.Context(), partnercenter.SignedIn{User: "admin@contoso.example", Refresh: refresh}))
	if watch.refused(t.Context()) {
		t.Error("refused after another sign-in")
	}
	if run := w.once(); run.State != store.Complete {
		t.Errorf("run: %+v", run)
	}
}

func TestOnce_notifiesOnceThatTheSignInIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.store = store.New(w.pool,
		store.Options{Endpoints: []outbox.Endpoint{{Name: "a", StuckAfter: time.Hour, FailingAfter: 100}}})
	const events = "SELECT type, subject, data->>'error_code' FROM partnersync.outbox ORDER BY event_id"
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
	w.want("partner.sign_in_failed|contoso|AADSTS7000222", events)
}

func TestOnce_firstPassNotifiesNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	w.store = store.New(w.pool,
		store.Options{Endpoints: []outbox.Endpoint{{Name: "a", StuckAfter: time.Hour, FailingAfter: 1}}})
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
