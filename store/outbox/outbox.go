// Package outbox is the transactional outbox: events for webhooks are stored in the transaction in which they happen,
// so that none is lost and none is sent of what was rolled back.
//
// Package store enqueues what its transactions change. Package notify claims what is due, sends it, and removes it.
package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"partnersync/store/plural"
	"partnersync/store/sanitize"
)

// Types of events.
const (
	BatchFinished           = "batch.finished"             // a batch has reached the status finished
	BatchFinishedWithErrors = "batch.finished_with_errors" // or finished_with_errors
	BatchStuck              = "batch.stuck"                // a batch has been in one unfinished status for long
	BatchRemoved            = "batch.removed"              // a complete listing lacked a batch
	CustomerFailing         = "customer.failing"           // a customer has failed in several passes in a row
	CustomerRecovered       = "customer.recovered"         // such a customer has been read again
	SignInFailed            = "partner.sign_in_failed"     // a partner's sign-in was refused
)

// EventTypes returns all types of events, in the order of the documentation.
func EventTypes() []string {
	return []string{
		BatchFinished, BatchFinishedWithErrors, BatchStuck, BatchRemoved, CustomerFailing, CustomerRecovered, SignInFailed,
	}
}

// Endpoint is a receiver of events, and which of them it subscribes to.
type Endpoint struct {
	Name     string   // unique; as in partnersync.outbox
	Events   []string // types; nil: all
	Partners []string // names; nil: all
	// StuckAfter is after how long in one unfinished status a batch is stuck, and FailingAfter after how many
	// passes a customer is failing.
	StuckAfter   time.Duration
	FailingAfter int
}

// subscribes reports whether the endpoint subscribes to a type of events of the partner; "" is any partner.
func (e Endpoint) subscribes(kind, partner string) bool {
	return (e.Events == nil || slices.Contains(e.Events, kind)) &&
		(e.Partners == nil || partner == "" || slices.Contains(e.Partners, partner))
}

// Transact runs a transaction, and may run it again after a conflict with another one.
type Transact func(ctx context.Context, do func(pgx.Tx) error) error

// Outbox is the outbox of one database, for the endpoints that subscribe to its events. It is safe for concurrent use.
type Outbox struct {
	endpoints       []Endpoint
	write, readOnly Transact
	written         chan struct{}
}

// New returns the outbox of the database in which write and readOnly run transactions.
func New(endpoints []Endpoint, write, readOnly Transact) *Outbox {
	return &Outbox{endpoints: endpoints, write: write, readOnly: readOnly, written: make(chan struct{}, 1)}
}

// Subscribers returns the names of the endpoints that subscribe to any events of the partner.
func (o *Outbox) Subscribers(partner string) []string {
	names := []string{}
	for _, e := range o.subscribers(partner, EventTypes()...) {
		names = append(names, e.Name)
	}
	return names
}

// subscribers returns the endpoints that subscribe to any of the types of events of the partner.
func (o *Outbox) subscribers(partner string, kinds ...string) (endpoints []Endpoint) {
	for _, e := range o.endpoints {
		if slices.ContainsFunc(kinds, func(kind string) bool { return e.subscribes(kind, partner) }) {
			endpoints = append(endpoints, e)
		}
	}
	return endpoints
}

// EventData is the content of an event; fields that do not belong to its type are omitted. Long texts from the API
// are shortened.
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
	ChangedAfter *time.Time `json:"changed_after,omitempty"` // the change happened after this time
	ChangedBy    *time.Time `json:"changed_by,omitempty"`    // and no later than this

	ConsecutiveFailures int        `json:"consecutive_failures,omitempty"`
	FailingSince        *time.Time `json:"failing_since,omitempty"`
	ErrorCode           string     `json:"error_code,omitempty"`
	Error               string     `json:"error,omitempty"`
	RequestID           string     `json:"request_id,omitempty"`
	CorrelationID       string     `json:"correlation_id,omitempty"`
}

// subject returns what events are ordered by: the batch, the customer or the partner. Since customers' ids have a fixed
// length, no two batches share a subject.
func (d EventData) subject() string {
	switch {
	case d.BatchID != "":
		return d.CustomerID + "/" + d.BatchID
	case d.CustomerID != "":
		return d.CustomerID
	}
	return d.Partner
}

// event is an event for one endpoint.
type event struct {
	endpoint, kind string
	id             uuid.UUID // shared by the events of one occurrence
	data           EventData
}

// enqueue puts events into the outbox, in their order.
func enqueue(ctx context.Context, tx pgx.Tx, events []event) error {
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
	var ids, endpoints, subjects, types, data []string
	for _, e := range events {
		text, err := json.Marshal(e.data.wireForm())
		if err != nil {
			return fmt.Errorf("writing the event %s: %w", e.kind, err)
		}
		ids, endpoints = append(ids, e.id.String()), append(endpoints, e.endpoint)
		subjects, types, data = append(subjects, e.data.subject()), append(types, e.kind), append(data, string(text))
	}
	args := pgx.NamedArgs{"message_ids": ids, "endpoints": endpoints, "subjects": subjects, "types": types, "data": data}
	if _, err := tx.Exec(ctx, insert, args); err != nil {
		return fmt.Errorf("putting %s into the outbox: %w", plural.Of(len(events), "event", "events"), err)
	}
	return nil
}

// wireForm returns the data with times in UTC and long texts shortened, since receivers refuse large bodies. Batches'
// ids are short enough.
func (d EventData) wireForm() EventData {
	const maxName, maxMessage = 300, 1500 // bytes
	for _, text := range []**string{&d.CompanyName, &d.Status, &d.FromStatus, &d.CreatedBy} {
		if *text != nil {
			short := sanitize.Shorten(**text, maxName)
			*text = &short
		}
	}
	for _, text := range []*string{&d.ErrorCode, &d.RequestID, &d.CorrelationID} {
		*text = sanitize.Shorten(*text, maxName)
	}
	d.Error = sanitize.Shorten(d.Error, maxMessage)
	for _, t := range []**time.Time{&d.StatusSince, &d.CreationDate, &d.ChangedAfter, &d.ChangedBy, &d.FailingSince} {
		if *t != nil {
			utc := (*t).UTC()
			*t = &utc
		}
	}
	return d
}

// writeEvents runs a transaction and puts the events that it returns into the outbox.
func (o *Outbox) writeEvents(ctx context.Context, do func(pgx.Tx) ([]event, error)) error {
	enqueued := false
	err := o.write(ctx, func(tx pgx.Tx) error {
		events, err := do(tx)
		if err != nil {
			return err
		}
		enqueued = len(events) > 0
		return enqueue(ctx, tx, events)
	})
	if err == nil && enqueued {
		o.Wake()
	}
	return err
}

// exec runs a transaction of a single statement.
func (o *Outbox) exec(ctx context.Context, sql string, args pgx.NamedArgs) error {
	return o.write(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sql, args)
		return err
	})
}

// Written receives a value after something has been put into this Outbox.
func (o *Outbox) Written() <-chan struct{} { return o.written }

// Wake wakes the receiver of Written. It is called after the commit of a transaction that has put events here.
func (o *Outbox) Wake() {
	select {
	case o.written <- struct{}{}:
	default: // it has been woken, and has not looked since
	}
}
