package statuspage

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"partnersync/store/report"
)

// scrapeTimeout is how long a scrape waits for the database: Prometheus itself gives up after 10 s.
const scrapeTimeout = 3 * time.Second

// collector reads from the database what does not belong to one process. Every replica shows the same: take the maximum
// over them, not the sum.
type collector struct {
	site        *Site
	perCustomer bool
	customers   *cached[[]report.Customer]
}

var (
	finding = describe("finding",
		"0 while the finding does not hold, else the number of customers, events or the like that it is about, at least 1.",
		"finding", "severity", "partner", "endpoint")
	databaseUp   = describe("database_up", "Whether the database answered the last question: 1, else 0.")
	customersNow = describe("customers",
		"Customers, by how their last attempt went: ok, failing, or pending before the first.", "partner", "state")
	stalest = describe("stalest_customer_age_seconds",
		"Time since the last success of the customer synced least recently; customers never synced are left out.", "partner")
	stale = describe("stale_customers",
		"Customers whose last success is longer ago than this.", "partner", "older_than")
	failingRepeatedly = describe("repeatedly_failing_customers",
		"Customers whose last three attempts failed, at least, by the code of the last failure.", "partner", "code")
	neverSynced  = describe("never_synced_customers", "Customers that have never been synced.", "partner")
	customerSync = describe("customer_last_success_timestamp_seconds",
		"When the customer was last synced; 0: never. Only with customer_metrics.", "partner", "customer_id")
	batchesNow = describe("device_batches",
		"Device batches that are listed, by status; other: any further one, or none.", "status")
	credentialExpiry = describe("credential_expiry_timestamp_seconds",
		"When what the partner signs in with ends, as far as is known: client_certificate, client_secret or refresh_token.",
		"partner", "what")

	connections = describe("database_connections",
		"Connections of the sync to the database: in_use, idle or opening.", "state")
	connectionsMax = describe("database_connections_max", "Connections that the sync may have.")
	acquired       = describe("database_acquires_total", "Times that the sync took a connection.")
	acquiredLate   = describe("database_acquires_waited_total", "Times that the sync had to wait for a connection.")
	acquireTime    = describe("database_acquire_seconds_total", "Time that the sync spent to get connections.")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("partnersync_"+name, help, labels, nil)
}

// Collector returns the metrics that are read from the site's database when they are asked for, and not more often than
// every five seconds. perCustomer adds one for each customer.
func (s *Site) Collector(perCustomer bool) prometheus.Collector {
	c := &collector{site: s, perCustomer: perCustomer}
	c.customers = cachedFrom(s, func(ctx context.Context, r *report.Reader) ([]report.Customer, error) {
		return r.Customers(ctx, report.CustomerSearch{})
	})
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		finding, databaseUp, customersNow, failingRepeatedly, stalest, stale, neverSynced, customerSync, batchesNow,
		credentialExpiry,
		connections, connectionsMax, acquired, acquiredLate, acquireTime,
	} {
		out <- desc
	}
}

// Collect implements prometheus.Collector. What the database does not say in time is left out.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	to := sink{out}
	if pool := c.site.watched.Load(); pool != nil {
		to.pool(pool.Stat())
	}
	if c.site.credentials != nil {
		credentials, _ := c.site.credentials.get(ctx) // of an error, the findings tell
		for _, e := range credentials {
			to.gauge(credentialExpiry, float64(e.At.Unix()), e.partner, strings.ReplaceAll(e.What, " ", "_"))
		}
	}
	state, findings, err := c.site.findings(ctx, c.site.lookAlong)
	to.findings(state, findings, err == nil)
	if err != nil {
		c.site.log.Debug("metrics without the database", "err", err)
		to.gauge(databaseUp, 0)
		return
	}
	to.gauge(databaseUp, 1)
	to.freshness(state)
	if c.perCustomer {
		customers, err := c.customers.get(ctx)
		if err != nil {
			c.site.warn("metrics without the customers", err)
		}
		to.customers(customers, state.Partners())
	}
	b, err := c.site.batches.get(ctx)
	if err != nil {
		c.site.warn("metrics without the batches", err)
		return
	}
	for status, n := range batchesByStatus(b) {
		to.gauge(batchesNow, float64(n), status)
	}
}

// batchesByStatus returns the numbers of the last day.
func batchesByStatus(b report.Batches) map[string]int64 {
	sums := map[string]int64{}
	for _, status := range report.BatchStatuses {
		sums[status] = 0
	}
	for _, d := range b.Days {
		if d.Day.Equal(b.Today) {
			sums[d.Status] = d.Batches
		}
	}
	return sums
}

// sink is where metrics go.
type sink struct{ out chan<- prometheus.Metric }

func (s sink) gauge(d *prometheus.Desc, value float64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func (s sink) counter(d *prometheus.Desc, value float64) {
	s.out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, value)
}

// findings shows each finding that there may be, those that do not hold as 0. Where the state is not known, only those
// that hold all the same are shown.
func (s sink) findings(state report.State, findings []report.Finding, known bool) {
	values := map[[4]string]float64{}
	labels := func(f report.Finding) [4]string { return [4]string{f.Name, f.Severity, f.Partner, f.Endpoint} }
	if known {
		for _, f := range report.Possible(state) {
			values[labels(f)] = 0
		}
	}
	for _, f := range findings {
		values[labels(f)] += float64(max(1, f.Count))
	}
	for l, value := range values {
		s.gauge(finding, value, l[:]...)
	}
}

// freshness shows how fresh the customers of the configured partners are: the metrics of a partner that is no longer
// configured would leave its alerts red for good.
func (s sink) freshness(state report.State) {
	for _, p := range state.Freshness {
		if p.Dropped {
			continue
		}
		pending := p.NeverSynced - p.NeverSyncedFailing
		s.gauge(customersNow, float64(p.Customers-p.Failing-pending), p.Partner, "ok")
		s.gauge(customersNow, float64(p.Failing), p.Partner, "failing")
		s.gauge(customersNow, float64(pending), p.Partner, "pending")
		for _, c := range state.Causes {
			if c.Partner == p.Partner {
				s.gauge(failingRepeatedly, float64(c.Repeatedly), p.Partner, c.Code)
			}
		}
		s.gauge(neverSynced, float64(p.NeverSynced), p.Partner)
		if p.OldestSync != nil {
			s.gauge(stalest, state.Now.Sub(*p.OldestSync).Seconds(), p.Partner)
		}
		for older, n := range map[string]int{"1h": p.OverHour, "6h": p.OverSixHours, "24h": p.OverDay, "168h": p.OverWeek} {
			s.gauge(stale, float64(n), p.Partner, older)
		}
	}
}

// customers shows when each customer of the partners was last synced.
func (s sink) customers(customers []report.Customer, partners []string) {
	for _, c := range customers {
		at := 0.0
		if c.LastSuccessAt != nil {
			at = float64(c.LastSuccessAt.UnixMilli()) / 1000
		}
		if slices.Contains(partners, c.Partner) {
			s.gauge(customerSync, at, c.Partner, c.CustomerID)
		}
	}
}

func (s sink) pool(stat *pgxpool.Stat) {
	s.gauge(connections, float64(stat.AcquiredConns()), "in_use")
	s.gauge(connections, float64(stat.IdleConns()), "idle")
	s.gauge(connections, float64(stat.ConstructingConns()), "opening")
	s.gauge(connectionsMax, float64(stat.MaxConns()))
	s.counter(acquired, float64(stat.AcquireCount()))
	s.counter(acquiredLate, float64(stat.EmptyAcquireCount()))
	s.counter(acquireTime, stat.AcquireDuration().Seconds())
}
