package statuspage

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"partnersync/sync/partnercenter/partnercentertest"
)

// hasLine fails the test if the metrics lack the line, and returns them.
func (w *world) hasLine(lines ...string) (metrics string) {
	w.t.Helper()
	_, metrics = w.get("/metrics")
	for _, line := range lines {
		if !strings.Contains("\n"+metrics, "\n"+line+"\n") {
			w.t.Errorf("there is no %s in\n%s", line, metrics)
		}
	}
	return metrics
}

func TestMetrics_ofPassesAndTheirCustomers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.api.AddCustomer(partnercentertest.Customer{ID: alpha})
	w.api.AddCustomer(partnercentertest.Customer{ID: beta})
	w.put(alpha, "a", "queued")
	w.put(alpha, "b", "finished")
	w.put(alpha, "c", "Finished-With-Errors")
	w.put(alpha, "d", "archived")
	w.api.Fail(partnercentertest.Fault{Path: beta, Status: 403, Code: "20002"})
	w.pass()
	w.put(alpha, "a", "processing")
	w.pass()
	w.settled()
	metrics := w.hasLine(
		`partnersync_passes_total{kind="once",partner="contoso",state="partial"} 2`,
		`partnersync_pass_duration_seconds_count{kind="once",partner="contoso"} 2`,
		`partnersync_customers_synced_total{outcome="ok",partner="contoso"} 2`,
		`partnersync_customers_synced_total{outcome="failed",partner="contoso"} 2`,
		`partnersync_versions_written_total{change="inserted",partner="contoso"} 4`,
		`partnersync_versions_written_total{change="changed",partner="contoso"} 1`,
		`partnersync_versions_written_total{change="removed",partner="contoso"} 0`,
		`partnersync_rows_unchanged_total{partner="contoso"} 3`,
		`partnersync_api_requests_total{endpoint="device_batches",partner="contoso",status="200"} 2`,
		`partnersync_api_requests_total{endpoint="device_batches",partner="contoso",status="403"} 2`,
		`partnersync_api_requests_total{endpoint="customers",partner="contoso",status="200"} 2`,
		`partnersync_api_requests_total{endpoint="token",partner="contoso",status="200"} 1`,
		`partnersync_api_waits_total{partner="contoso",reason="throttled"} 0`,
		`partnersync_customers{partner="contoso",state="ok"} 1`,
		`partnersync_customers{partner="contoso",state="failing"} 1`,
		`partnersync_customers{partner="contoso",state="pending"} 0`,
		`partnersync_stale_customers{older_than="1h",partner="contoso"} 0`,
		`partnersync_repeatedly_failing_customers{code="20002",partner="contoso"} 0`,
		`partnersync_never_synced_customers{partner="contoso"} 1`,
		`partnersync_customer_last_success_timestamp_seconds{customer_id="`+beta+`",partner="contoso"} 0`,
		`partnersync_device_batches{status="processing"} 1`,
		`partnersync_device_batches{status="queued"} 0`,
		`partnersync_device_batches{status="finished_with_errors"} 1`,
		`partnersync_device_batches{status="other"} 1`,
		`partnersync_lease_losses_total{partner="contoso"} 0`,
		`partnersync_database_up 1`,
	)
	for _, name := range []string{"partnersync_stalest_customer_age_seconds{",
		"partnersync_token_expiry_timestamp_seconds{", "partnersync_build_info{", "partnersync_database_connections_max "} {
		if !strings.Contains(metrics, "\n"+name) {
			t.Errorf("there is no %s", name)
		}
	}
	problems, err := promlint.New(strings.NewReader(metrics)).Lint() // as promtool check metrics does
	if err != nil || len(problems) > 0 {
		t.Errorf("problems %v, error %v", problems, err)
	}
}

func TestMetrics_withoutTheDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.site.reader.Store(nil)
	if metrics := w.hasLine("partnersync_database_up 0"); strings.Contains(metrics, "partnersync_customers{") {
		t.Errorf("customers out of nowhere:\n%s", metrics)
	}
}

func TestMetrics_ofNobodyDoNothing(t *testing.T) {
	t.Parallel()
	var m *Metrics
	m.Watch("contoso", nil, nil)
	m.ClaimsLost("contoso", 1)
	if m.Transport("contoso") != nil {
		t.Error("a transport of nil metrics")
	}
}

func TestEndpointOf(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/v1/customers":                             "customers",
		"/v1/customers/1/deviceBatches":             "device_batches",
		"/v1/customers/1/deviceBatches/":            "device_batches",
		"/v1/customers/1/deviceBatches/a/devices":   "devices",
		"/v1/customers/1/policies":                  "configuration_policies",
		"/prefix/v1/customers/policies/policies":    "configuration_policies",
		"/t/oauth2/v2.0/token":                      "token",
		"/v1/customers/1/deviceBatches/a%2Fdevices": "other",
		"": "other",
	} {
		if got := endpointOf(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
