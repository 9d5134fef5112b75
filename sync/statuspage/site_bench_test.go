package statuspage

import (
	_ "embed"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"partnersync/store/report"
	"partnersync/store/storetest"
)

// manyBatches makes 20,000 customers with a million batches.
//
//go:embed testdata/many_batches.sql
var manyBatches string

// BenchmarkPages shows the pages of a million batches: go test ./sync/statuspage -run '^$' -bench Pages -benchtime 20x.
// It fails where a page takes longer than 200 ms on two cores.
func BenchmarkPages(b *testing.B) {
	db := storetest.New(b)
	for _, sql := range []string{manyBatches, "VACUUM ANALYZE"} {
		if _, err := db.Pool.Exec(b.Context(), sql); err != nil {
			b.Fatal(err)
		}
	}
	reader, err := report.NewReader(b.Context(), db.Pool)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(reader.Close)
	registry := prometheus.NewRegistry()
	site := New(Options{Metrics: registry})
	registry.MustRegister(site.Collector(true))
	site.Connect(b.Context(), reader, db.Pool)
	if _, err := site.batches.get(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Logf("to read all batches took %s", site.batches.took.Round(time.Millisecond))
	customer, err := reader.Customers(b.Context(), report.CustomerSearch{Limit: 1})
	if err != nil {
		b.Fatal(err)
	}
	h := site.Handler(true)
	for _, path := range []string{
		"/", "/customers", "/customers?page=400", "/customers?show=failing", "/customers?order=name",
		"/customers?q=company+19999",
		"/customers/" + customer[0].CustomerID,
		"/customers/" + customer[0].CustomerID + "?q=" + url.QueryEscape("batch 1"), "/readyz", "/metrics",
	} {
		b.Run(path, func(b *testing.B) {
			for b.Loop() {
				got := httptest.NewRecorder()
				h.ServeHTTP(got, httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil))
				if got.Code != http.StatusOK {
					b.Fatalf("%d: %s", got.Code, got.Body)
				}
			}
			took := b.Elapsed() / time.Duration(b.N)
			b.ReportMetric(float64(took.Microseconds())/1000, "ms/page")
			if took > 200*time.Millisecond {
				b.Errorf("it took %s, more than 200ms", took.Round(time.Millisecond))
			}
		})
	}
}
