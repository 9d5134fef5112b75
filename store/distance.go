package store

import (
	"cmp"
	"slices"

	"github.com/jackc/pgx/v5"
)

// distance is how an enumeration differs from the partner's known customers.
type distance struct {
	known             int
	strange, renamed  []Customer // listed: those that are not known, and those of whom something else is known
	excluded, missing []string   // known, but to be left out, or not listed
}

// compare compares the listed customers, which it sorts, with the known ones. Those are not kept in memory: of nearly all of
// them nothing is to be written.
func (t *enumerating) compare(batch *pgx.Batch, e Enumeration, d *distance) {
	const known = `
		SELECT customer_id::text, company_name, domain, relationship
		FROM partner_center.customers
		WHERE partner = @partner AND removed_at IS NULL AND (@some::uuid[] IS NULL OR customer_id = ANY (@some::uuid[]))
		ORDER BY customer_id`
	slices.SortFunc(e.Customers, func(a, b Customer) int { return cmp.Compare(a.ID, b.ID) })
	var some []string // nil: all
	if !e.Complete {
		some = append([]string{}, e.Excluded...)
		for _, c := range e.Customers {
			some = append(some, c.ID)
		}
	}
	batch.Queue(known, pgx.NamedArgs{"partner": t.partner, "some": some}).Query(func(rows pgx.Rows) error {
		d.walk(e, rows)
		return rows.Err()
	})
}

// walk goes over the known customers and the listed ones, both in the order of their ids.
func (d *distance) walk(e Enumeration, known pgx.Rows) {
	listed, excluded := e.Customers, set(e.Excluded)
	for known.Next() {
		k := known.RawValues()
		d.known++
		for len(listed) > 0 && listed[0].ID < string(k[0]) {
			d.strange, listed = append(d.strange, listed[0]), listed[1:]
		}
		isListed := len(listed) > 0 && listed[0].ID == string(k[0])
		switch {
		case excluded[string(k[0])]:
			d.excluded = append(d.excluded, string(k[0]))
		case !isListed && e.Complete:
			d.missing = append(d.missing, string(k[0]))
		case isListed && (tells(listed[0].CompanyName, k[1]) || tells(listed[0].Domain, k[2]) || tells(listed[0].Relationship, k[3])):
			d.renamed = append(d.renamed, listed[0])
		}
		if isListed {
			listed = listed[1:]
		}
	}
	if d.strange == nil {
		d.strange = listed // all of them at first: not in memory twice
		return
	}
	d.strange = append(d.strange, listed...)
}

// written are the listed customers that are to be written, in the order of their ids.
func (d distance) written() []Customer {
	if len(d.renamed) == 0 {
		return d.strange
	}
	return slices.SortedFunc(slices.Values(slices.Concat(d.strange, d.renamed)), func(a, b Customer) int { return cmp.Compare(a.ID, b.ID) })
}

// tells reports whether a listed value says something that is not known. What is not listed is not forgotten.
func tells(listed *string, known []byte) bool {
	return listed != nil && (known == nil || *listed != string(known))
}

// lacked decides what becomes of the known customers that were not listed.
func (d distance) lacked(e Enumeration, heldBefore []string) (remove, hold []string) {
	remove = d.missing
	if e.Guarded {
		remove, hold = guard(d.known-len(d.excluded), d.missing, heldBefore, false)
	}
	return append(remove, d.excluded...), hold
}
