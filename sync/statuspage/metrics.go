package statuspage

import (
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"partnersync/store"
	"partnersync/sync/notify"
	"partnersync/sync/partnercenter"
)

// Metrics counts what this process does. Each replica counts its own part, so that sums over replicas are right: a pass
// that several work on is counted by the one that ends it. The methods of a nil *Metrics do nothing.
type Metrics struct {
	reg prometheus.Registerer

	passes      *prometheus.CounterVec
	duration    *prometheus.HistogramVec
	customers   *prometheus.CounterVec
	versions    *prometheus.CounterVec
	unchanged   *prometheus.CounterVec
	claimsLost  *prometheus.CounterVec
	requests    *prometheus.CounterVec
	requestTime *prometheus.HistogramVec
	waits       *prometheus.CounterVec
	waited      *prometheus.CounterVec
	notified    *prometheus.CounterVec
}

// NewMetrics registers the metrics of a process of that version of the program.
func NewMetrics(reg prometheus.Registerer, version string) *Metrics {
	m := &Metrics{
		reg: reg,
		passes: counter("passes_total",
			"Passes that ended, by kind and state, counted by the replica that ended them.", "partner", "kind", "state"),
		customers: counter("customers_synced_total",
			"Customers of passes that ended, by outcome: ok, failed or deferred to a later pass.", "partner", "outcome"),
		versions: counter("versions_written_total",
			"Versions of rows written by passes that ended: inserted, changed or removed.", "partner", "change"),
		unchanged: counter("rows_unchanged_total", "Rows that passes found unchanged, which costs no write.", "partner"),
		claimsLost: counter("lease_losses_total",
			"Claims on customers that another worker took over, since this one was silent for longer than the lease.",
			"partner"),
		requests: counter("api_requests_total",
			"HTTP requests sent to the API and for tokens, by endpoint and status; none: there was no answer.",
			"partner", "endpoint", "status"),
		waits: counter("api_waits_total",
			"Waits of requests, by reason: limit (requests_per_minute), throttled (429) or retry.", "partner", "reason"),
		waited: counter("api_wait_seconds_total",
			"Time that requests waited, by reason: limit (requests_per_minute), throttled (429) or retry.", "partner", "reason"),
		notified: counter("notifications_total",
			"Attempts to notify an endpoint, by result: sent, failed (to be tried again), refused (410) or given_up "+
				"(a day old).",
			"endpoint", "result"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "partnersync_pass_duration_seconds", Help: "How long passes took, by kind.",
			Buckets: []float64{1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600},
		}, []string{"partner", "kind"}),
		requestTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "partnersync_api_request_duration_seconds", Help: "How long the API took to begin its answers, by endpoint.",
			Buckets: []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180},
		}, []string{"partner", "endpoint"}),
	}
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "partnersync_build_info", Help: "1, with the version of the program and of Go.",
	}, []string{"version", "go_version"})
	info.WithLabelValues(version, runtime.Version()).Set(1)
	reg.MustRegister(info, m.passes, m.duration, m.customers, m.versions, m.unchanged, m.claimsLost, m.requests,
		m.requestTime, m.waits, m.waited, m.notified)
	return m
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "partnersync_" + name, Help: help}, labels)
}

// Run counts a run that is over, if this process ended it; it is a [sync.Runner]'s OnRun.
func (m *Metrics) Run(run store.Run) {
	if m == nil || !run.EndedHere || run.FinishedAt == nil {
		return
	}
	m.passes.WithLabelValues(run.Partner, run.Kind, run.State).Inc()
	m.duration.WithLabelValues(run.Partner, run.Kind).Observe(run.FinishedAt.Sub(run.StartedAt).Seconds())
	m.customers.WithLabelValues(run.Partner, "ok").Add(float64(run.CustomersOK))
	m.customers.WithLabelValues(run.Partner, "failed").Add(float64(run.CustomersFailed))
	m.customers.WithLabelValues(run.Partner, "deferred").Add(float64(run.CustomersDeferred))
	m.versions.WithLabelValues(run.Partner, "inserted").Add(float64(run.Inserted))
	m.versions.WithLabelValues(run.Partner, "changed").Add(float64(run.Changed))
	m.versions.WithLabelValues(run.Partner, "removed").Add(float64(run.Removed))
	m.unchanged.WithLabelValues(run.Partner).Add(float64(run.Unchanged))
}

