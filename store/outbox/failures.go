package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Failure is why a customer or a sign-in failed.
type Failure struct {
	Code, Message            string
	RequestID, CorrelationID string
}

// FailedCustomer is a customer on whom an attempt has just failed.
type FailedCustomer struct {
	CustomerID string
	Failure    Failure
	Failures   int  // how many attempts have failed in a row, this one included
	Synced     bool // an earlier attempt has succeeded
}

// EnqueueFailing puts those of the customers into the outbox that have now failed often enough, and reports whether
// there were any. The transaction holds the customers' states.
func (o *Outbox) EnqueueFailing(
	ctx context.Context, tx pgx.Tx, partner string, customers []FailedCustomer,
) (enqueued bool, err error) {
	var events []event
	for _, c := range customers {
		more, err := o.failingEvents(ctx, tx, partner, c)
		if err != nil {
			return false, err
		}
		events = append(events, more...)
	}
	return len(events) > 0, enqueue(ctx, tx, events)
}

// failingEvents returns the events of a customer that has just failed often enough, and remembers that for each
// endpoint. A customer that has never been synced is not failing after a single pass.
func (o *Outbox) failingEvents(
	ctx context.Context, tx pgx.Tx, partner string, c FailedCustomer,
) (events []event, err error) {
	// What is remembered from an earlier time, under another partner, does not count.
	const remember = `
		INSERT INTO partnersync.notified AS n (endpoint, type, subject, since)
		SELECT @endpoint, @type, s.customer_id::text, s.failing_since
		FROM partnersync.customer_state s
		WHERE s.customer_id = @customer_id::uuid
		ON CONFLICT (endpoint, type, subject) DO UPDATE SET since = excluded.since WHERE n.since < excluded.since
		RETURNING since`
	id := uuid.New()
	for _, e := range o.subscribers(partner, CustomerFailing, CustomerRecovered) {
		after := e.FailingAfter
		if !c.Synced {
			after = max(after, 2)
		}
		if c.Failures != after { // not yet, or already before this pass
			continue
		}
		args := pgx.NamedArgs{"endpoint": e.Name, "type": CustomerFailing, "customer_id": c.CustomerID}
		var since time.Time
		switch err := tx.QueryRow(ctx, remember, args).Scan(&since); {
		case errors.Is(err, pgx.ErrNoRows):
			continue
		case err != nil:
			return nil, fmt.Errorf("remembering that customer %s is failing: %w", c.CustomerID, err)
		}
		if !e.subscribes(CustomerFailing, partner) {
			continue
		}
		data := EventData{
			Partner: partner, CustomerID: c.CustomerID, ConsecutiveFailures: c.Failures, FailingSince: &since,
			ErrorCode: c.Failure.Code, Error: c.Failure.Message,
			RequestID: c.Failure.RequestID, CorrelationID: c.Failure.CorrelationID,
		}
		if data.CompanyName, err = companyName(ctx, tx, c.CustomerID); err != nil {
			return nil, err
		}
		events = append(events, event{endpoint: e.Name, kind: CustomerFailing, id: id, data: data})
	}
	return events, nil
}

