package sync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"partnersync/store"
	"partnersync/store/sanitize"
	"partnersync/sync/partnercenter"
)

// list is one list of the API: how its items I are read and converted to rows R.
type list[I, R any] struct {
	name    string // for people, such as "device batches of customer 1a2b…"
	items   func(context.Context, *partnercenter.Listing) iter.Seq2[I, error]
	convert func(*rows[R], I)
	known   store.Confirmation // what to record if the list is unchanged, but for the time
	digest  []byte             // of the list as it is known; nil: the list is compared in any case
}

// batchList is the list of a customer's device batches.
func (p Partner) batchList(customerID string, digest []byte) list[partnercenter.DeviceBatch, store.DeviceBatch] {
	return list[partnercenter.DeviceBatch, store.DeviceBatch]{
		name: "device batches of customer " + customerID, convert: addBatch, digest: digest,
		known: store.Confirmation{Resource: store.DeviceBatches},
		items: func(ctx context.Context, l *partnercenter.Listing) iter.Seq2[partnercenter.DeviceBatch, error] {
			return p.Client.DeviceBatches(ctx, customerID, l)
		},
	}
}

// policyList is the list of a customer's configuration policies.
func (p Partner) policyList(
	customerID string, digest []byte,
) list[partnercenter.ConfigurationPolicy, store.ConfigurationPolicy] {
	return list[partnercenter.ConfigurationPolicy, store.ConfigurationPolicy]{
		name: "configuration policies of customer " + customerID, convert: addPolicy, digest: digest,
		known: store.Confirmation{Resource: store.ConfigurationPolicies},
		items: func(ctx context.Context, l *partnercenter.Listing) iter.Seq2[partnercenter.ConfigurationPolicy, error] {
			return p.Client.ConfigurationPolicies(ctx, customerID, l)
		},
	}
}

// deviceList is the list of the devices in a batch.
func (p Partner) deviceList(customerID string, batch store.DeviceList) list[partnercenter.Device, store.Device] {
	return list[partnercenter.Device, store.Device]{
		name:    fmt.Sprintf("devices of batch %q of customer %s", batch.BatchID, customerID),
		convert: addDevice, digest: batch.Digest,
		known: store.Confirmation{Resource: store.Devices, Devices: batch},
		items: func(ctx context.Context, l *partnercenter.Listing) iter.Seq2[partnercenter.Device, error] {
			return p.Client.Devices(ctx, customerID, batch.RequestID(), l)
		},
	}
}

// read reads the list and converts its items. The rows from before an error are returned with it.
func (l list[I, R]) read(ctx context.Context, listing *partnercenter.Listing) (read rows[R], err error) {
	for item, err := range l.items(ctx, listing) {
		if err != nil {
			return read, fmt.Errorf("listing %s: %w", l.name, err)
		}
		if read.at == nil { // with the first item it is known how many to expect
			read = rows[R]{all: make([]R, 0, listing.Expected), at: make(map[string]int, listing.Expected)}
		}
		l.convert(&read, item)
	}
	return read, nil
}

// listOutcome is how reading and merging one list went.
type listOutcome struct {
	listing       partnercenter.Listing
	requests      int // of all times that the list was read; the listing is the last
	retries       int
	readErr       error               // why the list could not be read as a whole
	merged        bool                // the rows were handed to the store; not if the list is unchanged or not mergeable
	store.Outcome                     // of the merge
	confirmed     *store.Confirmation // of an unchanged list
	cutOff        bool                // after the next tick
	failure       *store.Failure      // why the list failed; nil: it did not
	nodeDown      bool                // it failed since the customer's node of the cluster is down
}