// ClaimsLost counts claims that another worker took over; it is a [sync.Runner]'s OnClaimsLost.
func (m *Metrics) ClaimsLost(partner string, claims int) {
	if m != nil {
		m.claimsLost.WithLabelValues(partner).Add(float64(claims))
	}
}

// Notified counts attempts to notify an endpoint; it is a [notify.Sender]'s OnResult.
func (m *Metrics) Notified(endpoint, result string, n int) {
	if m != nil {
		m.notified.WithLabelValues(endpoint, result).Add(float64(n))
	}
}

// WatchEndpoint starts an endpoint's counts at 0, so that the first failure counts as an increase. Call it once for
// each.
func (m *Metrics) WatchEndpoint(name string) {
	if m == nil {
		return
	}
	for _, result := range []string{notify.Sent, notify.Failed, notify.Refused, notify.GivenUp} {
		m.notified.WithLabelValues(name, result)
	}
}

// Watch counts a partner's waits and shows when its token expires. Call it once for each partner, before the limiter is
// used.
func (m *Metrics) Watch(partner string, limiter *partnercenter.Limiter, tokens *partnercenter.TokenSource) {
	if m == nil {
		return
	}
	for _, reason := range []string{partnercenter.WaitLimit, partnercenter.WaitThrottled, partnercenter.WaitRetry} {
		m.waits.WithLabelValues(partner, reason) // so that the first one counts as an increase
		m.waited.WithLabelValues(partner, reason)
	}
	m.claimsLost.WithLabelValues(partner)
	for _, state := range []string{store.Complete, store.Partial, store.Failed} {
		m.passes.WithLabelValues(partner, store.Scheduled, state)
	}
	limiter.OnWait = func(reason string, waited time.Duration) {
		m.waits.WithLabelValues(partner, reason).Inc()
		m.waited.WithLabelValues(partner, reason).Add(waited.Seconds())
	}
	m.reg.MustRegister(tokenExpiry{tokens, prometheus.NewDesc("partnersync_token_expiry_timestamp_seconds",
		"When the access token expires; it is renewed before. Absent until there is one.", nil,
		prometheus.Labels{"partner": partner})})
}

// tokenExpiry tells when a token expires, once there is one.
type tokenExpiry struct {
	tokens *partnercenter.TokenSource
	desc   *prometheus.Desc
}

// Describe describes the gauge.
func (c tokenExpiry) Describe(out chan<- *prometheus.Desc) { out <- c.desc }

// Collect gives the time, once there is a token.
func (c tokenExpiry) Collect(out chan<- prometheus.Metric) {
	if at := c.tokens.Expires(); !at.IsZero() {
		out <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(at.Unix()))
	}
}

// Transport returns a transport that counts a partner's requests, for [partnercenter.Options] and
// [partnercenter.TokenOptions]. Of a nil *Metrics it is nil, which means the default one to both.
func (m *Metrics) Transport(partner string) http.RoundTripper {
	if m == nil {
		return nil
	}
	return &countingTransport{metrics: m, partner: partner, next: partnercenter.NewTransport()}
}

type countingTransport struct {
	metrics *Metrics
	partner string
	next    http.RoundTripper
}

// RoundTrip makes a request, and counts it.
func (t *countingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	began := time.Now()
	resp, err := t.next.RoundTrip(req)
	endpoint, status := endpointOf(req.URL.EscapedPath()), "none"
	if err == nil {
		status = strconv.Itoa(resp.StatusCode)
		t.metrics.requestTime.WithLabelValues(t.partner, endpoint).Observe(time.Since(began).Seconds())
	}
	t.metrics.requests.WithLabelValues(t.partner, endpoint, status).Inc()
	return resp, err
}

// CloseIdleConnections closes the idle connections, as http.Client.CloseIdleConnections asks its transport to.
func (t *countingTransport) CloseIdleConnections() {
	(&http.Client{Transport: t.next}).CloseIdleConnections()
}

// endpointOf names the list that an escaped path leads to. An id cannot be mistaken for one, since none comes last.
func endpointOf(path string) string {
	path = strings.TrimSuffix(path, "/")
	switch path[strings.LastIndexByte(path, '/')+1:] {
	case "token":
		return "token"
	case "customers":
		return "customers"
	case "deviceBatches":
		return "device_batches"
	case "devices":
		return "devices"
	case "policies":
		return "configuration_policies"
	}
	return "other"
}
