package sync

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"partnersync/sync/partnercenter/partnercentertest"
)

func TestOnce_customersAreLeftOutForAnotherRelationshipOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	var log bytes.Buffer
	w.log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.serve("/customers$", []hostile{
		{item: `{"id":"00000000-0000-4000-8000-000000000001","relationshipToPartner":"Reseller"}`},
		{item: `{"id":"00000000-0000-4000-8000-000000000002","relationshipToPartner":null}`},
		{item: `{"id":"00000000-0000-4000-8000-000000000003"}`},
		{item: `{"id":"00000000-0000-4000-8000-000000000004","relationshipToPartner":"advisor"}`},
		{item: `{"id":"00000000-0000-4000-8000-000000000005","relationshipToPartner":"none"}`},
	})
	w.api.Fail(partnercentertest.Fault{Path: "deviceBatches", Body: `{"totalCount":0,"items":[]}`})
	w.once()
	w.want("1|Reseller\n2|~\n3|~",
		`SELECT right(customer_id::text, 1), coalesce(relationship, '~')
			FROM partner_center.customers ORDER BY customer_id`)
	if said := "customers of another relationship left out\" partner=contoso run_id=1 customers=2\n"; strings.Count(log.String(), said) != 1 {
		t.Errorf("the log does not say once how many were left out:\n%s", log.String())
	}
}

// A customer that leaves while it fails does not fail since then when it returns.
func TestEnumeration_failureEndsWithTheLeaving(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	ids := w.customers(2)
	remove := w.api.Fail(partnercentertest.Fault{Path: ids[0] + "/deviceBatches$", Status: 400})
	w.once()
	w.partner.Exclude = ids[:1]
	w.once()
	w.partner.Exclude = nil
	w.once()
	const failing = `SELECT f.consecutive_failures, s.passes, f.failing_since = s.failing_since
		FROM partner_center.sync_freshness f JOIN partner_center.sync_failures s USING (customer_id) WHERE customer_id = $1 ORDER BY s.failing_since`
	w.want("1|1|f\n1|1|t", failing, ids[0])
	remove()
	w.once()
	w.want("0|1\n0|1", failing, ids[0])
}
