package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"partnersync/store/plural"
)

// customersAtOnce is how many customers are written by a statement: all that it is given is in memory a few times.
const customersAtOnce = 2000

// customerVersion is a row of partner_center.customers as an enumeration writes it.
type customerVersion struct {
	Customer
	ValidFrom            time.Time
	NotBefore, RemovedAt *time.Time
}

// write writes new customers, returned ones, those that another partner has let go, and changed names, and marks those
// that are gone: what it replaces is kept as a version. It returns how many are new, and those that are another
// partner's, by id, with that partner's name.
func (t *enumerating) write(
	ctx context.Context, customers []Customer, gone []string,
) (added int, contested map[string]string, err error) {
	contested = map[string]string{}
	// All in the order of their ids, so that partners with the same customers cannot deadlock.
	if len(gone) > 0 {
		customers = slices.Clone(customers)
		for _, id := range gone {
			customers = append(customers, Customer{ID: id})
		}
		slices.SortFunc(customers, compareIDs)
		slices.Sort(gone)
	}
	for some := range slices.Chunk(customers, customersAtOnce) {
		known, err := t.lockCustomers(ctx, idsOf(some))
		if err != nil {
			return 0, nil, err
		}
		var unknown []Customer
		var next []customerVersion
		for _, c := range some {
			k := known[c.ID]
			_, isGone := slices.BinarySearch(gone, c.ID)
			switch {
			case k == nil:
				unknown = append(unknown, c)
			case k.Partner == t.run.Partner || k.RemovedAt != nil:
				next = append(next, t.nextVersion(k, c, isGone))
			default:
				contested[c.ID] = k.Partner
			}
		}
		inserted, err := t.insertCustomers(ctx, unknown, contested)
		if err != nil {
			return 0, nil, err
		}
		if err := t.replaceCustomers(ctx, next); err != nil {
			return 0, nil, err
		}
		added += inserted
	}
	return added, contested, nil
}

// lockCustomers reads the customers with these ids, by id: what another partner's enumeration does to them is over
// then.
func (t *enumerating) lockCustomers(ctx context.Context, ids []string) (map[string]*knownCustomer, error) {
	const lock = `
		SELECT customer_id::text, company_name, domain, relationship, partner, removed_at,
		       coalesce(valid_from, first_seen_at) AS valid_from
		FROM partner_center.customers
		WHERE customer_id = ANY (@ids::uuid[])
		ORDER BY customers.customer_id
		FOR NO KEY UPDATE`
	known := map[string]*knownCustomer{}
	rows, _ := t.tx.Query(ctx, lock, pgx.NamedArgs{"ids": ids}) // stream returns its error
	for k, err := range stream[knownCustomer](rows) {
		if err != nil {
			return nil, fmt.Errorf("locking %s: %w", plural.Of(len(ids), "customer", "customers"), err)
		}
		known[k.ID] = k
	}
	return known, nil
}

// nextVersion returns the version that follows the known one.
func (t *enumerating) nextVersion(known *knownCustomer, listed Customer, isGone bool) customerVersion {
	v := customerVersion{Customer: known.Customer, ValidFrom: t.observedAt, NotBefore: &known.ValidFrom}
	// Another partner's enumeration that is written already may have been observed later.
	if earliest := known.ValidFrom.Add(time.Microsecond); v.ValidFrom.Before(earliest) {
		v.ValidFrom = earliest
	}
	// The enumeration before shows how it was then; one of several pages does not show that a customer was absent.
	certain := known.Partner == t.run.Partner && (known.RemovedAt == nil || t.confirmedPages <= 1)
	if certain && t.confirmedAt != nil && t.confirmedAt.After(known.ValidFrom) {
		v.NotBefore = t.confirmedAt
	}
	if isGone {
		v.RemovedAt = &v.ValidFrom
	}
	for _, name := range []struct{ of, listed **string }{
		{&v.CompanyName, &listed.CompanyName}, {&v.Domain, &listed.Domain}, {&v.Relationship, &listed.Relationship},
	} {
		if *name.listed != nil { // what is not listed is not forgotten
			*name.of = *name.listed
		}
	}
	return v
}

