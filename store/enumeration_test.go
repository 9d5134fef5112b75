package store

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
)

// enumerate settles the customers of a new run of the partner, as observed at the given time.
func (w *world) enumerate(partner string, at time.Time, e Enumeration) (Run, Enumerated) {
	w.t.Helper()
	run := w.open(RunRequest{Partner: partner, Kind: Once, ScheduledFor: at}).Run
	claim, mine, err := w.ClaimEnumeration(w.t.Context(), run)
	if w.ok(err); !mine {
		w.t.Fatalf("run %d is enumerated already", run.ID)
	}
	e.ObservedAt = at
	done, err := w.RecordEnumeration(w.t.Context(), claim, e)
	w.ok(err)
	return w.readRun(run), done
}

func (w *world) wantEnumerated(want, got Enumerated) {
	w.t.Helper()
	got.Run = Run{}
	if want.Contested == nil {
		want.Contested = map[string]string{}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("enumerated: (-want +got)\n%s", diff)
	}
}

// listed is a complete enumeration by the API.
func listed(ids ...string) Enumeration {
	return Enumeration{Customers: named(ids), Complete: true, Guarded: true}
}

const customers = `SELECT concat_ws('|', customer_id, partner, to_char(first_seen_at AT TIME ZONE 'UTC', 'HH24:MI'),
	coalesce(to_char(removed_at AT TIME ZONE 'UTC', 'HH24:MI'), '-'))
	FROM partner_center.customers ORDER BY customer_id`

func TestRecordEnumeration_firstEnumeration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := listed(beta)
	e.Customers = append(e.Customers, Customer{ID: alpha, CompanyName: ptr("Alpha Ltd"), Domain: ptr("alpha.example"), Relationship: ptr("reseller")})
	e.Requests, e.Retries = 3, 1
	run, done := w.enumerate("contoso", minute(1), e)
	w.wantEnumerated(Enumerated{Added: 2}, done)
	if run.CustomersTotal != 2 || run.Requests != 3 || run.Retries != 1 || run.Error != nil || run.State != Running {
		t.Errorf("run %+v, want 2 customers, 3 requests, 1 retry, no error, running", run)
	}
	w.want(alpha+"|contoso|00:01|-\n"+beta+"|contoso|00:01|-", customers)
	w.want("Alpha Ltd|alpha.example|reseller", "SELECT concat_ws('|', company_name, domain, relationship) FROM partner_center.customers WHERE customer_id = $1", alpha)
	w.want(alpha+"|0|f\n"+beta+"|0|f", `SELECT concat_ws('|', customer_id, consecutive_failures, last_attempt_at IS NOT NULL)
		FROM partner_center.sync_freshness ORDER BY customer_id`)
}

func TestRecordEnumeration_namesFollowTheAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	settle := func(at time.Time, c Customer) {
		t.Helper()
		c.ID = alpha
		w.enumerate("contoso", at, Enumeration{Customers: []Customer{c}, Complete: true})
	}
	const names = "SELECT concat_ws('|', company_name, domain, relationship) FROM partner_center.customers"
	settle(minute(1), Customer{CompanyName: ptr("Alpha"), Domain: ptr("alpha.example"), Relationship: ptr("reseller")})
	settle(minute(2), Customer{CompanyName: ptr("Alpha Ltd")})
	w.want("Alpha Ltd|alpha.example|reseller", names)
	settle(minute(3), Customer{}) // only named in the configuration
	w.want("Alpha Ltd|alpha.example|reseller", names)
	settle(minute(4), Customer{Domain: ptr("new.example"), Relationship: ptr("none")})
	w.want("Alpha Ltd|new.example|none", names)
	w.want(alpha+"|contoso|00:01|-", customers)
}

