package store

import (
	"slices"
	"testing"
	"time"
)

const customerHistory = `SELECT concat_ws('|', partner, coalesce(company_name, '-'), to_char(valid_from AT TIME ZONE 'UTC', 'HH24:MI'),
	coalesce(to_char(valid_to AT TIME ZONE 'UTC', 'HH24:MI'), '-'), is_current, coalesce(to_char(removed_at AT TIME ZONE 'UTC', 'HH24:MI'), '-'),
	coalesce(to_char(not_before AT TIME ZONE 'UTC', 'HH24:MI'), '-'))
	FROM partner_center.customer_history WHERE customer_id = $1 ORDER BY valid_from`

func TestCustomerHistory_joinsLeavesReturnsAndIsRenamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	named := func(name string) Enumeration {
		e := listed(alpha, beta)
		e.Customers[0].CompanyName = &name
		return e
	}
	w.enumerate("contoso", minute(1), named("Alpha"))
	w.want("contoso|Alpha|00:01|-|t|-|-", customerHistory, alpha)
	w.enumerate("contoso", minute(2), named("Alpha"))
	w.enumerate("contoso", minute(3), named("Alpha Ltd"))
	w.enumerate("contoso", minute(4), named("Alpha Ltd"))
	w.enumerate("contoso", minute(5), listed(beta))
	w.enumerate("contoso", minute(6), Enumeration{Customers: []Customer{{ID: beta}}}) // incomplete: it says nothing of alpha
	w.enumerate("contoso", minute(7), named("Alpha Ltd"))
	w.want(`
		contoso|Alpha|00:01|00:03|f|-|-
		contoso|Alpha Ltd|00:03|00:05|f|-|00:02
		contoso|Alpha Ltd|00:05|00:07|f|00:05|00:04
		contoso|Alpha Ltd|00:07|-|t|-|00:05`, customerHistory, alpha)
	w.want("contoso|-|00:01|-|t|-|-", customerHistory, beta)
	w.want("00:01|-", `SELECT concat_ws('|', to_char(first_seen_at AT TIME ZONE 'UTC', 'HH24:MI'), coalesce(removed_at::text, '-'))
		FROM partner_center.customers WHERE customer_id = $1`, alpha)
}

func TestCustomerHistory_listingOfSeveralPagesDoesNotShowThatSomebodyWasAbsent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	absent := listed(beta)
	absent.Pages, absent.AbsentBefore = 2, []string{alpha}
	w.enumerate("contoso", minute(1), listed(alpha, beta))
	w.enumerate("contoso", minute(2), absent)
	w.enumerate("contoso", minute(3), absent)
	w.enumerate("contoso", minute(4), listed(alpha, beta))
	w.want(`
		contoso|-|00:01|00:02|f|-|-
		contoso|-|00:02|00:04|f|00:02|00:01
		contoso|-|00:04|-|t|-|00:02`, customerHistory, alpha)
}

func TestCustomerHistory_whatIsHeldBackBoundsTheLeaving(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := customerIDs(12)
	w.enumerate("contoso", minute(1), listed(ids...))
	w.enumerate("contoso", minute(2), listed(ids...))
	w.enumerate("contoso", minute(3), listed(ids[:2]...)) // the mass removal guard holds the others
	w.enumerate("contoso", minute(4), listed(ids[:2]...))
	w.want(`
		contoso|-|00:01|00:04|f|-|-
		contoso|-|00:04|-|t|00:04|00:02`, customerHistory, ids[5])
}

func TestCustomerHistory_moveToAnotherPartner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enumerate("contoso", minute(1), listed(alpha, beta))
	w.enumerate("fabrikam", minute(2), listed(alpha))
	w.enumerate("contoso", minute(4), listed(beta))
	w.enumerate("fabrikam", minute(3), listed(alpha)) // it was listed before the other partner's, and is written after it
	w.want(`
		contoso|-|00:01|00:04|f|-|-
		contoso|-|00:04|00:04|f|00:04|00:01
		fabrikam|-|00:04|-|t|-|00:04`, customerHistory, alpha)
	w.want("t", `SELECT concat_ws('|', bool_and(valid_to > valid_from)) FROM partner_center.customer_versions`)
}

func TestAsOf_customersThatWereThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pass(minute(1), complete("1"), batch("b", "queued"))
	w.exec(`INSERT INTO partner_center.devices (customer_id, batch_id, device_id, valid_from) VALUES ($1, 'b', 'd', $2)`, alpha, minute(1))
	w.exec(`UPDATE partner_center.customers SET first_seen_at = $1`, minute(0))
	w.enumerate("contoso", minute(3), listed(alpha, beta))
	w.enumerate("contoso", minute(5), listed(beta))
	w.enumerate("contoso", minute(7), listed(alpha, beta))
	w.enumerate("contoso", minute(9), listed(beta))
	const asOf = `SELECT concat_ws('|', (SELECT count(*) FROM partner_center.device_batches_as_of($1) WHERE customer_id = $2),
		(SELECT count(*) FROM partner_center.devices_as_of($1) WHERE customer_id = $2))`
	for m, want := range []string{"0|0", "1|1", "1|1", "1|1", "1|1", "0|0", "0|0", "1|1", "1|1", "0|0"} {
		w.want(want, asOf, minute(m), alpha)
	}
	w.want("0", `SELECT concat_ws('|', count(*)) FROM partner_center.unfinished_device_batches`)
	w.enumerate("contoso", minute(11), listed(alpha, beta))
	w.want("b", `SELECT concat_ws('|', batch_id) FROM partner_center.unfinished_device_batches`)
	w.want("1|-", `SELECT concat_ws('|', count(*), coalesce(max(valid_to)::text, '-')) FROM partner_center.device_batches_as_of('infinity')`)
}

func TestFirstListedAt_isThatOfTheFirstCompleteListing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const first = `SELECT concat_ws('|', coalesce(to_char(first_listed_at AT TIME ZONE 'UTC', 'HH24:MI'), '-')) FROM partner_center.customers`
	w.pass(minute(1), Listing{}, batch("a", "queued"))
	w.want("-", first)
	w.pass(minute(2), Listing{Complete: true}, batch("a", "queued"))
	w.want("00:02", first)
	w.pass(minute(3), Listing{Complete: true}, batch("a", "queued"), batch("b", "queued"))
	w.want("00:02", first)

	const devices = `SELECT concat_ws('|', coalesce(to_char(devices_first_listed_at AT TIME ZONE 'UTC', 'HH24:MI'), '-')) FROM partner_center.customers`
	claim := w.claim(w.begin(Once, alpha))
	for m, complete := range []bool{false, true, true} {
		_, err := w.MergeDevices(t.Context(), claim, DeviceList{BatchID: "a"}, Listing{ObservedAt: minute(m + 1), Complete: complete, Pages: 1}, nil)
		w.ok(err)
		w.want([]string{"-", "00:02", "00:02"}[m], devices)
	}
}

func TestPruneVersions_ofCustomers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for m, ids := range [][]string{{alpha, beta}, {beta}, {alpha, beta}, {beta}, {alpha, beta}} {
		w.enumerate("contoso", minute(m+1), listed(ids...))
	}
	want := pruned(0, 0, 0)
	want[slices.Index(want, Pruned{"partner_center.customer_versions", 0})].Rows = 2
	w.wantPruned(Pruning{Before: minute(3).Add(time.Second), Batch: 1}, want)
	w.want(`
		contoso|-|00:03|00:04|f|-|00:02
		contoso|-|00:04|00:05|f|00:04|00:03
		contoso|-|00:05|-|t|-|00:04`, customerHistory, alpha)
}