// insertCustomers writes customers that are new, but for those that another partner has got meanwhile, which it adds to
// contested. It returns how many it has written.
func (t *enumerating) insertCustomers(
	ctx context.Context, customers []Customer, contested map[string]string,
) (inserted int, err error) {
	const insert = `
		INSERT INTO partner_center.customers (customer_id, partner, company_name, domain, relationship, first_seen_at)
		SELECT i.customer_id, @partner::text, i.company_name, i.domain, i.relationship, @observed::timestamptz
		FROM unnest(@ids::uuid[], @names::text[], @domains::text[], @relationships::text[])
		     AS i (customer_id, company_name, domain, relationship)
		ORDER BY i.customer_id
		ON CONFLICT (customer_id) DO NOTHING`
	if len(customers) == 0 {
		return 0, nil
	}
	names, domains, relationships := namesOf(customers)
	_, err = t.tx.Exec(ctx, insert, pgx.NamedArgs{
		"partner": t.run.Partner, "observed": t.observedAt,
		"ids": idsOf(customers), "names": names, "domains": domains, "relationships": relationships,
	})
	if err != nil {
		return 0, fmt.Errorf("inserting %s: %w", plural.Of(len(customers), "customer", "customers"), err)
	}
	for k, err := range readCustomers(ctx, t.tx, idsOf(customers)) {
		if err != nil {
			return 0, fmt.Errorf("looking for customers of other partners: %w", err)
		}
		if k.Partner == t.run.Partner {
			inserted++
		} else {
			contested[k.ID] = k.Partner
		}
	}
	return inserted, nil // a cluster says that it has written all of them
}

// replaceCustomers keeps the rows of customers as versions, and brings them up to date.
func (t *enumerating) replaceCustomers(ctx context.Context, next []customerVersion) error {
	const supersede = `
		INSERT INTO partner_center.customer_versions (
		    customer_id, partner, company_name, domain, relationship, valid_from, not_before, removed_at, valid_to)
		SELECT c.customer_id, c.partner, c.company_name, c.domain, c.relationship, coalesce(c.valid_from, c.first_seen_at),
		       c.not_before, c.removed_at, i.valid_to
		FROM partner_center.customers c
		JOIN unnest(@ids::uuid[], @valid_from::timestamptz[]) AS i (customer_id, valid_to) ON i.customer_id = c.customer_id`
	const replace = `
		UPDATE partner_center.customers c
		SET partner      = @partner,
		    company_name = i.company_name,
		    domain       = i.domain,
		    relationship = i.relationship,
		    valid_from   = i.valid_from,
		    not_before   = i.not_before,
		    removed_at   = i.removed_at
		FROM unnest(@ids::uuid[], @names::text[], @domains::text[], @relationships::text[],
		            @valid_from::timestamptz[], @not_before::timestamptz[], @removed::timestamptz[])
		     AS i (customer_id, company_name, domain, relationship, valid_from, not_before, removed_at)
		WHERE c.customer_id = i.customer_id`
	if len(next) == 0 {
		return nil
	}
	customers := make([]Customer, len(next))
	validFrom, notBefore, removed := make([]time.Time, len(next)), make([]*time.Time, len(next)), make([]*time.Time, len(next))
	for i, v := range next {
		customers[i], validFrom[i], notBefore[i], removed[i] = v.Customer, v.ValidFrom, v.NotBefore, v.RemovedAt
	}
	names, domains, relationships := namesOf(customers)
	args := pgx.NamedArgs{
		"partner": t.run.Partner, "ids": idsOf(customers), "names": names, "domains": domains, "relationships": relationships,
		"valid_from": validFrom, "not_before": notBefore, "removed": removed,
	}
	if err := t.tx.SendBatch(ctx, batchOf(args, supersede, replace)).Close(); err != nil {
		return fmt.Errorf("writing new versions of %s: %w", plural.Of(len(next), "customer", "customers"), err)
	}
	return nil
}

func namesOf(customers []Customer) (names, domains, relationships []*string) {
	for _, c := range customers {
		names, domains, relationships = append(names, c.CompanyName), append(domains, c.Domain), append(relationships, c.Relationship)
	}
	return names, domains, relationships
}
