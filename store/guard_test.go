package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// keys returns the keys from number first on.
func keys(first, n int) []string {
	var keys []string
	for i := range n {
		keys = append(keys, fmt.Sprintf("k%02d", first+i))
	}
	return keys
}

func TestGuard(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name               string
		known              int
		absent, heldBefore []string
		holdsAll           bool
		remove, hold       []string
	}{
		{name: "nothing is absent", known: 10, holdsAll: true},
		{name: "nothing known", holdsAll: false},
		{name: "one of two", known: 2, absent: keys(0, 1), remove: keys(0, 1), holdsAll: true},
		{name: "five are never too many", known: 6, absent: keys(0, 5), remove: keys(0, 5), holdsAll: true},
		{name: "half is not more than half", known: 12, absent: keys(0, 6), remove: keys(0, 6), holdsAll: true},
		{name: "more than half and more than five", known: 11, absent: keys(0, 6), hold: keys(0, 6)},
		{name: "many but not half", known: 1000, absent: keys(0, 99), remove: keys(0, 99)},
		{name: "the only one", known: 1, absent: keys(0, 1), hold: keys(0, 1), holdsAll: true},
		{name: "all of five", known: 5, absent: keys(0, 5), hold: keys(0, 5), holdsAll: true},
		{name: "all of five devices", known: 5, absent: keys(0, 5), remove: keys(0, 5)},
		{name: "all of six devices", known: 6, absent: keys(0, 6), hold: keys(0, 6)},
		{name: "confirmed", known: 7, absent: keys(0, 7), heldBefore: keys(0, 7), remove: keys(0, 7), holdsAll: true},
		{name: "partly confirmed", known: 9, absent: keys(2, 7), heldBefore: keys(0, 5), remove: keys(2, 3), hold: keys(5, 4)},
		{name: "held keys in any order", known: 1, absent: keys(1, 1), heldBefore: []string{"k02", "k01", "k00"}, remove: keys(1, 1), holdsAll: true},
		{name: "other keys held before", known: 7, absent: keys(0, 7), heldBefore: keys(50, 7), hold: keys(0, 7)},
		{name: "held before, listed again", known: 7, heldBefore: keys(0, 7)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			remove, hold, unconfirmed := removals(test.known, test.absent, absence{
				pages: 1, heldBefore: test.heldBefore, holdsAll: test.holdsAll,
			})
			if len(unconfirmed) > 0 {
				t.Errorf("unconfirmed: %v, though there is one page", unconfirmed)
			}
			if diff := cmp.Diff(test.remove, remove, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("removed: (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(test.hold, hold, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("held: (-want +got)\n%s", diff)
			}
		})
	}
}

// A listing of several pages is confirmed by another one: at once or, if it is too long for that, in the next pass.
func TestRemovals_listingsOfSeveralPages(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		known                     int
		absent                    []string
		a                         absence
		remove, hold, unconfirmed []string
	}{
		"the first":                {9, keys(0, 2), absence{pages: 2}, nil, nil, keys(0, 2)},
		"both lack the same":       {9, keys(0, 2), absence{pages: 2, absentBefore: keys(0, 2)}, keys(0, 2), nil, nil},
		"the second lacks others":  {9, keys(0, 2), absence{pages: 2, absentBefore: keys(1, 2)}, keys(1, 1), nil, keys(0, 1)},
		"the second lacks none":    {9, nil, absence{pages: 2, absentBefore: keys(0, 2)}, nil, nil, nil},
		"the second has one page":  {9, keys(0, 1), absence{pages: 1, absentBefore: keys(1, 1)}, keys(0, 1), nil, nil},
		"lacked a pass ago":        {9, keys(0, 2), absence{pages: 2, heldBefore: keys(0, 2)}, keys(0, 2), nil, nil},
		"too long":                 {9, keys(0, 2), absence{pages: 51}, nil, nil, keys(0, 2)},
		"too long, a pass later":   {9, keys(0, 2), absence{pages: 51, heldBefore: keys(0, 1)}, keys(0, 1), nil, keys(1, 1)},
		"both lack too many":       {9, keys(0, 9), absence{pages: 2, absentBefore: keys(0, 9)}, nil, keys(0, 9), nil},
		"the first lacks too many": {9, keys(0, 9), absence{pages: 2}, nil, nil, keys(0, 9)},
		"too long, too many":       {9, keys(0, 9), absence{pages: 51}, nil, keys(0, 9), nil},
	} {
		remove, hold, unconfirmed := removals(test.known, test.absent, test.a)
		got, want := [][]string{remove, hold, unconfirmed}, [][]string{test.remove, test.hold, test.unconfirmed}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: removed, held and unconfirmed: (-want +got)\n%s", name, diff)
		}
	}
}

