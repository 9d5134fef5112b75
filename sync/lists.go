package sync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"partnersync/store"
	"partnersync/sync/partnercenter"
)

// list is one list of the API: how its items I are read, become rows R, and are merged.
type list[I, R any] struct {
	what    string // for people, such as "device batches of customer 1a2b…"
	items   func(context.Context, *partnercenter.Listing) iter.Seq2[I, error]
	convert func(*rows[R], I)
	firstBy time.Time          // a list of which nothing has come by then is left to the next pass; zero: it is waited for
	known   store.Confirmation // to be confirmed if the list is unchanged: all but the time
	digest  []byte             // of the list as it is known; nil: it is compared in any case
	merge   func(context.Context, store.Listing, []R) (store.Outcome, error)
}

// read reads the list into rows. Those before an error are kept.
func (l list[I, R]) read(ctx context.Context, listing *partnercenter.Listing) (into rows[R], err error) {
	for item, err := range l.items(ctx, listing) {
		if err != nil {
			return into, fmt.Errorf("listing %s: %w", l.what, err)
		}
		if into.all == nil {
			into.expect(listing.Expected)
		}
		l.convert(&into, item)
	}
	return into, nil
}

func (p Partner) batchList(customerID string) list[partnercenter.DeviceBatch, store.DeviceBatch] {
	return list[partnercenter.DeviceBatch, store.DeviceBatch]{
		what:    "device batches of customer " + customerID,
		convert: addBatch,
		known:   store.Confirmation{Resource: store.DeviceBatches},
		items: func(ctx context.Context, l *partnercenter.Listing) iter.Seq2[partnercenter.DeviceBatch, error] {
			return p.Client.DeviceBatches(ctx, customerID, l)
		},
	}
}

func (p Partner) policyList(customerID string) list[partnercenter.ConfigurationPolicy, store.ConfigurationPolicy] {
	return list[partnercenter.ConfigurationPolicy, store.ConfigurationPolicy]{
		what:    "configuration policies of customer " + customerID,
		convert: addPolicy,
		known:   store.Confirmation{Resource: store.ConfigurationPolicies},
		items: func(ctx context.Context, l *partnercenter.Listing) iter.Seq2[partnercenter.ConfigurationPolicy, error] {
			return p.Client.ConfigurationPolicies(ctx, customerID, l)
		},
	}
}

func (p Partner) deviceList(customerID string, batch store.DeviceList) list[partnercenter.Device, store.Device] {
	return list[partnercenter.Device, store.Device]{
		what:    fmt.Sprintf("devices of batch %q of customer %s", batch.BatchID, customerID),
		convert: addDevice,
		known:   store.Confirmation{Resource: store.Devices, Devices: batch},
		items: func(ctx context.Context, l *partnercenter.Listing) iter.Seq2[partnercenter.Device, error] {
			return p.Client.Devices(ctx, customerID, batch.RequestID(), l)
		},
	}
}

// work is what this process does on one claim.
type work struct {
	*pass
	claim       store.Claim
	correlation string // MS-CorrelationId of all requests for the customer in this pass
	result      store.Result
}

// on begins the work on a claim. A customer's requests have one correlation id, those for its device lists too.
func (w *pass) on(c store.Claim) *work {
	return &work{pass: w, claim: c, correlation: uuid.NewSHA1(w.id, []byte(c.CustomerID)).String(), result: store.Result{Claim: c}}
}

// reading is how reading and merging one list went.
type reading struct {
	store.Outcome
	came    bool           // at least a page of it did
	same    bool           // the list is unchanged, nothing was merged
	listed  error          // why it did not come as a whole
	failure *store.Failure // what is wrong with the customer
}

// hung says that an answer did not come within all its attempts' time. Who does not answer is not asked for more in the
// same pass: several such lists in a row would take longer than is left until the next tick.
func (r reading) hung() bool {
	e, ok := errors.AsType[*partnercenter.Error](r.listed)
	return ok && e.ErrorCode() == "timeout"
}

// refused says that nothing of the list came because nobody answered, the customer as a whole was refused or is not there, or no
// token was to be had, which alone is asked for with POST.
func (r reading) refused() bool {
	e, ok := errors.AsType[*partnercenter.Error](r.listed)
	if !ok || r.came {
		return false
	}
	switch e.Status {
	case 0, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound: // 0: no answer at all
		return true
	}
	return e.Method == http.MethodPost
}

