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
	unknown []Customer // listed, but not among them: new, returned, or another partner's
	written []Customer // these, and those of which something else is listed than is known, in the order of their ids
	removed []string   // known, and not listed any more or excluded
	held    []string   // known, and not listed, but held back by the mass removal guard
	// unconfirmed: known, and not listed, but only this listing of several pages lacks them.
	unconfirmed []string
}

// compareCustomers sorts the listed customers, and says how they differ from those that are known of the partner. It is
// what an enumeration writes and what a dry run prints. heldBefore are those that were held back in an earlier run.
func compareCustomers(
	ctx context.Context, tx pgx.Tx, partner string, e Enumeration, heldBefore []string,
) (d customerDifference, err error) {
	const known = `
		SELECT customer_id::text, company_name, domain, relationship, partner, removed_at,
		       coalesce(valid_from, first_seen_at) AS valid_from
		FROM partner_center.customers
		WHERE partner = @partner AND removed_at IS NULL
		ORDER BY customers.customer_id`
	slices.SortFunc(e.Customers, compareIDs)
	listed, count := e.Customers, 0
	toExclude := slices.Sorted(slices.Values(e.Excluded))
	var renamed []Customer
	var excluded, unlisted []string
	rows, _ := tx.Query(ctx, known, pgx.NamedArgs{"partner": partner}) // stream returns its error
	for k, err := range stream[knownCustomer](rows) {
		if err != nil {
			return d, fmt.Errorf("comparing with the known customers: %w", err)
		}
		for len(listed) > 0 && listed[0].ID < k.ID {
			d.unknown, listed = append(d.unknown, listed[0]), listed[1:]
		}
		isListed := len(listed) > 0 && listed[0].ID == k.ID
		_, isExcluded := slices.BinarySearch(toExclude, k.ID)
		switch {
		case isExcluded:
			excluded = append(excluded, k.ID)
		case !isListed && e.Complete:
			unlisted = append(unlisted, k.ID)
		case isListed && len(customerChanges(listed[0], k.Customer)) > 0:
			renamed = append(renamed, listed[0])
		}
		if count++; isListed {
			listed = listed[1:]
		}
	}
	if d.unknown == nil {
		d.unknown = listed // at first all of them: not in memory twice
	} else {
		d.unknown = append(d.unknown, listed...)
	}
	if d.written = d.unknown; renamed != nil {
		d.written = slices.SortedFunc(slices.Values(slices.Concat(d.unknown, renamed)), compareIDs)
	}
	if d.removed = unlisted; e.Guarded {
		d.removed, d.held, d.unconfirmed = removals(count-len(excluded), unlisted,
			absence{pages: e.Pages, absentBefore: e.AbsentBefore, heldBefore: heldBefore})
	}
	d.removed = append(d.removed, excluded...)
	return d, nil
}

func compareIDs(a, b Customer) int { return cmp.Compare(a.ID, b.ID) }

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

// CompareCustomers says what RecordEnumeration would do to the partner's customers in a run of now, and writes nothing.
// Those that belong to another partner are left out. Where the schema is missing, nobody is known.
func (s *Store) CompareCustomers(ctx context.Context, partner string, e Enumeration) (all []Difference, err error) {
	const heldBefore = `
		SELECT coalesce(max(held_customers), '{}') FROM partnersync.partner_state WHERE partner = @partner`
	var d customerDifference
	known := map[string]*knownCustomer{} // those that the differences are about
	err = s.readOnly(ctx, func(tx pgx.Tx) error {
		var held []string
		if err := tx.QueryRow(ctx, heldBefore, pgx.NamedArgs{"partner": partner}).Scan(&held); err != nil {
			return err
		}
		if d, err = compareCustomers(ctx, tx, partner, e, held); err != nil {
			return err
		}
		about := slices.Concat(idsOf(d.written), d.removed, d.held, d.unconfirmed)
		for k, err := range readCustomers(ctx, tx, about) {
			if err != nil {
				return err
			}
			known[k.ID] = k
		}
		return nil
	})
	if missing(err) {
		d, err = customerDifference{written: e.Customers}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("comparing the customers of partner %s: %w", partner, err)
	}
	for _, c := range d.written {
		if difference, ok := describeCustomer(partner, c, known[c.ID]); ok {
			all = append(all, difference)
		}
	}
	for kind, ids := range map[DifferenceKind][]string{Removed: d.removed, Held: d.held, Unconfirmed: d.unconfirmed} {
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
