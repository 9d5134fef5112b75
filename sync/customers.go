package sync

import (
	"context"
	"log/slog"

	"partnersync/store"
)

// syncCustomer makes a claimed customer's turn: it reads and merges the customer's lists, as far as they are due. What
// goes wrong with the customer is in the result. The error is for a lost claim, which ends this turn alone, and for
// what ends the pass: a database that cannot be used, or the end of the context.
//
// What has not come when the pass is cut off after the tick is left to the next one. There the customer comes first,
// and is not cut off again: otherwise a list that takes longer than a tick would never be read.
func (p *pass) syncCustomer(ctx context.Context, c store.Claim) (store.Result, error) {
	t := turn{pass: p, claim: c, Result: store.Result{Claim: c}, reading: ctx}
	if p.tickCame() {
		t.Deferred, t.Reread = true, c.Reread
		return t.Result, nil
	}
	if !c.Reread && !p.cutOff.IsZero() {
		var cancel context.CancelFunc
		t.reading, cancel = context.WithTimeout(ctx, p.cutOff.Sub(p.now()))
		defer cancel()
	}
	defer t.logChanges()
	for _, step := range []func(context.Context) error{t.syncBatches, t.syncPolicies, t.syncDevices} {
		if err := step(ctx); err != nil || t.over {
			return t.Result, err
		}
	}
	return t.Result, nil
}

// logChanges says in one line what the turn has changed: the first turn alone to everybody, so that there is one line a
// customer in a pass.
func (t *turn) logChanges() {
	level := slog.LevelInfo
	if t.claim.Turn != store.FirstTurn {
		level = slog.LevelDebug
	}
	if t.inserted+t.updated+t.removed > 0 {
		t.log.Log(context.Background(), level, "customer changed", "customer_id", t.claim.CustomerID,
			"inserted", t.inserted, "changed", t.updated, "removed", t.removed)
	}
}

// goesOn reports whether another list may be begun in this turn: before the tick, or if the turn is not to be cut off.
func (t *turn) goesOn() bool { return t.claim.Reread || !t.tickCame() }

// turn is a claimed customer's turn.
type turn struct {
	*pass
	claim store.Claim
	store.Result
	reading    context.Context // of the reading of lists; it ends when the turn is cut off
	changed    bool            // its batches
	devicesDue bool
	over       bool // no more is read of the customer in this pass

	inserted, updated, removed int // rows of all lists
}

// syncBatches reads and merges the customer's batches.
func (t *turn) syncBatches(ctx context.Context) error {
	c := t.claim
	if t.devicesDue = c.DevicesDue || c.Turn == store.DevicesTurn; c.Turn != store.FirstTurn {
		return nil
	}
	o, err := syncList(ctx, t, t.partner.batchList(c.CustomerID, c.BatchesDigest),
		func(l store.Listing, rows []store.DeviceBatch) (store.Outcome, error) {
			return t.Store.MergeDeviceBatches(ctx, c, l, rows)
		})
	if err != nil {
		return err
	}
	t.add(&o)
	if o.cutOff {
		t.Deferred, t.over = true, true
		return nil
	}
	t.Listed = o.failure == nil
	t.changed = o.Inserted+o.Changed+o.Removed > 0
	// Where only the list of batches failed, the device lists of the batches that are known are read all the same:
	// whether any are due is known from the merge, or else from the claim. Where none is left, none fails any more.
	if o.merged {
		t.devicesDue = o.DevicesDue
		t.DevicesRead = c.DevicesDue && !o.DevicesDue
	}
	t.over = o.endsCustomer()
	t.devicesDue = t.devicesDue && !o.nobodyThere()
	return nil
}

// syncPolicies reads and merges the customer's policies if they are due. Without a limit of the rate, and by passes
// that follow no schedule, they are always read.
func (t *turn) syncPolicies(ctx context.Context) error {
	c := t.claim
	due := c.PoliciesDue() || t.changed || t.partner.RequestsPerMinute == 0 || t.run.Kind != store.Scheduled
	if !t.run.Policies || c.Turn == store.DevicesTurn || c.Turn == store.FirstTurn && !due {
		return nil
	}
	if !t.goesOn() {
		t.Listed = false
		return nil
	}
	o, err := syncList(ctx, t, t.partner.policyList(c.CustomerID, c.PoliciesDigest),
		func(l store.Listing, rows []store.ConfigurationPolicy) (store.Outcome, error) {
			return t.Store.MergeConfigurationPolicies(ctx, c, l, rows)
		})
	if err != nil {
		return err
	}
	t.add(&o)
	t.Listed = t.Listed && o.failure == nil && !o.cutOff
	if o.failure != nil {
		t.FailedLists = append(t.FailedLists, store.FailedList{Resource: store.ConfigurationPolicies, Error: o.failure.Code})
	}
	t.over = o.cutOff || o.endsCustomer()
	return nil
}