func TestRecordEnumeration_unchangedOnesAreNotWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := listed(alpha, beta)
	e.Customers[0].CompanyName = ptr("Alpha")
	w.enumerate("contoso", minute(1), e)
	const places = `SELECT concat_ws('|', c.customer_id, c.ctid, c.xmin, c.xmax, s.ctid, s.xmin, s.xmax) FROM partner_center.customers c
		JOIN partnersync.customer_state s USING (customer_id) ORDER BY 1`
	before := w.lines(places)
	_, done := w.enumerate("contoso", minute(2), e)
	w.wantEnumerated(Enumerated{}, done)
	w.want(before, places)
}

func TestRecordEnumeration_removalAndReturn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pass(minute(1), complete("1"), batch("b", "queued"))
	w.enumerate("contoso", minute(2), listed(alpha, beta))
	run, done := w.enumerate("contoso", minute(3), listed(beta))
	w.wantEnumerated(Enumerated{Removed: 1}, done)
	if run.CustomersTotal != 1 {
		t.Errorf("the run has %d customers, want 1", run.CustomersTotal)
	}
	const removed = "SELECT concat_ws('|', to_char(removed_at AT TIME ZONE 'UTC', 'HH24:MI')) FROM partner_center.customers WHERE customer_id = $1"
	w.want("00:03", removed, alpha)
	w.want(beta, "SELECT concat_ws('|', customer_id) FROM partner_center.sync_freshness")
	w.want("b|queued|00:01|-|-|-", history, alpha, "b")
	if got := claimed(w.claims(run)); !cmp.Equal(got, []string{beta}) {
		t.Errorf("claimed %v, want %s alone", got, beta)
	}
	_, done = w.enumerate("contoso", minute(4), listed(beta))
	w.wantEnumerated(Enumerated{}, done)
	w.want("00:03", removed, alpha)
	run, done = w.enumerate("contoso", minute(5), listed(alpha, beta))
	w.wantEnumerated(Enumerated{}, done)
	w.want("", removed, alpha)
	if run.CustomersTotal != 2 {
		t.Errorf("after the return the run has %d customers, want 2", run.CustomersTotal)
	}
	// Nothing has happened to its list, so that the digest still stands for it.
	if c := w.claim(run); c.CustomerID != alpha || string(c.BatchesDigest) != "1" {
		t.Errorf("claimed %+v, want %s with its digest", c, alpha)
	}
}

func TestRecordEnumeration_incompleteRemovesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enumerate("contoso", minute(1), listed(alpha))
	e := Enumeration{Customers: named([]string{beta}), Error: "listing customers: 503"}
	run, done := w.enumerate("contoso", minute(2), e)
	w.wantEnumerated(Enumerated{Added: 1}, done)
	if run.CustomersTotal != 2 || run.Error == nil || *run.Error != e.Error {
		t.Errorf("run %+v, want 2 customers and the error", run)
	}
	w.want(alpha+"|contoso|00:01|-\n"+beta+"|contoso|00:02|-", customers)
}

func TestRecordEnumeration_massRemovalIsHeldUntilALaterRunConfirmsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := customerIDs(12)
	w.enumerate("contoso", minute(1), listed(ids...))
	run, done := w.enumerate("contoso", minute(2), listed(ids[7:]...))
	w.wantEnumerated(Enumerated{Held: 7}, done)
	if run.Error == nil || !strings.HasPrefix(*run.Error, "mass_removal_held: ") || run.CustomersTotal != 12 {
		t.Errorf("run %+v, want all 12 customers and mass_removal_held", run)
	}
	// An incomplete enumeration in between neither confirms nor forgets.
	w.enumerate("contoso", minute(3), Enumeration{Error: "503", Guarded: true})
	_, done = w.enumerate("contoso", minute(4), listed(slices.Concat(ids[:1], ids[8:])...))
	w.wantEnumerated(Enumerated{Removed: 6, Held: 1}, done)
	run, done = w.enumerate("contoso", minute(5), listed(slices.Concat(ids[:1], ids[8:])...))
	w.wantEnumerated(Enumerated{Removed: 1}, done)
	if run.Error != nil || run.CustomersTotal != 5 {
		t.Errorf("run %+v, want 5 customers and no error", run)
	}
	w.want("t|t", "SELECT concat_ws('|', held_customers IS NULL, held_run IS NULL) FROM partnersync.partner_state")
}

