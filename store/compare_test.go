package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"partnersync/store/storetest"
)

// batches returns finished batches, numbered from first on.
func batches(first, n int) []DeviceBatch {
	var all []DeviceBatch
	for i := range n {
		all = append(all, batch(fmt.Sprintf("b%02d", first+i), "finished"))
	}
	return all
}

func (w *world) compare(l Listing, rows ...DeviceBatch) []Difference {
	w.t.Helper()
	all, err := w.CompareDeviceBatches(w.t.Context(), w.customer, l, rows)
	w.ok(err)
	return all
}

func TestCompare_saysWhatMergeDoes(t *testing.T) {
	t.Parallel()
	type list struct {
		Listing
		rows []DeviceBatch
	}
	all := func(rows ...[]DeviceBatch) list { return list{Listing{Complete: true}, slices.Concat(rows...)} }
	part := func(rows ...[]DeviceBatch) list { return list{Listing{}, slices.Concat(rows...)} }
	queued := []DeviceBatch{batch("b00", "queued")}
	noted := []DeviceBatch{{BatchID: "b00", Status: ptr("finished"), Extra: `{"note": "new"}`}}
	tests := []struct {
		name   string
		before []list // listings of earlier passes
		list   list
		want   Outcome
	}{
		{"first listing", nil, all(batches(0, 3)), Outcome{Inserted: 3}},
		{"empty first listing", nil, all(), Outcome{}},
		{"unchanged", []list{all(batches(0, 3))}, all(batches(0, 3)), Outcome{Unchanged: 3}},
		{"only extra changed", []list{all(batches(0, 1))}, all(noted), Outcome{Unchanged: 1}},
		{"new, changed, removed", []list{all(batches(0, 3))}, all(queued, batches(2, 2)), Outcome{Inserted: 1, Changed: 1, Removed: 1, Unchanged: 1}},
		{"return", []list{all(batches(0, 3)), all(batches(0, 2))}, all(batches(0, 3)), Outcome{Changed: 1, Unchanged: 2}},
		{"still absent", []list{all(batches(0, 3)), all(batches(0, 2))}, all(batches(0, 2)), Outcome{Unchanged: 2}},
		{"incomplete", []list{all(batches(0, 3))}, part(queued, batches(7, 1)), Outcome{Inserted: 1, Changed: 1}},
		{"held", []list{all(batches(0, 8))}, all(queued), Outcome{Changed: 1, Held: 7}},
		{"held: all there were", []list{all(batches(0, 2))}, all(), Outcome{Held: 2}},
		{"confirmed", []list{all(batches(0, 8)), all(batches(0, 1))}, all(batches(0, 1)), Outcome{Removed: 7, Unchanged: 1}},
		{"partly confirmed", []list{all(batches(0, 8)), all(batches(0, 1))}, all(batches(1, 1)), Outcome{Removed: 6, Unchanged: 1, Held: 1}},
	}
	w := newWorld(t)
	for _, test := range tests {
		w.run(test.name, func(t *testing.T) {
			for i, l := range test.before {
				w.pass(minute(i), l.Listing, l.rows...)
			}
			got := Outcome{Unchanged: len(test.list.rows)}
			for _, d := range w.compare(test.list.Listing, test.list.rows...) {
				switch d.Kind {
				case Inserted:
					got.Inserted++
					got.Unchanged--
				case Changed:
					got.Changed++
					got.Unchanged--
				case Removed:
					got.Removed++
				case Held:
					got.Held++
				}
			}
			if got != test.want {
				t.Errorf("compared: %+v, want %+v", got, test.want)
			}
			if got := w.pass(minute(9), test.list.Listing, test.list.rows...); got != test.want {
				t.Errorf("merged: %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestCompare_describesChangesByKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w.pass(minute(1), complete("1"), batch("a", "queued"), batch("b", "queued"), batch("c", "queued"),
		DeviceBatch{BatchID: "d", Status: ptr("queued"), CreationDate: &day, DevicesCount: ptr(int32(5))}, batch("e", "queued"), batch("f", "queued"))
	w.pass(minute(2), complete("2"), batch("a", "queued"), batch("b", "queued"),
		DeviceBatch{BatchID: "d", Status: ptr("queued"), CreationDate: &day, DevicesCount: ptr(int32(5))}, batch("e", "queued"), batch("f", "queued"))
	got := w.compare(Listing{Complete: true},
		batch("z", "queued"),
		batch("f", "finished"),
		DeviceBatch{BatchID: "e", Status: ptr("queued"), Extra: `{"note": 1}`},
		DeviceBatch{BatchID: "d", CreationDate: ptr(day.Add(time.Millisecond)), DevicesCount: ptr(int32(6)), CreatedBy: ptr("Contoso")},
		batch("c", "queued"),
		batch("b", "queued"),
	)
	want := []Difference{
		{Kind: Removed, Resource: DeviceBatches, Key: "a"},
		{Kind: Changed, Resource: DeviceBatches, Key: "c", Changes: []string{"it is back"}},
		{Kind: Changed, Resource: DeviceBatches, Key: "d", Changes: []string{"status: queued -> null", "created_by: null -> Contoso", "devices_count: 5 -> 6"}},
		{Kind: Changed, Resource: DeviceBatches, Key: "f", Changes: []string{"status: queued -> finished"}},
		{Kind: Inserted, Resource: DeviceBatches, Key: "z"},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("differences: (-want +got)\n%s", diff)
	}
}

func TestCompare_changesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pass(minute(1), complete("1"), batches(0, 8)...)
	const places = `SELECT concat_ws('|', 'batch', ctid, xmin, xmax) FROM partner_center.device_batches
		UNION ALL SELECT concat_ws('|', 'list', ctid, xmin, xmax) FROM partnersync.list_state
		UNION ALL SELECT concat_ws('|', 'customer', ctid, xmin, xmax) FROM partnersync.customer_state
		UNION ALL SELECT concat_ws('|', 'run', ctid, xmin, xmax) FROM partnersync.runs ORDER BY 1`
	before := w.lines(places)
	for range 2 {
		if got := w.compare(Listing{Complete: true}, batches(7, 2)...); len(got) != 8 {
			t.Errorf("%d differences, want 7 held and 1 inserted", len(got))
		}
	}
	w.want(before, places)
}

func TestCompare_worksWhereOnlyReadingIsAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pass(minute(1), complete("1"), batch("a", "queued"))
	pool, err := OpenPool(t.Context(), withParameter(t, w.url, "default_transaction_read_only", "on"))
	w.ok(err)
	defer pool.Close()
	got, err := New(pool, Options{}).CompareDeviceBatches(t.Context(), alpha, Listing{Complete: true}, []DeviceBatch{batch("a", "finished")})
	if w.ok(err); len(got) != 1 {
		t.Errorf("differences: %+v, want 1", got)
	}
}

func TestCompare_missingSchemaIsEmpty(t *testing.T) {
	t.Parallel()
	pool := storetest.Empty(t).Pool
	s := New(pool, Options{})
	got, err := s.CompareDeviceBatches(t.Context(), alpha, Listing{Complete: true}, batches(0, 2))
	if err != nil {
		t.Fatal(err)
	}
	want := []Difference{{Kind: Inserted, Resource: DeviceBatches, Key: "b00"}, {Kind: Inserted, Resource: DeviceBatches, Key: "b01"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("differences: (-want +got)\n%s", diff)
	}
	if known, err := s.KnownCustomers(t.Context(), "contoso"); err != nil || len(known) > 0 {
		t.Errorf("known customers: %v, %v, want none", known, err)
	}
	if partner, err := s.PartnerOf(t.Context(), alpha); err != nil || partner != "" {
		t.Errorf("partner: %q, %v, want none", partner, err)
	}
}