// syncList reads and merges a list. The error is for what stops the pass: a database that cannot be used, a lost claim, or
// the end of ctx.
func syncList[I, R any](ctx context.Context, w *work, l list[I, R]) (r reading, err error) {
	listing := partnercenter.Listing{Known: l.digest, FirstBy: l.firstBy, CorrelationID: w.correlation}
	if w.run.Kind == store.Backfill {
		listing.Known = nil
	}
	rows, listed := l.read(ctx, &listing)
	r.listed = listed
	w.account(&listing)
	w.misfits.add(&listing, rows.altered, rows.duplicates)
	switch {
	case ctx.Err() != nil:
		return r, ctx.Err()
	case listed != nil && listing.Pages == 0 && !l.firstBy.IsZero() && !time.Now().Before(l.firstBy):
		w.log.Info("list broken off by the next tick", "customer_id", w.claim.CustomerID, "resource", l.known.Resource,
			"batch_id", l.known.Devices.BatchID)
		return reading{}, nil
	case listing.Unchanged:
		l.known.ObservedAt = w.claim.ObservedAt(listing.SentAt)
		w.result.Confirmed = append(w.result.Confirmed, l.known)
		return reading{came: true, same: true}, nil
	case listing.Pages > 0:
		r.came = true
		r.Outcome, err = l.merge(ctx, listingOf(w.claim, &listing, listed, rows.altered), rows.all)
	}
	if errors.Is(err, store.ErrClaimLost) || err != nil && unusable(err) {
		return r, err
	}
	if r.Inserted+r.Changed+r.Removed > 0 {
		w.log.Info("list changed", "customer_id", w.claim.CustomerID, "resource", l.known.Resource, "batch_id", l.known.Devices.BatchID,
			"inserted", r.Inserted, "changed", r.Changed, "removed", r.Removed)
	}
	if listed == nil && err == nil && r.Held > 0 {
		err = &heldError{rows: r.Held, what: l.what}
	}
	if err == nil {
		err = listed
	}
	if err != nil {
		r.failure = failure(err, listing)
		w.log.Warn("list failed", "customer_id", w.claim.CustomerID, "code", r.failure.Code,
			"request_id", r.failure.RequestID, "correlation_id", r.failure.CorrelationID, "err", err)
	}
	return r, nil
}

// account adds the listing's requests to the result.
func (w *work) account(l *partnercenter.Listing) {
	w.result.Requests += l.Requests
	w.result.Retries += l.Retries
}

// listingOf says what the store has to know of a listing. A list with ids that had to be altered keeps no digest.
func listingOf(c store.Claim, l *partnercenter.Listing, err error, altered int) store.Listing {
	listing := store.Listing{ObservedAt: c.ObservedAt(l.SentAt), Complete: err == nil}
	if altered == 0 {
		listing.Digest = l.Digest
	}
	return listing
}

// heldError fails a customer whose listing the mass removal guard did not believe.
type heldError struct {
	rows int
	what string
}

func (e *heldError) Error() string {
	return fmt.Sprintf("a complete listing lacks %d of the known %s, all or most of them, which is not believed at once: "+
		"they stay as they are, and the next complete listing that lacks them too removes them", e.rows, e.what)
}

// failure puts an error in the form in which sync_freshness shows it.
func failure(err error, l partnercenter.Listing) *store.Failure {
	f := &store.Failure{
		Code: "error", Message: clean(err.Error()),
		RequestID: l.RequestID, CorrelationID: cmp.Or(l.Answered, l.CorrelationID),
	}
	if e, ok := errors.AsType[*partnercenter.Error](err); ok {
		f.Code, f.RequestID, f.CorrelationID = clean(e.ErrorCode()), clean(e.RequestID), clean(e.CorrelationID)
	} else if _, ok := errors.AsType[*heldError](err); ok {
		f.Code = "mass_removal_held"
	} else if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		f.Code = "database_" + e.Code
	}
	return f
}

// unusable reports whether an error of the store means that the database cannot be used at all, rather than that it
// refused one list's rows: data exceptions, violated constraints and exceeded limits are SQLSTATE classes 22, 23 and 54;
// 53400 is a limit that the list's statement ran into, such as temp_file_limit, and 57014 its time-out. Were those taken
// for an outage, one list could hold up all the others for ever.
func unusable(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return !ok || !strings.Contains("22 23 54", e.Code[:2]) && e.Code != "53400" && e.Code != "57014"
}