// syncList reads a list of the customer whose turn it is, and merges it unless its digest is the known one. A list of
// several pages that lacks known rows is read once more. The error is as that of syncCustomer.
func syncList[I, R any](
	ctx context.Context, t *turn, l list[I, R], merge func(store.Listing, []R) (store.Outcome, error),
) (o listOutcome, err error) {
	log := t.log.With("customer_id", t.claim.CustomerID, "resource", l.known.Resource, "batch_id", l.known.Devices.BatchID)
	err = syncListing(t, l, nil, &o, merge)
	if first, ok := errors.AsType[*store.UnconfirmedError](err); ok {
		log.Debug("list of several pages lacks known rows, reading it again", "rows", len(first.Absent))
		err = syncListing(t, l, first.Absent, &o, merge)
	}
	switch {
	case ctx.Err() != nil:
		return o, ctx.Err()
	case errors.Is(err, store.ErrClaimLost), err != nil && unusable(err):
		return o, err
	case o.cutOff:
		log.Debug("list cut off after the next tick: it comes first in the next pass")
		return o, nil
	}
	if o.Inserted+o.Changed+o.Removed > 0 {
		log.Debug("list changed", "inserted", o.Inserted, "changed", o.Changed, "removed", o.Removed)
	}
	if o.Unconfirmed > 0 {
		log.Debug("rows that one listing of several pages lacks stay until another lacks them too", "rows", o.Unconfirmed)
	}
	if err := o.customerError(l.name, err); err != nil {
		o.failure, o.nodeDown = asFailure(err, &o.listing), nodeDown(err)
		level := slog.LevelDebug
		if !o.vanished(l.known.Devices) {
			level = t.failures.level(o.failure.Code)
		}
		log.Log(ctx, level, "list failed", "code", o.failure.Code,
			"request_id", o.failure.RequestID, "correlation_id", o.failure.CorrelationID, "err", err)
	}
	return o, nil
}

// syncListing reads the list and merges what came. absentBefore are the keys that a listing just before lacked; nil:
// there was none. The error is that of the merge.
func syncListing[I, R any](
	t *turn, l list[I, R], absentBefore []string, o *listOutcome,
	merge func(store.Listing, []R) (store.Outcome, error),
) (err error) {
	c := t.claim
	listing := partnercenter.Listing{
		CorrelationID: uuid.NewSHA1(t.id, []byte(c.CustomerID)).String(), // one for each customer and pass
		OnPage:        func() { t.Store.NoteProgress(t.run) },
	}
	if t.run.Kind != store.Backfill { // which compares all lists
		listing.Known = l.digest
	}
	read, readErr := l.read(t.reading, &listing)
	t.issues.add(&listing, read.altered, read.duplicates)
	*o = listOutcome{listing: listing, requests: o.requests + listing.Requests, retries: o.retries + listing.Retries}
	switch {
	case readErr != nil && t.reading.Err() != nil:
		o.cutOff = true
	case listing.Unchanged:
		confirmed := l.known
		confirmed.ObservedAt = c.ObservedAt(listing.SentAt)
		o.confirmed = &confirmed
	default:
		o.readErr = readErr
		if !o.mergeable() {
			return nil
		}
		l := store.Listing{
			ObservedAt: c.ObservedAt(listing.SentAt), Complete: readErr == nil, Pages: listing.Pages,
			AbsentBefore: absentBefore,
		}
		if read.altered == 0 { // two ids that are altered may have become one
			l.Digest = listing.Digest
		}
		o.Outcome, err = merge(l, read.all)
		o.merged = err == nil
	}
	return err
}

// mergeable reports whether what was read may be merged: an incomplete listing may, too, and removes nothing. Of one
// with another customer's answer, what came before that may be the other customer's as well.
func (o *listOutcome) mergeable() bool {
	return o.listing.Pages > 0 && !o.otherCustomer()
}

// customerError returns why the customer fails because of the list of that name, if it does.
func (o *listOutcome) customerError(name string, mergeErr error) error {
	switch {
	case mergeErr != nil:
		return mergeErr
	case o.readErr == nil && o.Held > 0:
		return &heldError{rows: o.Held, what: name}
	}
	return o.readErr
}

