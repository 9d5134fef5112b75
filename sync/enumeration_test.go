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
