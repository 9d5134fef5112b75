package statuspage

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

func TestMetrics_countNotifications(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry, "test")
	m.WatchEndpoint("chat")
	m.Notified("chat", "sent", 1)
	m.Notified("chat", "sent", 1)
	m.Notified("chat", "given_up", 7)
	(*Metrics)(nil).WatchEndpoint("chat")
	(*Metrics)(nil).Notified("chat", "sent", 1)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "partnersync_notifications_total" {
			continue
		}
		for _, metric := range f.GetMetric() {
			labels := metric.GetLabel() // by name
			got[labels[0].GetValue()+" "+labels[1].GetValue()] = metric.GetCounter().GetValue()
		}
	}
	if diff := cmp.Diff(map[string]float64{"chat sent": 2, "chat given_up": 7, "chat failed": 0, "chat refused": 0},
		got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestOverview_webhookThatIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	const put = `INSERT INTO partnersync.outbox (message_id, endpoint, subject, type, data, created_at, next_at, attempts)
		VALUES (gen_random_uuid(), $1, 's', 'batch.finished', '{}', now() - interval '5 minutes', now(), $2)`
	w.exec(`UPDATE partnersync.partner_settings SET endpoints = '{chat,new}'`)
	for endpoint, attempts := range map[string]int{"chat": 3, "new": 1} {
		_, err := w.db.Pool.Exec(t.Context(), put, endpoint, attempts)
		w.ok(err)
	}
	if page := w.shows("/", "Webhook chat cannot be notified: 1 event waits."); strings.Contains(page, "Webhook new") {
		t.Error("a first attempt that goes on is taken for a failure")
	}
}