// add adds the outcome of a list to the result of the turn, whose failure is that of the first list that failed.
func (t *turn) add(o *listOutcome) {
	t.Requests += o.requests
	t.Retries += o.retries
	t.inserted, t.updated, t.removed = t.inserted+o.Inserted, t.updated+o.Changed, t.removed+o.Removed
	if o.confirmed != nil {
		t.Confirmed = append(t.Confirmed, *o.confirmed)
	}
	t.Reread = t.Reread || o.cutOff
	if t.Failure == nil {
		t.Failure = o.failure
	}
}

// endsCustomer reports whether the customer is not asked for more in the same pass.
func (o *listOutcome) endsCustomer() bool { return o.timedOut() || o.otherCustomer() || o.nodeDown }

// timedOut reports whether no answer came within the time of all attempts: several such lists in a row would take
// longer than there is until the next tick.
func (o *listOutcome) timedOut() bool {
	e, ok := errors.AsType[*partnercenter.Error](o.readErr)
	return ok && e.ErrorCode() == "timeout"
}

// otherCustomer reports whether another customer's answer came: the next one may be another's as well, without a link
// that shows it.
func (o *listOutcome) otherCustomer() bool {
	return errors.Is(o.readErr, partnercenter.ErrOtherCustomer)
}

// nobodyThere reports whether nothing of the list came because nobody answered, because the customer as a whole was
// refused or does not exist, or because there was no token.
func (o *listOutcome) nobodyThere() bool {
	e, ok := errors.AsType[*partnercenter.Error](o.readErr)
	if !ok || o.listing.Pages > 0 {
		return false
	}
	switch e.Status {
	case 0, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound: // 0: no answer at all
		return true
	}
	return e.Method == http.MethodPost // only tokens are asked for with POST
}

// heldError fails a customer, or an enumeration, whose listing the mass removal guard did not believe.
type heldError struct {
	rows int
	what string
}

// Error says what is held, and until when.
func (e *heldError) Error() string {
	return fmt.Sprintf("a complete listing lacks %d of the known %s, all or most of them, which is not believed "+
		"at once: they stay as they are, and the next complete listing that lacks them too removes them", e.rows, e.what)
}

// asFailure puts an error in the form in which sync_freshness shows it.
func asFailure(err error, l *partnercenter.Listing) *store.Failure {
	f := &store.Failure{
		Code: "error", Message: sanitize.ForStorage(err.Error()),
		RequestID: l.RequestID, CorrelationID: cmp.Or(l.Answered, l.CorrelationID),
	}
	if e, ok := errors.AsType[*partnercenter.Error](err); ok {
		f.Code = sanitize.ForStorage(e.ErrorCode())
		f.RequestID, f.CorrelationID = sanitize.ForStorage(e.RequestID), sanitize.ForStorage(e.CorrelationID)
	} else if _, ok := errors.AsType[*heldError](err); ok {
		f.Code = "mass_removal_held"
	} else if nodeDown(err) {
		f.Code = "database_node_down"
	} else if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		f.Code = "database_" + e.Code
	}
	return f
}

// nodeDown reports whether the server answers that it cannot reach another one: in a Citus cluster, the customer's
// node. Those of the other nodes can go on. A server or pooler that cannot be used itself ends the connection with its
// answer.
func nodeDown(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && strings.HasPrefix(e.Code, "08") && e.SeverityUnlocalized == "ERROR"
}

// unusable reports whether an error of the store means that the database cannot be used at all, rather than that it
// refused the rows of one list: data exceptions, violated constraints and exceeded limits are the SQLSTATE classes 22,
// 23 and 54; 53400 is a limit that the list's statement ran into, such as temp_file_limit, and 57014 its timeout. If
// those counted as an outage, one list could hold up all the others forever.
func unusable(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return true
	}
	if nodeDown(err) {
		return false
	}
	for _, prefix := range []string{"22", "23", "54", "53400", "57014"} {
		if strings.HasPrefix(e.Code, prefix) {
			return false
		}
	}
	return true
}
