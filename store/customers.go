package store

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Customers is the resource of a partner's enumeration, in a Difference.
const Customers = "customers"

// Customer is a partner's customer, as enumerated or as named in the configuration.
type Customer struct {
	ID           string  `db:"customer_id"` // uuid, lower case
	CompanyName  *string `db:"company_name"`
	Domain       *string `db:"domain"`
	Relationship *string `db:"relationship"`
}

// knownCustomer is a row of partner_center.customers.
type knownCustomer struct {
	Customer
	Partner   string     `db:"partner"`
	RemovedAt *time.Time `db:"removed_at"`
	ValidFrom time.Time  `db:"valid_from"`
}

// customerDifference is what sets an enumeration apart from the partner's known customers that are not removed.
type customerDifference struct {
	known    int
	unknown  []Customer // listed, but not among them: new, returned, or another partner's
	renamed  []Customer // listed with something that is not known of them
	excluded []string   // known, but to be left out
	unlisted []string   // known, but not listed
}

// compareCustomers says how the listed customers, in the order of their ids, differ from the known ones, which come in
// the same order. It is what an enumeration writes and what a dry run prints.
func compareCustomers(e Enumeration, known iter.Seq2[*knownCustomer, error]) (d customerDifference, err error) {
	listed, excluded := e.Customers, make(map[string]bool, len(e.Excluded))
	for _, id := range e.Excluded {
		excluded[id] = true
	}
	for k, err := range known {
		if err != nil {
			return d, err
		}
		d.known++
		for len(listed) > 0 && listed[0].ID < k.ID {
			d.unknown, listed = append(d.unknown, listed[0]), listed[1:]
		}
		isListed := len(listed) > 0 && listed[0].ID == k.ID
		switch {
		case excluded[k.ID]:
			d.excluded = append(d.excluded, k.ID)
		case !isListed && e.Complete:
			d.unlisted = append(d.unlisted, k.ID)
		case isListed && len(customerChanges(listed[0], k.Customer)) > 0:
			d.renamed = append(d.renamed, listed[0])
		}
		if isListed {
			listed = listed[1:]
		}
	}
	if d.unknown == nil {
		d.unknown = listed // at first all of them: not in memory twice
	} else {
		d.unknown = append(d.unknown, listed...)
	}
	return d, nil
}

// customerChanges says in words what is listed of a customer otherwise than it is known. What is not listed is not
// forgotten.
func customerChanges(listed, known Customer) (changes []string) {
	for _, field := range []struct {
		name          string
		listed, known *string
	}{
		{"company_name", listed.CompanyName, known.CompanyName},
		{"domain", listed.Domain, known.Domain},
		{"relationship", listed.Relationship, known.Relationship},
	} {
		if field.listed != nil && !equalPointers(field.listed, field.known) {
			changes = append(changes, field.name+": "+valueText(field.known)+" -> "+*field.listed)
		}
	}
	return changes
}

// written are the listed customers that are to be written, in the order of their ids.
func (d customerDifference) written() []Customer {
	if len(d.renamed) == 0 {
		return d.unknown
	}
	return slices.SortedFunc(slices.Values(slices.Concat(d.unknown, d.renamed)), compareIDs)
}

func compareIDs(a, b Customer) int { return cmp.Compare(a.ID, b.ID) }

// gone decides which of the known customers that are not listed, or excluded, are removed, which are held back, and
// which are unconfirmed.
func (d customerDifference) gone(e Enumeration, heldBefore []string) (remove, hold, unconfirmed []string) {
	remove = d.unlisted
	if e.Guarded {
		remove, hold, unconfirmed = gone(d.known-len(d.excluded), d.unlisted,
			absence{pages: e.Pages, absentBefore: e.AbsentBefore, heldBefore: heldBefore})
	}
	return append(remove, d.excluded...), hold, unconfirmed
}

