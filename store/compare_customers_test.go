package store

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"partnersync/store/storetest"
)

// compared returns what CompareCustomers says, a line each.
func (w *world) compared(partner string, e Enumeration) []string {
	w.t.Helper()
	all, err := w.CompareCustomers(w.t.Context(), partner, e)
	w.ok(err)
	lines := []string{}
	for _, d := range all {
		if d.Resource != Customers {
			w.t.Errorf("a difference of %q", d.Resource)
		}
		name := ""
		if d.Name != nil {
			name = " " + *d.Name
		}
		lines = append(lines, fmt.Sprint(d.Kind, " ", d.Key, name, " ", d.Changes))
	}
	return lines
}

// TestCompareCustomers_isWhatRecordEnumerationDoes compares, settles, and compares again: then nothing is left to do.
func TestCompareCustomers_isWhatRecordEnumerationDoes(t *testing.T) {
	t.Parallel()
	ids := customerIDs(8)
	renamed := Enumeration{Customers: []Customer{{ID: ids[0], CompanyName: ptr("New name"), Domain: ptr("new.example"), Relationship: ptr("reseller")}}}
	excluding := Enumeration{Excluded: ids[:2]}
	for name, test := range map[string]struct {
		before []Enumeration
		e      Enumeration
		done   Enumerated
		want   []string
		left   []string // to do afterwards
	}{
		"new":     {nil, listed(ids[:2]...), Enumerated{Added: 2}, []string{"inserted " + ids[0] + " []", "inserted " + ids[1] + " []"}, nil},
		"same":    {[]Enumeration{listed(ids...)}, listed(ids...), Enumerated{}, nil, nil},
		"removed": {[]Enumeration{listed(ids[:3]...)}, listed(ids[1:3]...), Enumerated{Removed: 1}, []string{"removed " + ids[0] + " []"}, nil},
		"back": {[]Enumeration{listed(ids[:3]...), listed(ids[1:3]...)}, listed(ids[:3]...), Enumerated{},
			[]string{"changed " + ids[0] + " [it is back]"}, nil},
		"incomplete": {[]Enumeration{listed(ids[:3]...)}, Enumeration{Customers: named(ids[1:4])}, Enumerated{Added: 1}, []string{"inserted " + ids[3] + " []"}, nil},
		"named": {[]Enumeration{listed(ids[0])}, renamed, Enumerated{},
			[]string{"changed " + ids[0] + " New name [company_name: null -> New name domain: null -> new.example relationship: null -> reseller]"}, nil},
		"excluded":       {[]Enumeration{listed(ids[:3]...)}, excluding, Enumerated{Removed: 2}, []string{"removed " + ids[0] + " []", "removed " + ids[1] + " []"}, nil},
		"held: too many": {[]Enumeration{listed(ids...)}, listed(ids[:1]...), Enumerated{Held: 7}, lines("held", ids[1:]), lines("removed", ids[1:])},
		"confirmed":      {[]Enumeration{listed(ids...), listed(ids[:1]...)}, listed(ids[:1]...), Enumerated{Removed: 7}, lines("removed", ids[1:]), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for i, e := range test.before {
				w.enumerate("contoso", minute(i), e)
			}
			if diff := cmp.Diff(append([]string{}, test.want...), w.compared("contoso", test.e)); diff != "" {
				t.Errorf("compared: (-want +got)\n%s", diff)
			}
			_, done := w.enumerate("contoso", minute(9), test.e)
			w.wantEnumerated(test.done, done)
			if diff := cmp.Diff(append([]string{}, test.left...), w.compared("contoso", test.e)); diff != "" {
				t.Errorf("compared afterwards: (-want +got)\n%s", diff)
			}
		})
	}
}

// lines are differences of one kind.
func lines(kind string, ids []string) (all []string) {
	for _, id := range ids {
		all = append(all, kind+" "+id+" []")
	}
	return all
}

func TestCompareCustomers_leavesThoseOfAnotherPartnerOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enumerate("contoso", minute(1), listed(alpha, beta, gamma))
	if got := w.compared("fabrikam", listed(alpha)); len(got) != 0 {
		t.Errorf("got %q", got)
	}
	w.enumerate("contoso", minute(2), listed(beta, gamma)) // lets alpha go
	want := []string{"changed " + alpha + " [it is back partner: contoso -> fabrikam]"}
	if diff := cmp.Diff(want, w.compared("fabrikam", listed(alpha))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestCompareCustomers_missingSchemaCountsAsEmpty(t *testing.T) {
	t.Parallel()
	db := storetest.Empty(t)
	w := &world{Store: New(db.Pool, Options{}), t: t}
	if diff := cmp.Diff([]string{"inserted " + alpha + " []"}, w.compared("contoso", listed(alpha))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestTwoPartnersError_saysWhatToDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enumerate("contoso", minute(1), listed(alpha))
	const said = "SELECT concat_ws('|', last_error) FROM partner_center.sync_freshness WHERE partner = 'fabrikam'"
	for _, test := range []struct {
		configured []string
		want       string
	}{
		{nil, "exclude it (exclude_customers) under one of the two"},
		{[]string{"contoso", "fabrikam"}, "exclude it (exclude_customers) under one of the two"},
		{[]string{"fabrikam"}, "contoso, which is not in the configuration, perhaps since it was renamed or dropped there: nothing of it is read for fabrikam; give contoso its name back"},
	} {
		e := listed(alpha)
		e.Partners = test.configured
		w.enumerate("fabrikam", minute(2), e)
		if got := w.lines(said); !strings.Contains(got, test.want) || !strings.HasPrefix(got, "customer "+alpha+" is listed by partner fabrikam but belongs to partner contoso") {
			t.Errorf("configured %v: %s", test.configured, got)
		}
	}
}