// What a long listing is the first to lack fails nobody, and leaves neither a digest nor a confirmation.
func TestMerge_longListingIsConfirmedByTheNextPass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const state = `SELECT concat_ws('|', digest IS NOT NULL, to_char(confirmed_at AT TIME ZONE 'UTC', 'MI'), held) FROM partnersync.list_state`
	w.pass(minute(1), complete("1"), batch("a", "queued"), batch("b", "queued"))
	long := Listing{Complete: true, Digest: []byte("2"), Pages: 51}
	if got := w.pass(minute(2), long, batch("a", "queued")); got != (Outcome{Unchanged: 1, Unconfirmed: 1}) {
		t.Errorf("merged %+v, want nothing removed or held", got)
	}
	w.want("f|01|{b}", state)
	if got := w.pass(minute(3), long, batch("a", "queued")); got != (Outcome{Unchanged: 1, Removed: 1}) {
		t.Errorf("merged %+v, want the batch removed that both lack", got)
	}
	w.want("t|03", state)
}

func TestMerge_shortListingIsReadAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pass(minute(1), complete("1"), batch("a", "queued"), batch("b", "queued"), batch("c", "queued"))
	run := w.begin(Scheduled, alpha)
	claim := w.claim(run)
	l := Listing{ObservedAt: minute(2), Complete: true, Digest: []byte("2"), Pages: 2}
	_, err := w.MergeDeviceBatches(t.Context(), claim, l, []DeviceBatch{batch("a", "finished")})
	first, ok := errors.AsType[*UnconfirmedError](err)
	if !ok || !cmp.Equal(first.Absent, []string{"b", "c"}, cmpopts.SortSlices(strings.Compare)) {
		t.Fatalf("got %v, want that the list is to be read again", err)
	}
	w.want("queued", "SELECT status FROM partner_center.device_batches WHERE batch_id = 'a'")
	l.AbsentBefore = first.Absent
	done, err := w.MergeDeviceBatches(t.Context(), claim, l, []DeviceBatch{batch("a", "finished"), batch("b", "queued")})
	if w.ok(err); done != (Outcome{Changed: 1, Removed: 1, Unchanged: 1}) {
		t.Errorf("merged %+v, want c removed, which both lacked", done)
	}
	w.want("t", "SELECT (digest IS NOT NULL)::text::char FROM partnersync.list_state")
}

func TestRecordEnumeration_isRepeatedWhereSeveralPagesLackCustomers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enumerate("contoso", minute(1), listed(alpha, beta, gamma))
	run := w.open(scheduled(1, 1)).Run
	claim, _, err := w.ClaimEnumeration(t.Context(), run)
	w.ok(err)
	e := listed(alpha)
	e.Pages, e.ObservedAt = 2, minute(2)
	_, err = w.RecordEnumeration(t.Context(), claim, e)
	first, ok := errors.AsType[*UnconfirmedError](err)
	if !ok {
		t.Fatalf("got %v, want that the customers are to be listed again", err)
	}
	e = listed(alpha, beta)
	e.Pages, e.ObservedAt, e.AbsentBefore = 2, minute(3), first.Absent
	done, err := w.RecordEnumeration(t.Context(), claim, e)
	if w.ok(err); done.Removed != 1 || done.Held != 0 {
		t.Errorf("recorded %+v, want gamma removed, whom both lacked", done)
	}
	e = listed(alpha)
	e.Pages = 51
	_, done = w.enumerate("contoso", minute(4), e)
	if done.Removed+done.Held != 0 {
		t.Errorf("recorded %+v, want nobody removed or held by one long listing", done)
	}
	if _, done = w.enumerate("contoso", minute(5), e); done.Removed != 1 {
		t.Errorf("recorded %+v, want beta removed by the second", done)
	}
}
