package statuspage_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/prometheus/client_golang/prometheus"

	"partnersync/store"
	"partnersync/sync"
	"partnersync/sync/statuspage"
)

// The daemon's site is there before its database: Connect gives it that later. It is served by ListenAndServe.
func Example() {
	registry := prometheus.NewRegistry()
	metrics := statuspage.NewMetrics(registry, "1.2.3")
	site := statuspage.New(statuspage.Options{Version: "1.2.3", Metrics: registry})
	registry.MustRegister(site.Collector(false))

	runner := &sync.Runner{OnClaimsLost: metrics.ClaimsLost}
	runner.OnRun = func(run store.Run) { metrics.Run(run) }
	site.Watch(runner)

	answer := httptest.NewRecorder()
	site.Handler(true).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "http://localhost/readyz", nil))
	fmt.Print(answer.Code, " ", answer.Body)
	// Output:
	// 503 not ready
	// stopped: database_unusable: The database cannot be used.
}
