package notify

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"partnersync/sync/partnercenter"
)

// cards returns the ids of the deliveries to a receiver of cards, and the lines of each card.
func (r *receiver) cards(t *testing.T) (ids []string, cards [][]string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, each := range r.got {
		ids = append(ids, each.header.Get("webhook-id"))
		cards = append(cards, readCard(t, each.body).lines())
	}
	return ids, cards
}

// newTeams returns a world with a receiver of cards.
func newTeams(t *testing.T) (*world, *receiver) {
	r := newReceiver(t)
	return newWorld(t, Endpoint{Name: "r", URL: partnercenter.Secret(r.URL), Format: Teams, Keys: []partnercenter.Secret{
		partnercenter.Secret("whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 32))),
	}}), r
}

func TestSender_gathersTheEventsOfSomeSecondsInOneCard(t *testing.T) {
	t.Parallel()
	w, r := newTeams(t)
	client, e := newClient(), w.sender.Endpoints[0]
	w.pass("finished", "a", "b", "c")
	n, err := w.sender.sendDue(t.Context(), client, e, gatherFor)
	w.ok(err)
	if n != 0 {
		t.Fatalf("%d deliveries at once", n)
	}
	_, err = w.pool.Exec(t.Context(), "UPDATE partnersync.outbox SET created_at = created_at - $1::interval", gatherFor)
	w.ok(err)
	r.answers(http.StatusBadGateway)
	_, err = w.sender.sendDue(t.Context(), client, e, gatherFor)
	w.ok(err)
	var events []string
	rows, err := w.pool.Query(t.Context(), "SELECT message_id::text FROM partnersync.outbox ORDER BY event_id")
	w.ok(err)
	for rows.Next() {
		var id string
		w.ok(rows.Scan(&id))
		events = append(events, id)
	}
	w.ok(rows.Err())
	r.answers(0)
	w.pass("finished_with_errors", "a", "b", "c") // these wait for what failed
	_, err = w.pool.Exec(t.Context(), "UPDATE partnersync.outbox SET next_at = now()")
	w.ok(err)
	_, err = w.sender.sendDue(t.Context(), client, e, gatherFor)
	w.ok(err)
	ids, cards := r.cards(t)
	if len(cards) != 1 || cards[0][0] != "3 events" || slices.Contains(events, ids[0]) {
		t.Fatalf("delivered %v: %q", ids, cards)
	}
	for _, id := range events {
		if !slices.Contains(cards[0], "Event id: `"+id+"`") {
			t.Errorf("the card does not tell the id %s: %q", id, cards[0])
		}
	}
	if w.left() != 3 {
		t.Errorf("%d left, want the later events", w.left())
	}
	if log := w.log.String(); strings.Count(log, "events=3") != 2 || strings.Count(log, ids[0]) != 2 {
		t.Errorf("the two attempts do not have the same id: %s", log)
	}
	if got := r.got[0].header.Get("webhook-signature"); !strings.HasPrefix(got, "v1,") {
		t.Errorf("the signature is %q", got)
	}
}

func TestDrain_sendsWhatIsGathered(t *testing.T) {
	t.Parallel()
	w, r := newTeams(t)
	w.pass("finished", "a", "b", "c")
	w.ok(w.sender.Drain(t.Context()))
	if _, cards := r.cards(t); len(cards) != 1 || cards[0][0] != "3 events" || w.left() != 0 {
		t.Errorf("received %q, and %d are left", cards, w.left())
	}
}

func TestSender_severalSendWhatIsGatheredOnce(t *testing.T) {
	t.Parallel()
	w, r := newTeams(t)
	w.pass("finished", "a", "b", "c")
	errs := make(chan error)
	for range 4 {
		go func() {
			_, err := w.sender.sendDue(t.Context(), newClient(), w.sender.Endpoints[0], 0)
			errs <- err
		}()
	}
	for range 4 {
		w.ok(<-errs)
	}
	_, cards := r.cards(t)
	events := 0
	for _, card := range cards {
		for _, line := range card {
			if strings.HasPrefix(line, "Event id: ") {
				events++
			}
		}
	}
	if events != 3 {
		t.Errorf("%d events, want 3: %q", events, cards)
	}
}
