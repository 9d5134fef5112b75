package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"partnersync/store/sanitize"
)

// Types of events that endpoints can be told of.
const (
	BatchFinished           = "batch.finished"             // a batch has come to the status finished
	BatchFinishedWithErrors = "batch.finished_with_errors" // or to finished_with_errors
	BatchStuck              = "batch.stuck"                // a batch is unfinished, and in one status for long
	BatchRemoved            = "batch.removed"              // a complete listing lacked a batch
	CustomerFailing         = "customer.failing"           // a customer has failed in so many passes in a row
	CustomerRecovered       = "customer.recovered"         // one of those has gone well
	SignInFailed            = "partner.sign_in_failed"     // a partner's sign-in was refused
)

// EventTypes are all types of events, in the order in which people read of them.
func EventTypes() []string {
	return []string{BatchFinished, BatchFinishedWithErrors, BatchStuck, BatchRemoved, CustomerFailing, CustomerRecovered, SignInFailed}
}

// Endpoint is somebody who is told of events.
type Endpoint struct {
	Name     string   // unique; as in partnersync.outbox
	Events   []string // types; nil: all
	Partners []string // names; nil: all
	// StuckAfter is how long a batch has to be in one unfinished status, and FailingAfter in how many passes a customer has
	// to fail, before the endpoint is told.
	StuckAfter   time.Duration
	FailingAfter int
}

// wants reports whether the endpoint is told of such events of the partner; "" is any.
func (e Endpoint) wants(event, partner string) bool {
	return (e.Events == nil || slices.Contains(e.Events, event)) &&
		(e.Partners == nil || partner == "" || slices.Contains(e.Partners, partner))
}

// told returns the endpoints that are told of any of such events of the partner.
func (s *Store) told(partner string, events ...string) (told []Endpoint) {
	for _, e := range s.endpoints {
		if slices.ContainsFunc(events, func(event string) bool { return e.wants(event, partner) }) {
			told = append(told, e)
		}
	}
	return told
}

// EventData is what an event says; fields that do not belong to its type are left out. Texts that come from elsewhere are
// cut off where they are long.
type EventData struct {
	Partner     string  `json:"partner"`
	CustomerID  string  `json:"customer_id,omitempty"`
	CompanyName *string `json:"company_name,omitempty"`

	BatchID      string     `json:"batch_id,omitempty"`
	Status       *string    `json:"status,omitempty"`
	FromStatus   *string    `json:"from_status,omitempty"` // of the version before
	StatusSince  *time.Time `json:"status_since,omitempty"`
	DevicesCount *int32     `json:"devices_count,omitempty"`
	CreatedBy    *string    `json:"created_by,omitempty"`
	CreationDate *time.Time `json:"creation_date,omitempty"`
	ChangedAfter *time.Time `json:"changed_after,omitempty"` // the change happened after this time,
	ChangedBy    *time.Time `json:"changed_by,omitempty"`    // and at the latest then

	ConsecutiveFailures int        `json:"consecutive_failures,omitempty"`
	FailingSince        *time.Time `json:"failing_since,omitempty"`
	ErrorCode           string     `json:"error_code,omitempty"`
	Error               string     `json:"error,omitempty"`
	RequestID           string     `json:"request_id,omitempty"`
	CorrelationID       string     `json:"correlation_id,omitempty"`
}

// subject is what the events are ordered by: the batch, else the customer, else the partner.
func (d *EventData) subject() string {
	switch {
	case d.BatchID != "":
		return batchSubject(d.CustomerID, d.BatchID)
	case d.CustomerID != "":
		return d.CustomerID
	}
	return d.Partner
}

// batchSubject is the subject of a batch. The customer's id is of fixed length, so that no two batches share one.
func batchSubject(customerID, batchID string) string { return customerID + "/" + batchID }

// event is an event for one endpoint.
type event struct {
	endpoint, kind string
	id             uuid.UUID // of all that one thing gave rise to
	data           *EventData
}

// queue puts events into the outbox, in their order.
func queue(ctx context.Context, tx pgx.Tx, events []event) error {
	const insert = `
		INSERT INTO partnersync.outbox (message_id, endpoint, subject, type, data, created_at, next_at)
		SELECT i.message_id, i.endpoint, i.subject, i.type, i.data::jsonb, c.now, c.now
		FROM unnest(@message_ids::uuid[], @endpoints::text[], @subjects::text[], @types::text[], @data::text[])
		     WITH ORDINALITY AS i (message_id, endpoint, subject, type, data, position)
		CROSS JOIN (SELECT clock_timestamp() AS now) c
		ORDER BY i.position`
	if len(events) == 0 {
		return nil
	}
	n := len(events)
	ids, endpoints, subjects, types, data := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for i, e := range events {
		text, err := json.Marshal(e.data.cut())
		if err != nil {
			return fmt.Errorf("writing the event %s: %w", e.kind, err)
		}
		ids[i], endpoints[i], subjects[i], types[i], data[i] = e.id.String(), e.endpoint, e.data.subject(), e.kind, string(text)
	}
	args := pgx.NamedArgs{"message_ids": ids, "endpoints": endpoints, "subjects": subjects, "types": types, "data": data}
	if _, err := tx.Exec(ctx, insert, args); err != nil {
		return fmt.Errorf("putting %d events into the outbox: %w", n, err)
	}
	return nil
}

// cut returns the data with its texts cut off where they are long: receivers refuse large bodies. A batch's id is short
// enough by itself.
func (d EventData) cut() EventData {
	const nameMost, messageMost = 300, 1500 // bytes
	for _, text := range []**string{&d.CompanyName, &d.Status, &d.FromStatus, &d.CreatedBy} {
		if *text != nil {
			short := sanitize.Shorten(**text, nameMost)
			*text = &short
		}
	}
	d.ErrorCode, d.RequestID, d.CorrelationID = sanitize.Shorten(d.ErrorCode, nameMost), sanitize.Shorten(d.RequestID, nameMost), sanitize.Shorten(d.CorrelationID, nameMost)
	d.Error = sanitize.Shorten(d.Error, messageMost)
	return d
}

// OutboxWritten has an element after this Store has put something into the outbox.
func (s *Store) OutboxWritten() <-chan struct{} { return s.outboxWritten }

// wakeSender says that the outbox has something new, once that is committed.
func (s *Store) wakeSender() {
	select {
	case s.outboxWritten <- struct{}{}:
	default: // it has been said, and nobody has looked since
	}
}
