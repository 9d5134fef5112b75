package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Freshness is a customer's row of partner_center.sync_freshness.
type Freshness struct {
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
}

// FailingCustomers returns the partner's customers whose last attempt failed, those that fail longest first.
func (s *Store) FailingCustomers(ctx context.Context, partner string) ([]Freshness, error) {
	const query = `
		SELECT customer_id::text, partner, company_name, last_attempt_at, last_success_at, consecutive_failures,
		       failing_since, last_error_code, last_error, last_request_id, last_correlation_id
		FROM partner_center.sync_freshness
		WHERE partner = @partner AND consecutive_failures > 0
		ORDER BY failing_since, customer_id`
	failing, err := collect(ctx, s.readOnly, query, pgx.NamedArgs{"partner": partner}, pgx.RowToStructByName[Freshness])
	if err != nil && !missing(err) {
		return nil, fmt.Errorf("reading the failing customers of partner %s: %w", partner, err)
	}
	return failing, nil
}
