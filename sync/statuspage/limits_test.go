package statuspage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"partnersync/store/report"
)

// pipes is a listener whose connections are in memory.
type pipes struct {
	waiting chan net.Conn
	closed  chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.waiting:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error {
	close(p.closed)
	return nil
}

func (p pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9470} }

// Whoever comes as the hundred and first waits until another has gone.
func TestServe_connectionsAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const all = maxConnections + 20
		listener := pipes{make(chan net.Conn, all), make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- New(Options{}).Serve(ctx, listener) }()
		var answered atomic.Int64
		var clients []net.Conn
		for range all {
			client, server := net.Pipe()
			listener.waiting <- server
			clients = append(clients, client)
			go func() {
				fmt.Fprint(client, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
				resp, err := http.ReadResponse(bufio.NewReader(client), nil)
				if err == nil && resp.StatusCode == http.StatusOK {
					answered.Add(1)
				}
			}()
		}
		synctest.Wait()
		if n := answered.Load(); n != maxConnections {
			t.Errorf("%d of %d were answered, want %d", n, all, maxConnections)
		}
		for _, client := range clients[:5] {
			client.Close()
		}
		synctest.Wait()
		if n := answered.Load(); n != maxConnections+5 {
			t.Errorf("%d were answered after five had gone, want %d", n, maxConnections+5)
		}
		cancel()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("it ended with %v", err)
		}
		for _, client := range clients {
			client.Close()
		}
	})
}

// However many ask for the page, the sync is ready, and nobody is told that it is for the database.
func TestReadyz_whileManyAskForThePage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.ended(0)
	pool := w.site.reader.Load().Pool()
	for range pool.Config().MaxConns {
		conn, err := pool.Acquire(t.Context())
		w.ok(err)
		defer conn.Release()
	}
	if status, body := w.get("/readyz"); status != http.StatusOK {
		t.Errorf("/readyz: %d %s", status, body)
	}
	if _, metrics := w.get("/metrics"); !strings.Contains(metrics, "partnersync_database_up 1") {
		t.Errorf("the database counts as down: %s", metrics)
	}
	_, findings, err := w.site.findings(t.Context(), func(context.Context) (look, error) { return look{}, report.ErrBusy })
	if len(findings) > 0 && findings[0].Name == "database_unusable" || !errors.Is(err, report.ErrBusy) {
		t.Errorf("a person who waits in vain finds %v, %v", findings, err)
	}
	got := httptest.NewRecorder()
	w.site.fail(got, httptest.NewRequest(http.MethodGet, "/", nil), fmt.Errorf("reading: %w", report.ErrBusy))
	if got.Code != http.StatusServiceUnavailable || !strings.Contains(got.Body.String(), "Too many ask at the same time.") {
		t.Errorf("the page says %d %s", got.Code, got.Body)
	}
}

// broken is the connection of a client that has gone.
type broken struct{ http.ResponseWriter }

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// invalid is a collector whose metric cannot be gathered.
type invalid struct{}

func (i invalid) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(i, out) }

func (invalid) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.NewInvalidMetric(prometheus.NewDesc("two", "x", nil, nil), errors.New("it is invalid"))
}

func TestMetrics_brokenScrapesAreOfNoInterest(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	registry, failing := prometheus.NewRegistry(), prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "one"}))
	failing.MustRegister(invalid{})
	for want, gatherer := range map[string]prometheus.Gatherer{
		"":                            registry,
		"level=WARN msg=\"gathering ": failing,
	} {
		log.Reset()
		site := New(Options{Metrics: gatherer, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		site.Handler(true).ServeHTTP(broken{httptest.NewRecorder()}, httptest.NewRequest(http.MethodGet, "http://localhost/metrics", nil))
		if got := log.String(); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("logged %q, want %q", got, want)
		}
	}
}
