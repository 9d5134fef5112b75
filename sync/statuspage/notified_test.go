package statuspage

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

func TestMetrics_countNotifications(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry, "test")
	m.Notified("chat", "sent", 1)
	m.Notified("chat", "sent", 1)
	m.Notified("chat", "given_up", 7)
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
	if diff := cmp.Diff(map[string]float64{"chat sent": 2, "chat given_up": 7}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
