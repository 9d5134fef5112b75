package report

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
	ByFailure   = "failure" // those that have been failing for longest first
)

// Which customers a search is for, by how their last attempt went.
const (
	Failing    = "failing"
	NotFailing = "not failing"
)

// CustomerSearch says which customers to return. The zero value means all of them.
type CustomerSearch struct {
	ID            string   // a UUID; "": any
	Text          string   // in the name, the domain or the beginning of the id, in any case; "": any
	Partners      []string // nil: all
	Show          string   // Failing or NotFailing; "": both
	Order         string   // one of the orders; "": ByStaleness
	Limit, Offset int      // a Limit of 0: all
}

// Customer is a customer's row of partner_center.sync_freshness, and its domain.
type Customer struct {
	CustomerID          string     `db:"customer_id" json:"customer_id"`
	Partner             string     `db:"partner" json:"partner"`
	CompanyName         *string    `db:"company_name" json:"company_name"`
	LastAttemptAt       *time.Time `db:"last_attempt_at" json:"last_attempt_at"`
	LastSuccessAt       *time.Time `db:"last_success_at" json:"last_success_at"`
	ConsecutiveFailures int        `db:"consecutive_failures" json:"consecutive_failures"`
	FailingSince        *time.Time `db:"failing_since" json:"failing_since"`
	LastErrorCode       *string    `db:"last_error_code" json:"last_error_code"`
	LastError           *string    `db:"last_error" json:"last_error"`
	LastRequestID       *string    `db:"last_request_id" json:"last_request_id"`
	LastCorrelationID   *string    `db:"last_correlation_id" json:"last_correlation_id"`
	Urgent              bool       `db:"urgent" json:"urgent"`
	NextExpectedAt      *time.Time `db:"next_expected_at" json:"next_expected_at"`
	ListsFailing        int        `db:"lists_failing" json:"lists_failing"`
	FailingLists        *string    `db:"failing_lists" json:"failing_lists"`
	Domain              *string    `db:"domain" json:"-"`
	Found               int        `db:"found" json:"-"` // customers that the search found, on all pages
}

// customers is the query of a CustomerSearch.
const customers = `
	SELECT f.customer_id::text, f.partner, f.company_name, f.last_attempt_at, f.last_success_at, f.consecutive_failures,
	       f.failing_since, f.last_error_code, f.last_error, f.last_request_id, f.last_correlation_id,
	       f.urgent, f.next_expected_at, f.lists_failing, f.failing_lists,
	       c.domain, count(*) OVER ()::integer AS found
	FROM partner_center.sync_freshness f
	LEFT JOIN partner_center.customers c ON c.customer_id = f.customer_id
	WHERE (@show = '' OR (@show = 'failing') = (f.consecutive_failures > 0))
	  AND (@partners::text[] IS NULL OR f.partner = ANY (@partners))
	  AND (@id = '' OR f.customer_id = nullif(@id, '')::uuid)
	  AND (@text = ''
	       OR strpos(lower(f.company_name), lower(@text)) > 0
	       OR strpos(lower(c.domain), lower(@text)) > 0
	       OR starts_with(f.customer_id::text, lower(@text)))
	ORDER BY CASE WHEN @order = 'name' THEN lower(f.company_name) END NULLS LAST,
	         CASE WHEN @order = 'failure' THEN f.failing_since END,
	         CASE WHEN @order <> 'failure' THEN f.last_success_at END NULLS FIRST,
	         f.customer_id, f.partner
	LIMIT nullif(@limit::bigint, 0)
	OFFSET @offset`

func (s CustomerSearch) args() pgx.NamedArgs {
	return pgx.NamedArgs{
		"id": s.ID, "text": s.Text, "partners": s.Partners, "show": s.Show, "order": s.Order,
		"limit": s.Limit, "offset": s.Offset,
	}
}

// Customers returns one page of what the search finds.
func (r *Reader) Customers(ctx context.Context, s CustomerSearch) ([]Customer, error) {
	return readAll[Customer](ctx, r, "the customers", customers, s.args())
}

// CustomerDetail is one customer, as partner_center.customers has it, with its freshness: one row for each partner that
// lists it, none once it has been removed.
type CustomerDetail struct {
	CustomerID  string     `db:"customer_id"`
	Partner     string     `db:"partner"`
	CompanyName *string    `db:"company_name"`
	Domain      *string    `db:"domain"`
	FirstSeenAt time.Time  `db:"first_seen_at"`
	RemovedAt   *time.Time `db:"removed_at"`

	Freshness []Customer `db:"-"`
}

// ErrNoCustomer is returned for a customer that the database does not know.
var ErrNoCustomer = errors.New("there is no such customer")

// Customer returns the customer with the id, a UUID. The error is ErrNoCustomer where there is none.
func (r *Reader) Customer(ctx context.Context, id string) (found CustomerDetail, err error) {
	const customer = `
		SELECT customer_id::text, partner, company_name, domain, first_seen_at, removed_at
		FROM partner_center.customers
		WHERE customer_id = @id::uuid`
	err = r.read(ctx, timeout, func(ctx context.Context, tx pgx.Tx) error {
		all, err := collect[CustomerDetail](ctx, tx, "customer "+id, customer, pgx.NamedArgs{"id": id})
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return ErrNoCustomer
		}
		found = all[0]
		search := CustomerSearch{ID: id}
		found.Freshness, err = collect[Customer](ctx, tx, "the freshness of customer "+id, customers, search.args())
		return err
	})
	return found, err
}