func TestRecordEnumeration_heldCustomersThatReturnAreForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := customerIDs(12)
	w.enumerate("contoso", minute(1), listed(ids...))
	w.enumerate("contoso", minute(2), listed(ids[7:]...))
	w.enumerate("contoso", minute(3), listed(ids...))
	_, done := w.enumerate("contoso", minute(4), listed(ids[7:]...))
	w.wantEnumerated(Enumerated{Held: 7}, done)
}

func TestRecordEnumeration_guardCountsTheKnownOnes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := customerIDs(40)
	w.enumerate("contoso", minute(1), listed(ids[:12]...))
	// 7 of the 12 known are gone, though 28 new ones hide it.
	_, done := w.enumerate("contoso", minute(2), listed(ids[7:]...))
	w.wantEnumerated(Enumerated{Added: 28, Held: 7}, done)
}

func TestRecordEnumeration_configurationIsBelievedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := customerIDs(12)
	w.enumerate("contoso", minute(1), listed(ids...))
	_, done := w.enumerate("contoso", minute(2), Enumeration{Customers: named(ids[:1]), Complete: true})
	w.wantEnumerated(Enumerated{Removed: 11}, done)
}

func TestRecordEnumeration_excludedAreRemovedHoweverMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := customerIDs(12)
	w.enumerate("contoso", minute(1), listed(ids...))
	e := listed(ids[10:]...)
	e.Excluded = append(ids[:10:10], gamma) // gamma is not known
	_, done := w.enumerate("contoso", minute(2), e)
	w.wantEnumerated(Enumerated{Removed: 10}, done)
	// So they are where the enumeration fails.
	e = Enumeration{Excluded: ids[10:11], Error: "503"}
	run, done := w.enumerate("contoso", minute(3), e)
	w.wantEnumerated(Enumerated{Removed: 1}, done)
	if run.CustomersTotal != 1 {
		t.Errorf("the run has %d customers, want 1", run.CustomersTotal)
	}
}

func TestRecordEnumeration_restrictedRunRemovesNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enumerate("contoso", minute(1), listed(alpha, beta))
	run := w.open(RunRequest{Partner: "contoso", Kind: Once, ScheduledFor: minute(2), Customers: []string{beta, gamma}, Filter: "x"}).Run
	claim, _, err := w.ClaimEnumeration(t.Context(), run)
	w.ok(err)
	done, err := w.RecordEnumeration(t.Context(), claim, Enumeration{Customers: named([]string{beta, gamma}), ObservedAt: minute(2)})
	w.ok(err)
	w.wantEnumerated(Enumerated{Added: 1}, done)
	w.want("2", "SELECT concat_ws('|', customers_total) FROM partnersync.runs WHERE run_id = $1", run.ID)
	w.want("3", "SELECT concat_ws('|', count(*)) FROM partner_center.sync_freshness")
}

