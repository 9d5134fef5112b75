package statuspage

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	metricName  = regexp.MustCompile(`partnersync_[a-z_]+`)
	describedAs = regexp.MustCompile(`fqName: "([a-z_]+)"`)
)

// TestDeployed_metricsExist looks for every metric that the alerts and the dashboard are about.
func TestDeployed_metricsExist(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	NewMetrics(registry, "1.2")
	registry.MustRegister(New(Options{}).Collector(true))
	known := described(registry)
	for _, file := range []string{"../../deploy/prometheus/alerts.yaml", "../../deploy/grafana/dashboard.json"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		names := metricName.FindAllString(string(text), -1)
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			if !known[strings.TrimSuffix(name, "_bucket")] {
				t.Errorf("%s is about %s, which partnersync does not have", file, name)
			}
		}
		if len(names) < 5 {
			t.Errorf("%s is about %q alone", file, names)
		}
	}
}

// described returns the names of the metrics that a registry can have.
func described(registry *prometheus.Registry) map[string]bool {
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		registry.Describe(descs)
	}()
	names := map[string]bool{}
	for desc := range descs {
		names[describedAs.FindStringSubmatch(desc.String())[1]] = true
	}
	return names
}
