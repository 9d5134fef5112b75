package report

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCustomers_searchAndOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.threeCustomers()
	w.exec(`UPDATE partnersync.customer_state SET consecutive_failures = 1, failing_since = $2
		WHERE customer_id = $1::uuid`, beta, minute(9))
	const others = `INSERT INTO partnersync.contested_customers (customer_id, partner, company_name, last_attempt_at,
		consecutive_failures, failing_since, last_error)
		VALUES ($1::uuid, 'fabrikam', 'Zeta', now(), 1, $2, 'of another partner')`
	w.exec(others, gamma, minute(3))
	contoso := []string{"contoso"}
	for _, c := range []struct {
		name   string
		search CustomerSearch
		want   []string
	}{
		{"all, by staleness", CustomerSearch{Partners: contoso}, []string{beta, gamma, alpha}},
		{"by name, those without one last", CustomerSearch{Partners: contoso, Order: ByName}, []string{beta, alpha, gamma}},
		{"failing, longest first", CustomerSearch{Show: Failing, Order: ByFailure}, []string{gamma, beta}},
		{"failing, of a partner", CustomerSearch{Show: Failing, Order: ByFailure, Partners: contoso}, []string{beta}},
		{"of a partner that is not there", CustomerSearch{Partners: []string{"tailspin"}}, nil},
		{"not failing", CustomerSearch{Show: NotFailing}, []string{gamma, alpha}},
		{"one customer, under each partner", CustomerSearch{ID: gamma}, []string{gamma, gamma}},
		{"name, whatever the case", CustomerSearch{Text: "ALPINE"}, []string{beta}},
		{"a percent sign is one", CustomerSearch{Text: "%"}, []string{alpha}},
		{"an underscore is one", CustomerSearch{Text: "_"}, nil},
		{"domain", CustomerSearch{Text: "zeta.ex"}, []string{alpha}},
		{"beginning of the id", CustomerSearch{Text: beta[:5]}, []string{beta}},
		{"not its middle", CustomerSearch{Text: beta[3:8]}, nil},
		{"second page", CustomerSearch{Partners: contoso, Limit: 2, Offset: 2}, []string{alpha}},
	} {
		rows, err := w.Customers(t.Context(), c.search)
		w.ok(err)
		var got []string
		for _, row := range rows {
			got = append(got, row.CustomerID)
			if want := len(c.want) + c.search.Offset; row.Found != want {
				t.Errorf("%s: found %d, want %d", c.name, row.Found, want)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestCustomer_withTheReasonOfItsFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.threeCustomers()
	got, err := w.Customer(t.Context(), beta)
	w.ok(err)
	if len(got.Freshness) != 1 || *got.Freshness[0].LastErrorCode != "20002" ||
		*got.Freshness[0].LastRequestID != "request" {
		t.Errorf("%+v", got)
	}
	failing, err := w.Customers(t.Context(), CustomerSearch{Show: Failing})
	w.ok(err)
	if diff := cmp.Diff(got.Freshness, failing); diff != "" {
		t.Errorf("failing customers: (-want +got)\n%s", diff)
	}
}
