package statuspage

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"partnersync/sync/partnercenter"
)

// Transport returns what carries a partner's requests, and counts them: for [partnercenter.Options] and
// [partnercenter.TokenOptions]. Of a nil *Metrics it is nil, which stands for their own.
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

// CloseIdleConnections lets an http.Client close what its transport keeps.
func (t *countingTransport) CloseIdleConnections() {
	(&http.Client{Transport: t.next}).CloseIdleConnections()
}

// endpointOf names the list that an escaped path leads to. An id cannot be taken for one: none comes last.
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
