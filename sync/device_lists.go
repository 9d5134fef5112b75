package sync

import (
	"context"
	"errors"
	"net/http"
	stdsync "sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"partnersync/store"
	"partnersync/sync/partnercenter"
)

// syncDevices reads and merges the device lists of the customer that are due, as many as are read in a turn: none in
// the turn of a customer that was never read before, so that the statuses of all customers come first.
func (t *turn) syncDevices(ctx context.Context) error {
	if t.run.Devices == nil || !t.devicesDue || t.claim.Turn == store.PoliciesTurn {
		return nil
	}
	if t.claim.Turn == store.FirstTurn && t.claim.LastSuccessAt == nil || !t.goesOn() {
		t.DevicesLeft = true
		return nil
	}
	due, more, err := t.Store.DueDeviceLists(ctx, t.claim)
	if nodeDown(err) {
		t.add(&listOutcome{failure: asFailure(err, &partnercenter.Listing{})})
		return nil
	}
	if err != nil {
		return err
	}
	t.DevicesRead, t.DevicesLeft = true, more > 0
	t.deviceLists.due(t.claim.CustomerID, len(due)+more)
	outcomes := make([]listOutcome, len(due))
	var stop, left atomic.Bool
	syncOne := func(ctx context.Context, i int) (err error) {
		t.listSlots <- struct{}{} // for all customers together, there are as many as the partner's concurrency says
		defer func() { <-t.listSlots }()
		if !t.goesOn() {
			left.Store(true)
		}
		if stop.Load() || left.Load() {
			return ctx.Err()
		}
		outcomes[i], err = syncList(ctx, t, t.partner.deviceList(t.claim.CustomerID, due[i]),
			func(l store.Listing, rows []store.Device) (store.Outcome, error) {
				return t.Store.MergeDevices(ctx, t.claim, due[i], l, rows)
			})
		t.deviceLists.wasRead(t.claim.CustomerID)
		// After a timeout, a scheduled run leaves the rest to the next pass; a run of another kind reads them all.
		if o := &outcomes[i]; o.otherCustomer() || o.nodeDown || t.run.Kind == store.Scheduled && o.timedOut() {
			stop.Store(true)
		}
		return err
	}
	if len(due) > 0 { // the first one alone, so that a customer that does not answer takes up one slot only
		if err := syncOne(ctx, 0); err != nil {
			return err
		}
	}
	g, groupCtx := errgroup.WithContext(ctx)
	g.SetLimit(t.partner.Concurrency)
	for i := 1; i < len(due); i++ {
		g.Go(func() error { return syncOne(groupCtx, i) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	t.DevicesLeft = t.DevicesLeft && !stop.Load() || left.Load()
	for i := range outcomes {
		t.addDevices(&outcomes[i], due[i])
		t.DevicesLeft = t.DevicesLeft || outcomes[i].cutOff
	}
	return ctx.Err()
}

// addDevices adds the outcome of a device list.
func (t *turn) addDevices(o *listOutcome, l store.DeviceList) {
	if f := o.failure; f != nil {
		failed := store.FailedList{
			Resource: store.Devices, BatchID: l.BatchID, Refused: o.refused(), Error: f.Code + ": " + f.Message,
		}
		if o.vanished(l) {
			t.Reread, failed.Error = true, ""
		}
		if o.excused(l) {
			o.failure = nil
		}
		t.FailedLists = append(t.FailedLists, failed)
	}
	t.add(o)
}

// excused reports whether it is no failure of the customer that the list could not be read: its batch has vanished, or
// the API has refused it before, and so does lastingly.
func (o *listOutcome) excused(l store.DeviceList) bool {
	if !o.refused() {
		return false
	}
	vanished := o.vanished(l)
	l.Refusals++
	return vanished || l.RefusedLastingly()
}

// refused reports whether the API has refused this very list, or no request can be made for it.
func (o *listOutcome) refused() bool {
	e, ok := errors.AsType[*partnercenter.Error](o.readErr)
	if !ok || o.listing.Pages > 0 {
		return false
	}
	switch e.Status {
	case http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	}
	return e.Method == http.MethodGet && (e.Status >= 400 && e.Status < 500 || e.ErrorCode() == "unaddressable_id")
}

// vanished reports whether the API does not know the batch any more, for the first time: the batch list is to be read
// again then.
func (o *listOutcome) vanished(l store.DeviceList) bool {
	e, ok := errors.AsType[*partnercenter.Error](o.readErr)
	return ok && e.Status == http.StatusNotFound && l.BatchID != "" && l.Refusals == 0
}

// deviceListsProgress is how far the device lists of a pass's customers are read. It is safe for concurrent use.
type deviceListsProgress struct {
	mu        stdsync.Mutex
	read      int
	customers map[string]*customerLists // those that have begun and are not done
}

// customerLists is how many of a customer's device lists are read and left.
type customerLists struct{ read, left int }

// due notes that so many of a customer's lists are left.
func (d *deviceListsProgress) due(customerID string, left int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.customers == nil {
		d.customers = map[string]*customerLists{}
	}
	if d.customers[customerID] == nil {
		d.customers[customerID] = &customerLists{}
	}
	d.customers[customerID].left = left
}

// wasRead notes that one of a customer's lists was read.
func (d *deviceListsProgress) wasRead(customerID string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.read++
	if c := d.customers[customerID]; c != nil {
		c.read++
		c.left = max(0, c.left-1)
	}
}

// done notes that no more is read of a customer.
func (d *deviceListsProgress) done(customerID string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.customers, customerID)
}

// sum returns how many lists were read, and the sum of the parts that are read of the customers that are not done.
func (d *deviceListsProgress) sum() (read int, within float64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.customers {
		within += float64(c.read) / float64(max(1, c.read+c.left))
	}
	return d.read, within
}
