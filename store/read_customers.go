package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// Orders of customers.
const (
	ByStaleness = "staleness" // those never synced first, then the least recently synced
	ByName      = "name"
)

// CustomerSearch says which customers are asked for.
type CustomerSearch struct {
	Text          string // in the name, the domain or the beginning of the id, case apart; "": any
	OnlyFailing   bool
	OnlyFine      bool   // those that do not fail
	Order         string // ByStaleness or ByName; "": ByStaleness
	Limit, Offset int
}

// CustomerRow is a customer's freshness, with what a list of customers shows beside it.
type CustomerRow struct {
	Freshness
	Domain *string `db:"domain"`
	Found  int     `db:"found"` // customers that the search found, on all pages
}

// Customers returns one page of what the search finds in sync_freshness.
func (r *Reader) Customers(ctx context.Context, s CustomerSearch) (all []CustomerRow, err error) {
	const sql = `
		SELECT f.customer_id::text, f.partner, f.company_name, f.last_attempt_at, f.last_success_at, f.consecutive_failures,
		       f.failing_since, f.last_error_code, f.last_error, f.last_request_id, f.last_correlation_id,
		       c.domain, count(*) OVER ()::integer AS found
		FROM partner_center.sync_freshness f
		LEFT JOIN partner_center.customers c ON c.customer_id = f.customer_id
		WHERE (NOT @failing OR f.consecutive_failures > 0)
		  AND (NOT @fine OR f.consecutive_failures = 0)
		  AND (@text = ''
		       OR strpos(lower(f.company_name), lower(@text)) > 0
		       OR strpos(lower(c.domain), lower(@text)) > 0
		       OR starts_with(f.customer_id::text, lower(@text)))
		ORDER BY CASE WHEN @order = 'name' THEN lower(f.company_name) END NULLS LAST,
		         f.last_success_at NULLS FIRST, f.customer_id, f.partner
		LIMIT @limit
		OFFSET @offset`
	args := pgx.NamedArgs{"text": s.Text, "failing": s.OnlyFailing, "fine": s.OnlyFine, "order": s.Order, "limit": s.Limit, "offset": s.Offset}
	err = r.read(ctx, func(ctx context.Context, tx pgx.Tx) error {
		all, err = query[CustomerRow](ctx, tx, "the customers", sql, args)
		return err
	})
	return all, err
}

// LongestFailing returns the customers of the partners that have been failing for the longest; nil: of all partners.
func (r *Reader) LongestFailing(ctx context.Context, partners []string, limit int) (all []Freshness, err error) {
	const sql = `
		SELECT customer_id::text, partner, company_name, last_attempt_at, last_success_at, consecutive_failures,
		       failing_since, last_error_code, last_error, last_request_id, last_correlation_id
		FROM partner_center.sync_freshness
		WHERE consecutive_failures > 0 AND (@partners::text[] IS NULL OR partner = ANY (@partners))
		ORDER BY failing_since, customer_id
		LIMIT @limit`
	err = r.read(ctx, func(ctx context.Context, tx pgx.Tx) error {
		all, err = query[Freshness](ctx, tx, "the failing customers", sql, pgx.NamedArgs{"partners": partners, "limit": limit})
		return err
	})
	return all, err
}

// CustomerDetail is one customer, as partner_center.customers has it, with its freshness: one under each partner that lists
// it, none once it is gone.
type CustomerDetail struct {
	CustomerID  string     `db:"customer_id"`
	Partner     string     `db:"partner"`
	CompanyName *string    `db:"company_name"`
	Domain      *string    `db:"domain"`
	FirstSeenAt time.Time  `db:"first_seen_at"`
	RemovedAt   *time.Time `db:"removed_at"`

	Freshness []Freshness `db:"-"`
}

// ErrNoCustomer is returned for a customer that the database does not know.
var ErrNoCustomer = errors.New("there is no such customer")

// Customer returns the customer with the id, a UUID. The error is ErrNoCustomer where there is none.
func (r *Reader) Customer(ctx context.Context, id string) (found CustomerDetail, err error) {
	const customer = `
		SELECT customer_id::text, partner, company_name, domain, first_seen_at, removed_at
		FROM partner_center.customers
		WHERE customer_id = @id::uuid`
	const freshness = `
		SELECT customer_id::text, partner, company_name, last_attempt_at, last_success_at, consecutive_failures,
		       failing_since, last_error_code, last_error, last_request_id, last_correlation_id
		FROM partner_center.sync_freshness
		WHERE customer_id = @id::uuid
		ORDER BY last_success_at NULLS LAST, partner`
	err = r.read(ctx, func(ctx context.Context, tx pgx.Tx) error {
		args := pgx.NamedArgs{"id": id}
		customers, err := query[CustomerDetail](ctx, tx, "customer "+id, customer, args)
		if err != nil {
			return err
		}
		if len(customers) == 0 {
			return ErrNoCustomer
		}
		found = customers[0]
		found.Freshness, err = query[Freshness](ctx, tx, "the freshness of customer "+id, freshness, args)
		return err
	})
	return found, err
}
