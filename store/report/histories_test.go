package report

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Three batches of alpha: one that went on and was seen again, one that was removed, one that was finished from the
// start.
const threeHistories = `
	WITH versions (batch_id, status, valid_from, valid_to, removed_at) AS (VALUES
	    ('simple', 'queued', 1, 2, NULL::integer), ('simple', 'processing', 2, 3, NULL), 
	    ('simple', 'finished', 3, NULL, NULL),
	    ('removed', 'queued', 1, 4, NULL), ('removed', 'queued', 4, NULL, 4),
	    ('100%', 'finished', 1, NULL, NULL)
	), at AS (
	    SELECT batch_id, status, '2026-01-01Z'::timestamptz + valid_from * interval '1 minute' AS valid_from,
	           CASE WHEN valid_from > 1 THEN '2026-01-01Z'::timestamptz END AS not_before,
	           '2026-01-01Z'::timestamptz + valid_to * interval '1 minute' AS valid_to,
	           '2026-01-01Z'::timestamptz + removed_at * interval '1 minute' AS removed_at
	    FROM versions
	), old AS (
	    INSERT INTO partner_center.device_batch_versions (customer_id, batch_id, status, valid_from, not_before, valid_to, removed_at)
	    SELECT $1::uuid, batch_id, status, valid_from, not_before, valid_to, removed_at FROM at WHERE valid_to IS NOT NULL
	)
	INSERT INTO partner_center.device_batches (customer_id, batch_id, status, valid_from, not_before, removed_at)
	SELECT $1::uuid, batch_id, status, valid_from, not_before, removed_at FROM at WHERE valid_to IS NULL`

func TestBatchHistories(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(threeHistories, alpha)
	histories, err := w.BatchHistories(t.Context(), BatchSearch{CustomerID: alpha, Limit: 2, Versions: 2})
	w.ok(err)
	if len(histories) != 2 || histories[0].BatchID != "removed" || histories[1].BatchID != "simple" ||
		histories[0].Found != 3 {
		t.Fatalf("%+v", histories)
	}
	removed, simple := histories[0], histories[1]
	if removed.RemovedAt == nil || removed.Cut || len(removed.Versions) != 2 || !removed.Versions[1].Removed ||
		removed.Versions[0].Removed {
		t.Errorf("removed: %+v", removed)
	}
	if !simple.Cut || len(simple.Versions) != 2 || *simple.Versions[0].Status != "processing" ||
		simple.Versions[1].ValidTo != nil ||
		!simple.Versions[0].ValidTo.Equal(simple.Versions[1].ValidFrom) {
		t.Errorf("simple: %+v", simple)
	}
	one, err := w.BatchHistories(t.Context(), BatchSearch{CustomerID: alpha, BatchID: "simple", Limit: 5, Versions: 1})
	w.ok(err)
	if len(one) != 1 || one[0].BatchID != "simple" || one[0].Found != 1 {
		t.Errorf("the batch alone: %+v", one)
	}
	w.exec("DELETE FROM partner_center.device_batch_versions WHERE batch_id = 'simple' AND status = 'queued'")
	one, err = w.BatchHistories(t.Context(), BatchSearch{CustomerID: alpha, BatchID: "simple", Limit: 5, Versions: 5})
	w.ok(err)
	if len(one) != 1 || !one[0].Cut || len(one[0].Versions) != 2 {
		t.Errorf("the batch whose first version was pruned: %+v", one)
	}
	found, err := w.BatchHistories(t.Context(), BatchSearch{CustomerID: alpha, Text: "0%", Limit: 5, Versions: 5})
	w.ok(err)
	if len(found) != 1 || found[0].BatchID != "100%" {
		t.Errorf("search: %+v", found)
	}
}

func TestChanges_inWords(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.threeCustomers()
	w.exec(threeHistories, alpha)
	w.exec(`INSERT INTO partner_center.devices (customer_id, batch_id, device_id, valid_from) VALUES ($1::uuid,
		'simple', '1', $2), ($1::uuid, 'simple', '2', $2)`,
		alpha, minute(3))
	changes, err := w.Changes(t.Context(), minute(1))
	w.ok(err)
	var got []string
	for _, c := range changes {
		got = append(got, *c.CompanyName+"|"+c.BatchID+"|"+c.What)
	}
	want := []string{"Zeta 100%|removed|gone; was queued",
		"Zeta 100%|simple|processing -> finished; queued -> processing; 2 devices new"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	customer, batch, ok, err := w.BatchWithMostStatuses(t.Context())
	if w.ok(err); customer != alpha || batch != "simple" || !ok {
		t.Errorf("the most statuses has %s of %s, %v", batch, customer, ok)
	}
}