// CompareCustomers says what RecordEnumeration would do to the partner's customers in a run of now, and writes nothing.
// Those that belong to another partner are left out. Where the schema is missing, nobody is known.
func (s *Store) CompareCustomers(ctx context.Context, partner string, e Enumeration) (all []Difference, err error) {
	const heldBefore = `
		SELECT coalesce(max(held_customers), '{}') FROM partnersync.partner_state WHERE partner = @partner`
	var d customerDifference
	var remove, hold, unconfirmed []string
	known := map[string]*knownCustomer{} // those that the differences are about
	err = s.readOnly(ctx, func(tx pgx.Tx) error {
		var held []string
		if err := tx.QueryRow(ctx, heldBefore, pgx.NamedArgs{"partner": partner}).Scan(&held); err != nil {
			return err
		}
		if d, err = compareWithKnownCustomers(ctx, tx, partner, e); err != nil {
			return err
		}
		remove, hold, unconfirmed = d.gone(e, held)
		about := slices.Concat(idsOf(d.written()), remove, hold, unconfirmed)
		for k, err := range readCustomers(ctx, tx, about) {
			if err != nil {
				return err
			}
			known[k.ID] = k
		}
		return nil
	})
	if missing(err) {
		d, err = customerDifference{unknown: e.Customers}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("comparing the customers of partner %s: %w", partner, err)
	}
	for _, c := range d.written() {
		if difference, ok := describeCustomer(partner, c, known[c.ID]); ok {
			all = append(all, difference)
		}
	}
	for kind, ids := range map[DifferenceKind][]string{Removed: remove, Held: hold, Unconfirmed: unconfirmed} {
		for _, id := range ids {
			all = append(all, Difference{Kind: kind, Resource: Customers, Key: id, Name: known[id].CompanyName})
		}
	}
	slices.SortFunc(all, func(a, b Difference) int { return cmp.Compare(a.Key, b.Key) })
	return all, nil
}

// describeCustomer says what writing a listed customer would change; ok is false if it is another partner's. known is
// nil for a new customer.
func describeCustomer(partner string, listed Customer, known *knownCustomer) (d Difference, ok bool) {
	d = Difference{Kind: Inserted, Resource: Customers, Key: listed.ID, Name: listed.CompanyName}
	if known == nil {
		return d, true
	}
	if d.Kind = Changed; d.Name == nil {
		d.Name = known.CompanyName
	}
	if known.RemovedAt != nil {
		d.Changes = append(d.Changes, "it is back")
	}
	if known.Partner != partner {
		d.Changes = append(d.Changes, "partner: "+known.Partner+" -> "+partner)
	}
	d.Changes = append(d.Changes, customerChanges(listed, known.Customer)...)
	return d, known.RemovedAt != nil || known.Partner == partner
}

// compareWithKnownCustomers sorts the listed customers, and compares them with those that are known of the partner.
func compareWithKnownCustomers(ctx context.Context, tx pgx.Tx, partner string, e Enumeration) (customerDifference, error) {
	const known = `
		SELECT customer_id::text, company_name, domain, relationship, partner, removed_at,
		       coalesce(valid_from, first_seen_at) AS valid_from
		FROM partner_center.customers
		WHERE partner = @partner AND removed_at IS NULL
		ORDER BY customers.customer_id`
	slices.SortFunc(e.Customers, compareIDs)
	rows, _ := tx.Query(ctx, known, pgx.NamedArgs{"partner": partner}) // stream returns its error
	d, err := compareCustomers(e, stream[knownCustomer](rows))
	if err != nil {
		return d, fmt.Errorf("comparing with the known customers: %w", err)
	}
	return d, nil
}

// readCustomers reads the customers with these ids, removed ones and those of other partners too.
func readCustomers(ctx context.Context, tx pgx.Tx, ids []string) iter.Seq2[*knownCustomer, error] {
	const query = `
		SELECT customer_id::text, company_name, domain, relationship, partner, removed_at,
		       coalesce(valid_from, first_seen_at) AS valid_from
		FROM partner_center.customers
		WHERE customer_id = ANY (@ids::uuid[])`
	rows, _ := tx.Query(ctx, query, pgx.NamedArgs{"ids": ids}) // stream returns its error
	return stream[knownCustomer](rows)
}

func idsOf(customers []Customer) []string {
	ids := make([]string, len(customers))
	for i, c := range customers {
		ids[i] = c.ID
	}
	return ids
}

// PartnerOf returns the partner that the customer belongs to; "" if it is not known, or removed, or the schema is
// missing.
func (s *Store) PartnerOf(ctx context.Context, customerID string) (partner string, err error) {
	err = s.readOnly(ctx, func(tx pgx.Tx) error {
		for k, err := range readCustomers(ctx, tx, []string{customerID}) {
			if err != nil {
				return err
			}
			if k.RemovedAt == nil {
				partner = k.Partner
			}
		}
		return nil
	})
	if err != nil && !missing(err) {
		return "", fmt.Errorf("looking for customer %s: %w", customerID, err)
	}
	return partner, nil
}

// KnownCustomers returns the partner's customers that are not removed, by id; none where the schema is missing.
func (s *Store) KnownCustomers(ctx context.Context, partner string) ([]Customer, error) {
	const query = `
		SELECT customer_id::text, company_name, domain, relationship
		FROM partner_center.customers
		WHERE partner = @partner AND removed_at IS NULL
		ORDER BY customers.customer_id`
	customers, err := collect(ctx, s.readOnly, query, pgx.NamedArgs{"partner": partner}, pgx.RowToStructByName[Customer])
	if err != nil && !missing(err) {
		return nil, fmt.Errorf("reading the customers of partner %s: %w", partner, err)
	}
	return customers, nil
}