func TestRecordEnumeration_customerOfTwoPartners(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enumerate("contoso", minute(1), listed(alpha, beta))
	e := listed(beta, gamma)
	e.Customers[0].CompanyName = ptr("Beta")
	run, done := w.enumerate("fabrikam", minute(2), e)
	w.wantEnumerated(Enumerated{Added: 1, Contested: map[string]string{beta: "contoso"}}, done)
	if run.CustomersTotal != 2 || run.CustomersFailed != 1 {
		t.Errorf("run %+v, want 2 customers, 1 of them failed", run)
	}
	if got := claimed(w.claims(run)); !cmp.Equal(got, []string{gamma}) {
		t.Errorf("claimed %v, want %s alone", got, gamma)
	}
	w.want(alpha+"|contoso|00:01|-\n"+beta+"|contoso|00:01|-\n"+gamma+"|fabrikam|00:02|-", customers)
	const contested = `SELECT concat_ws('|', company_name, consecutive_failures, to_char(failing_since AT TIME ZONE 'UTC', 'HH24:MI'),
		to_char(last_attempt_at AT TIME ZONE 'UTC', 'HH24:MI'), last_error_code, last_success_at IS NULL, age IS NULL,
		last_error LIKE '%' || customer_id || '%contoso%' AND last_error LIKE '%fabrikam%')
		FROM partner_center.sync_freshness WHERE partner = 'fabrikam' AND customer_id = $1`
	w.want("Beta|1|00:02|00:02|customer_of_two_partners|t|t|t", contested, beta)
	w.want("contoso", "SELECT concat_ws('|', partner) FROM partner_center.sync_freshness WHERE customer_id = $1 AND last_error_code IS NULL", beta)
	w.enumerate("fabrikam", minute(3), e)
	w.want("Beta|2|00:02|00:03|customer_of_two_partners|t|t|t", contested, beta)
	// An enumeration that does not come so far says nothing about it, nor does a restricted run.
	w.enumerate("fabrikam", minute(4), Enumeration{Customers: named([]string{gamma}), Error: "503"})
	w.want("Beta|2|00:02|00:03|customer_of_two_partners|t|t|t", contested, beta)
	w.enumerate("fabrikam", minute(5), listed(gamma))
	w.want("", contested, beta)
	if _, done = w.enumerate("contoso", minute(6), listed(alpha, beta)); done.Contested[beta] != "" {
		t.Errorf("contested under its own partner: %+v", done)
	}
}

func TestRecordEnumeration_restrictedRunFailsItsOwnContestedCustomersOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enumerate("contoso", minute(1), listed(alpha, beta))
	run := w.open(RunRequest{Partner: "fabrikam", Kind: Once, ScheduledFor: minute(2), Customers: []string{alpha}, Filter: "x"}).Run
	claim, _, err := w.ClaimEnumeration(t.Context(), run)
	w.ok(err)
	_, err = w.RecordEnumeration(t.Context(), claim, Enumeration{Customers: named([]string{alpha, beta}), ObservedAt: minute(2)})
	w.ok(err)
	if got := w.finish(run); got.CustomersTotal != 1 || got.CustomersFailed != 1 || got.State != Failed {
		t.Errorf("finished as %+v, want 1 customer, failed", got)
	}
}

func TestRecordEnumeration_moveToTheSecondPartner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pass(minute(1), complete("1"), batch("b", "queued"))
	w.attempt(&Failure{Code: "20002", Message: "no relationship"})
	held := w.claim(w.begin(Scheduled, alpha))
	w.enumerate("fabrikam", minute(2), listed(alpha))
	// Contoso lets it go, and it stays contoso's until fabrikam lists it again.
	w.enumerate("contoso", minute(3), listed())
	w.want(alpha+"|contoso|00:00|00:03", customers)
	run, done := w.enumerate("fabrikam", minute(4), listed(alpha))
	w.wantEnumerated(Enumerated{}, done)
	if run.CustomersTotal != 1 || run.CustomersFailed != 0 {
		t.Errorf("run %+v, want 1 customer, none failed", run)
	}
	w.want("fabrikam|0|-|f", "SELECT concat_ws('|', partner, consecutive_failures, coalesce(last_error_code, '-'), failing_since IS NOT NULL) FROM partner_center.sync_freshness")
	w.want("0", "SELECT concat_ws('|', count(*)) FROM partnersync.contested_customers")
	claim := w.claim(run)
	if claim.CustomerID != alpha || claim.BatchesDigest != nil {
		t.Errorf("claimed %+v, want %s without a digest", claim, alpha)
	}
	if _, err := w.MergeDeviceBatches(t.Context(), held, complete("2"), nil); !errors.Is(err, ErrClaimLost) {
		t.Errorf("merge under a claim from before the move: %v, want ErrClaimLost", err)
	}
	_, err := w.MergeDeviceBatches(t.Context(), claim, Listing{Complete: true, ObservedAt: minute(5)}, []DeviceBatch{batch("b", "finished")})
	w.ok(err)
	w.want("b|queued|00:01|00:05|-|-\nb|finished|00:05|-|00:01|-", history, alpha, "b")
	_, done = w.enumerate("contoso", minute(6), listed(alpha))
	w.wantEnumerated(Enumerated{Contested: map[string]string{alpha: "fabrikam"}}, done)
}

