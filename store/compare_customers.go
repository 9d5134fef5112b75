package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Customers is the resource of a partner's enumeration, in a Difference.
const Customers = "customers"

// CompareCustomers says what SettleCustomers would do to the partner's customers in a run of now, and writes nothing. Those
// that belong to another partner are left out. Where the schema is missing, nobody is known.
func (s *Store) CompareCustomers(ctx context.Context, partner string, e Enumeration) (all []Difference, err error) {
	err = s.readOnly(ctx, func(tx *transaction) error {
		const known = `SELECT to_regclass('partner_center.customers') IS NOT NULL`
		var exists bool
		if err := tx.QueryRow(ctx, known).Scan(&exists); err != nil {
			return fmt.Errorf("looking for table customers: %w", err)
		}
		if !exists {
			for _, c := range e.Customers {
				all = append(all, Difference{Kind: Inserted, Key: c.ID, Name: c.CompanyName})
			}
			return nil
		}
		t := enumerating{tx: tx, partner: partner}
		all, err = t.differences(ctx, e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("comparing the customers of partner %s: %w", partner, err)
	}
	for i := range all {
		all[i].Resource = Customers
	}
	slices.SortFunc(all, func(a, b Difference) int { return cmp.Compare(a.Key, b.Key) })
	return all, nil
}

// differences is what merge and remove would write.
func (t *enumerating) differences(ctx context.Context, e Enumeration) ([]Difference, error) {
	const held = `SELECT held_customers FROM partnersync.partner_state WHERE partner = @partner`
	var heldBefore []string
	rows, _ := t.tx.Query(ctx, held, pgx.NamedArgs{"partner": t.partner}) // ForEachRow returns its error
	if _, err := pgx.ForEachRow(rows, []any{&heldBefore}, func() error { return nil }); err != nil {
		return nil, fmt.Errorf("reading which removals are held: %w", err)
	}
	var d distance
	batch := &pgx.Batch{}
	t.compare(batch, e, &d)
	if err := t.tx.send(ctx, batch); err != nil {
		return nil, fmt.Errorf("comparing with the known customers: %w", err)
	}
	all, err := t.news(ctx, d.written())
	if err != nil {
		return nil, err
	}
	remove, hold := d.lacked(e, heldBefore)
	gone, err := t.named(ctx, Removed, remove)
	if err != nil {
		return nil, err
	}
	kept, err := t.named(ctx, Held, hold)
	return slices.Concat(all, gone, kept), err
}

// news are the listed customers that upsert would write, in its own terms.
func (t *enumerating) news(ctx context.Context, customers []Customer) ([]Difference, error) {
	const news = `
		SELECT i.customer_id::text, coalesce(i.company_name, k.company_name), k.customer_id IS NULL,
		       array_remove(ARRAY[
		           CASE WHEN k.removed_at IS NOT NULL THEN 'it is back' END,
		           CASE WHEN k.partner <> @partner THEN concat('partner: ', k.partner, ' -> ', @partner::text) END,
		           CASE WHEN i.company_name IS DISTINCT FROM k.company_name AND i.company_name IS NOT NULL
		                THEN concat('company_name: ', coalesce(k.company_name, 'null'), ' -> ', i.company_name) END,
		           CASE WHEN i.domain IS DISTINCT FROM k.domain AND i.domain IS NOT NULL
		                THEN concat('domain: ', coalesce(k.domain, 'null'), ' -> ', i.domain) END,
		           CASE WHEN i.relationship IS DISTINCT FROM k.relationship AND i.relationship IS NOT NULL
		                THEN concat('relationship: ', coalesce(k.relationship, 'null'), ' -> ', i.relationship) END], NULL)
		FROM unnest(@ids::uuid[], @names::text[], @domains::text[], @relationships::text[])
		     AS i (customer_id, company_name, domain, relationship)
		LEFT JOIN partner_center.customers k ON k.customer_id = i.customer_id
		WHERE k.customer_id IS NULL OR k.removed_at IS NOT NULL
		   OR k.partner = @partner AND (
		          coalesce(i.company_name, k.company_name) IS DISTINCT FROM k.company_name
		       OR coalesce(i.domain, k.domain) IS DISTINCT FROM k.domain
		       OR coalesce(i.relationship, k.relationship) IS DISTINCT FROM k.relationship)`
	args := customerArgs(customers)
	args["partner"] = t.partner
	rows, _ := t.tx.Query(ctx, news, args) // CollectRows returns its error
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d Difference, err error) {
		isNew := false
		err = row.Scan(&d.Key, &d.Name, &isNew, &d.Changes)
		if d.Kind = Changed; isNew {
			d.Kind, d.Changes = Inserted, nil
		}
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("comparing %d customers: %w", len(customers), err)
	}
	return all, nil
}

// named returns a difference of that kind for each of the known customers.
func (t *enumerating) named(ctx context.Context, kind DifferenceKind, ids []string) ([]Difference, error) {
	const names = `
		SELECT customer_id::text, company_name FROM partner_center.customers WHERE customer_id = ANY (@ids::uuid[])`
	if len(ids) == 0 {
		return nil, nil
	}
	rows, _ := t.tx.Query(ctx, names, pgx.NamedArgs{"ids": ids}) // CollectRows returns its error
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Difference, error) {
		d := Difference{Kind: kind}
		err := row.Scan(&d.Key, &d.Name)
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the names of %d customers: %w", len(ids), err)
	}
	return all, nil
}
