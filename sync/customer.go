package sync

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"partnersync/store"
	"partnersync/sync/partnercenter"
)

// customer reads and merges one customer's lists. What goes wrong with the customer is in the result; the error is for
// what stops the pass: a database that cannot be used, or the end of ctx.
func (w *pass) customer(ctx context.Context, c store.Claim) (store.Result, error) {
	result := store.Result{Claim: c}
	listing := partnercenter.Listing{Known: c.BatchesDigest}
	if w.run.Kind == store.Backfill {
		listing.Known = nil
	}
	err := w.batches(ctx, c, &listing, &result)
	result.Requests, result.Retries = listing.Requests, listing.Retries
	switch {
	case err == nil:
		return result, nil
	case ctx.Err() != nil:
		return result, ctx.Err()
	case errors.Is(err, store.ErrClaimLost) || unusable(err):
		return result, err
	}
	result.Failure = failure(err, listing)
	w.log.Warn("customer failed", "customer_id", c.CustomerID, "code", result.Failure.Code,
		"request_id", result.Failure.RequestID, "correlation_id", result.Failure.CorrelationID, "err", err)
	return result, nil
}

// batches reads and merges the customer's batch list.
func (w *pass) batches(ctx context.Context, c store.Claim, l *partnercenter.Listing, result *store.Result) error {
	var batches rows[store.DeviceBatch]
	listed := w.list(ctx, c.CustomerID, l, &batches)
	if l.Unchanged {
		result.Confirmed = append(result.Confirmed, store.Confirmation{
			Resource: store.DeviceBatches, ObservedAt: c.ObservedAt(l.SentAt),
		})
		return nil
	}
	if l.Pages == 0 || ctx.Err() != nil {
		return listed // nothing came
	}
	done, err := w.Store.MergeDeviceBatches(ctx, c, listingOf(c, l, listed, batches.altered), batches.all)
	if err != nil {
		return err
	}
	if done.Inserted+done.Changed+done.Removed > 0 {
		w.log.Info("customer changed", "customer_id", c.CustomerID,
			"inserted", done.Inserted, "changed", done.Changed, "removed", done.Removed)
	}
	if listed == nil && done.Held > 0 {
		return &heldError{rows: done.Held, what: "device batches"}
	}
	return listed
}

// list reads the customer's batch list into rows. Those before an error are kept.
func (w *pass) list(ctx context.Context, customerID string, l *partnercenter.Listing, into *rows[store.DeviceBatch]) error {
	defer func() {
		w.misfits.values.Add(int64(l.Misfits))
		w.misfits.replaced.Add(int64(l.Replaced))
		w.misfits.skipped.Add(int64(l.Skipped))
		w.misfits.ids.Add(int64(into.altered))
		w.misfits.duplicates.Add(int64(into.duplicates))
	}()
	return readBatches(ctx, w.partner.Client, customerID, l, into)
}

func readBatches(
	ctx context.Context, client *partnercenter.Client, customerID string, l *partnercenter.Listing, into *rows[store.DeviceBatch],
) error {
	for b, err := range client.DeviceBatches(ctx, customerID, l) {
		if err != nil {
			return fmt.Errorf("listing device batches of customer %s: %w", customerID, err)
		}
		addBatch(into, b)
	}
	return nil
}

// listingOf says what the store has to know of a listing. A list with ids that had to be altered keeps no digest: the
// requests for their devices need the ids as received.
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
	return fmt.Sprintf("a complete listing lacks %d of the known %s, too many to be believed at once: "+
		"they stay as they are, and the next complete listing that lacks them too removes them", e.rows, e.what)
}

// failure puts an error in the form in which sync_freshness shows it.
func failure(err error, l partnercenter.Listing) *store.Failure {
	f := &store.Failure{Code: "error", Message: clean(err.Error()), RequestID: l.RequestID, CorrelationID: l.CorrelationID}
	if e, ok := errors.AsType[*partnercenter.Error](err); ok {
		f.Code, f.RequestID, f.CorrelationID = clean(e.ErrorCode()), clean(e.RequestID), clean(e.CorrelationID)
	} else if _, ok := errors.AsType[*heldError](err); ok {
		f.Code = "mass_removal_held"
	} else if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		f.Code = "database_" + e.Code
	}
	return f
}

// unusable reports whether err means that the database cannot be used at all, rather than that it refused one
// customer's rows: data exceptions, violated constraints and exceeded limits are SQLSTATE classes 22, 23 and 54.
func unusable(err error) bool {
	_, ofAPI := errors.AsType[*partnercenter.Error](err)
	_, held := errors.AsType[*heldError](err)
	if ofAPI || held {
		return false
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	return !ok || !strings.Contains("22 23 54", e.Code[:2])
}