func TestRecordEnumeration_lostClaimWritesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.open(scheduled(1, 1)).Run
	stale, _, err := w.ClaimEnumeration(t.Context(), run)
	w.ok(err)
	w.die()
	other := w.another()
	claim, _, err := other.ClaimEnumeration(t.Context(), run)
	w.ok(err)
	e := listed(alpha)
	e.Requests = 1
	if _, err := w.RecordEnumeration(t.Context(), stale, e); !errors.Is(err, ErrClaimLost) {
		t.Errorf("settled under a lost claim: %v, want ErrClaimLost", err)
	}
	w.want("0|t", "SELECT concat_ws('|', (SELECT count(*) FROM partner_center.customers), enumerated_at IS NULL) FROM partnersync.runs")
	_, err = other.RecordEnumeration(t.Context(), claim, e)
	w.ok(err)
	// The same once more, as after an error for a commit that happened, counts nothing twice.
	if _, err := other.RecordEnumeration(t.Context(), claim, e); !errors.Is(err, ErrClaimLost) {
		t.Errorf("settled twice under one claim: %v, want ErrClaimLost", err)
	}
	w.want("1|1", "SELECT concat_ws('|', customers_total, requests) FROM partner_center.sync_runs")
}

func TestRecordEnumeration_observedTimesNeverGoBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enumerate("contoso", minute(9), listed(alpha))
	w.enumerate("contoso", minute(5), listed())
	w.want("00:09:00.000001", "SELECT concat_ws('|', to_char(removed_at AT TIME ZONE 'UTC', 'HH24:MI:SS.US')) FROM partner_center.customers")
}

func TestRecordEnumeration_partnersWithTheSameCustomersAtTheSameTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := customerIDs(2000)
	var g errgroup.Group
	for _, partner := range []string{"contoso", "fabrikam"} {
		run := w.open(RunRequest{Partner: partner, Kind: Once, ScheduledFor: minute(1)}).Run
		claim, _, err := w.ClaimEnumeration(t.Context(), run)
		w.ok(err)
		e := listed(ids...)
		e.ObservedAt = minute(1)
		g.Go(func() error {
			_, err := w.RecordEnumeration(t.Context(), claim, e)
			return err
		})
		slices.Reverse(ids)
	}
	w.ok(g.Wait())
	w.want("2000|1|2000", `SELECT concat_ws('|', (SELECT count(*) FROM partner_center.customers), (SELECT count(DISTINCT partner) FROM partner_center.customers),
		(SELECT count(*) FROM partnersync.contested_customers))`)
}

func TestKnownCustomers_andPartnerOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	known := Customer{ID: beta, CompanyName: ptr("Beta"), Domain: ptr("beta.example"), Relationship: ptr("reseller")}
	w.enumerate("contoso", minute(1), listed(alpha))
	w.enumerate("fabrikam", minute(1), listed(gamma))
	w.enumerate("contoso", minute(2), Enumeration{Customers: []Customer{known}, Complete: true})
	got, err := w.KnownCustomers(t.Context(), "contoso")
	w.ok(err)
	if diff := cmp.Diff([]Customer{known}, got); diff != "" {
		t.Errorf("known customers: (-want +got)\n%s", diff)
	}
	for id, want := range map[string]string{alpha: "", beta: "contoso", gamma: "fabrikam", customerID(1): ""} {
		if got, err := w.PartnerOf(t.Context(), id); err != nil || got != want {
			t.Errorf("partner of %s: %q, %v, want %q", id, got, err, want)
		}
	}
}
