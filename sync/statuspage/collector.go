package statuspage

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"partnersync/store"
)

// scrapeTimeout is how long a scrape waits for the database: Prometheus itself gives up after 10 s.
const scrapeTimeout = 3 * time.Second

// collector reads from the database what belongs to no one process. Every replica shows the same: take the maximum over
// them, not the sum.
type collector struct {
	site        *Site
	perCustomer bool
	freshness   *cached[freshness]
}

// freshness is how fresh the data is, by partner and perhaps by customer.
type freshness struct {
	partners  []store.PartnerFreshness
	customers []store.CustomerSync
}

var (
	databaseUp   = describe("database_up", "Whether the database answered the last question: 1, else 0.")
	customersNow = describe("customers", "Customers, by how their last attempt went: ok, failing, or pending before the first.", "partner", "state")
	stalest      = describe("stalest_customer_age_seconds", "Time since the last success of the customer synced least recently; customers never synced are left out.", "partner")
	stale        = describe("stale_customers", "Customers whose last success is longer ago than this.", "partner", "older_than")
	neverSynced  = describe("never_synced_customers", "Customers that have never been synced.", "partner")
	customerSync = describe("customer_last_success_timestamp_seconds", "When the customer was last synced; 0: never. Only with customer_metrics.", "partner", "customer_id")
	batchesNow   = describe("device_batches", "Device batches that are listed, by status; other: any further one, or none.", "status")

	connections    = describe("database_connections", "Connections of the sync to the database: in_use, idle or opening.", "state")
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
	c.freshness = newCached(c.read)
	return c
}

func (c *collector) read(ctx context.Context) (f freshness, err error) {
	reader, err := c.site.database()
	if err != nil {
		return f, err
	}
	all, err := reader.Freshness(ctx)
	// A partner that is not configured any more would leave its alerts red for good.
	f.partners, _ = Split(all, c.site.options.Partners)
	if err != nil || !c.perCustomer {
		return f, err
	}
	f.customers, err = reader.CustomerSyncs(ctx)
	f.customers = slices.DeleteFunc(f.customers, func(cs store.CustomerSync) bool { return !isConfigured(c.site.options.Partners, cs.Partner) })
	return f, err
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		databaseUp, customersNow, stalest, stale, neverSynced, customerSync, batchesNow,
		connections, connectionsMax, acquired, acquiredLate, acquireTime, credentialExpiry,
	} {
		out <- desc
	}
}

// Collect implements prometheus.Collector. What the database does not say in time is left out.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	sink := sink{out}
	if reader, err := c.site.database(); err == nil {
		sink.pool(reader.Watched().Stat())
	}
	c.collectExpiries(ctx, sink)
	f, err := c.freshness.get(ctx)
	if err != nil {
		c.site.log.Debug("metrics without the database", "err", err)
		sink.gauge(databaseUp, 0)
		return
	}
	sink.gauge(databaseUp, 1)
	for _, p := range f.partners {
		sink.partner(p)
	}
	for _, cs := range f.customers {
		at := 0.0
		if cs.LastSuccessAt != nil {
			at = float64(cs.LastSuccessAt.UnixMilli()) / 1000
		}
		sink.gauge(customerSync, at, cs.Partner, cs.CustomerID)
	}
	if b, err := c.site.batches.get(ctx); err == nil {
		for status, n := range batchesByStatus(b) {
			sink.gauge(batchesNow, float64(n), status)
		}
	} else {
		c.site.warn("metrics without the batches", err)
	}
}

// batchesByStatus adds up the days.
func batchesByStatus(b store.Batches) map[string]int64 {
	sums := map[string]int64{}
	for _, status := range store.BatchStatuses {
		sums[status] = 0
	}
	for _, d := range b.Days {
		sums[d.Status] += d.More
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

func (s sink) partner(p store.PartnerFreshness) {
	pending := p.NeverSynced - p.NeverSyncedFailing
	s.gauge(customersNow, float64(p.Customers-p.Failing-pending), p.Partner, "ok")
	s.gauge(customersNow, float64(p.Failing), p.Partner, "failing")
	s.gauge(customersNow, float64(pending), p.Partner, "pending")
	s.gauge(neverSynced, float64(p.NeverSynced), p.Partner)
	if p.OldestSync != nil {
		s.gauge(stalest, p.Now.Sub(*p.OldestSync).Seconds(), p.Partner)
	}
	for older, n := range map[string]int{"1h": p.OverHour, "6h": p.OverSixHours, "24h": p.OverDay, "168h": p.OverWeek} {
		s.gauge(stale, float64(n), p.Partner, older)
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