// EnqueueRecovered puts those of the customers into the outbox that an endpoint knows as failing, and reports whether
// there were any. The transaction holds the customers' states.
func (o *Outbox) EnqueueRecovered(
	ctx context.Context, tx pgx.Tx, partner string, customers []string,
) (enqueued bool, err error) {
	const forget = `
		DELETE FROM partnersync.notified
		WHERE endpoint = @endpoint AND type = @type AND subject = ANY (@customers::text[])
		RETURNING subject AS customer_id, since`
	type recovered struct {
		CustomerID string    `db:"customer_id"`
		Since      time.Time `db:"since"`
	}
	if len(customers) == 0 {
		return false, nil
	}
	var events []event
	ids := map[string]uuid.UUID{} // by customer
	for _, e := range o.subscribers(partner, CustomerFailing, CustomerRecovered) {
		args := pgx.NamedArgs{"endpoint": e.Name, "type": CustomerFailing, "customers": customers}
		rows, _ := tx.Query(ctx, forget, args) // CollectRows returns its error
		all, err := pgx.CollectRows(rows, pgx.RowToStructByName[recovered])
		if err != nil {
			return false, fmt.Errorf("forgetting customers that have recovered: %w", err)
		}
		for _, c := range all {
			if !e.subscribes(CustomerRecovered, partner) {
				continue
			}
			if _, ok := ids[c.CustomerID]; !ok {
				ids[c.CustomerID] = uuid.New()
			}
			data := EventData{Partner: partner, CustomerID: c.CustomerID, FailingSince: &c.Since}
			if data.CompanyName, err = companyName(ctx, tx, c.CustomerID); err != nil {
				return false, err
			}
			events = append(events, event{endpoint: e.Name, kind: CustomerRecovered, id: ids[c.CustomerID], data: data})
		}
	}
	return len(events) > 0, enqueue(ctx, tx, events)
}

// companyName returns the customer's name; nil if none is known.
func companyName(ctx context.Context, tx pgx.Tx, customerID string) (name *string, err error) {
	const query = `
		SELECT max(company_name) FROM partner_center.customers WHERE customer_id = @customer_id::uuid`
	if err := tx.QueryRow(ctx, query, pgx.NamedArgs{"customer_id": customerID}).Scan(&name); err != nil {
		return nil, fmt.Errorf("reading the name of customer %s: %w", customerID, err)
	}
	return name, nil
}

// EnqueueSignInFailed puts into the outbox that the partner's sign-in was refused, once until ClearSignInFailed.
// During a partner's first run it does nothing: somebody is setting it up.
func (o *Outbox) EnqueueSignInFailed(ctx context.Context, partner string, f Failure) error {
	const remember = `
		INSERT INTO partnersync.notified (endpoint, type, subject, since)
		SELECT @endpoint, @type, @partner, clock_timestamp()
		WHERE (SELECT count(*) FROM (
		    SELECT 1 FROM partnersync.runs WHERE partner = @partner AND state <> 'running' LIMIT 2) r) = 2
		ON CONFLICT DO NOTHING`
	subscribers := o.subscribers(partner, SignInFailed)
	if len(subscribers) == 0 {
		return nil
	}
	data := EventData{
		Partner: partner, ErrorCode: f.Code, Error: f.Message, RequestID: f.RequestID, CorrelationID: f.CorrelationID,
	}
	err := o.writeEvents(ctx, func(tx pgx.Tx) (events []event, err error) {
		id := uuid.New()
		for _, e := range subscribers {
			args := pgx.NamedArgs{"endpoint": e.Name, "type": SignInFailed, "partner": partner}
			tag, err := tx.Exec(ctx, remember, args)
			if err != nil {
				return nil, err
			}
			if tag.RowsAffected() > 0 {
				events = append(events, event{endpoint: e.Name, kind: SignInFailed, id: id, data: data})
			}
		}
		return events, nil
	})
	if err != nil {
		return fmt.Errorf("putting the refused sign-in of partner %s into the outbox: %w", partner, err)
	}
	return nil
}

// ClearSignInFailed ends what EnqueueSignInFailed began: the next refusal is an event again.
func (o *Outbox) ClearSignInFailed(ctx context.Context, partner string) error {
	const forget = `
		DELETE FROM partnersync.notified WHERE type = @type AND subject = @partner`
	if len(o.subscribers(partner, SignInFailed)) == 0 {
		return nil
	}
	if err := o.exec(ctx, forget, pgx.NamedArgs{"type": SignInFailed, "partner": partner}); err != nil {
		return fmt.Errorf("clearing the refused sign-in of partner %s: %w", partner, err)
	}
	return nil
}
