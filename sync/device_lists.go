package sync

import (
	"context"
	"iter"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"partnersync/store"
)

// claimDevices claims customers that have device lists to be read, until there are no more or the deadline has passed.
// It claims only as many at a time as are worked on, since the device lists of one may take long.
func (p *pass) claimDevices(ctx context.Context) iter.Seq2[store.Claim, error] {
	return func(yield func(store.Claim, error) bool) {
		limit := p.partner.concurrency()
		for more := true; more && !p.pastDeadline(); {
			claims, err := p.Store.ClaimDevices(ctx, p.run, limit)
			if err != nil {
				yield(store.Claim{}, err)
				return
			}
			for _, c := range claims {
				if !yield(c, nil) {
					return
				}
			}
			more = len(claims) == limit
		}
	}
}

// syncDevices is the workFunc that reads and merges the device lists of a customer that are due. Those that are left at
// the deadline are left to the next pass.
func (p *pass) syncDevices(ctx context.Context, c store.Claim) (store.Result, error) {
	result := store.Result{Claim: c, OfDevices: true}
	due, err := p.Store.DueDeviceLists(ctx, c)
	if err != nil {
		return result, err
	}
	outcomes := make([]listOutcome, len(due))
	var stop atomic.Bool
	syncOne := func(ctx context.Context, i int) (err error) {
		p.listSlots <- struct{}{} // for all customers together, there are as many as the partner's concurrency says
		defer func() { <-p.listSlots }()
		if stop.Load() || p.pastDeadline() || ctx.Err() != nil {
			return nil
		}
		outcomes[i], err = p.syncDeviceList(ctx, c, due[i])
		// After a timeout, a scheduled run leaves the rest to the next pass; a run of another kind reads them all.
		if outcomes[i].otherCustomer() || p.run.Kind == store.Scheduled && outcomes[i].timedOut() {
			stop.Store(true)
		}
		return err
	}
	if len(due) > 0 { // the first one alone, so that a customer that does not answer takes up one slot only
		if err := syncOne(ctx, 0); err != nil {
			return result, err
		}
	}
	g, groupCtx := errgroup.WithContext(ctx)
	g.SetLimit(p.partner.concurrency())
	for i := 1; i < len(due); i++ {
		g.Go(func() error { return syncOne(groupCtx, i) })
	}
	if err := g.Wait(); err != nil {
		return result, err
	}
	for i := range outcomes {
		outcomes[i].addTo(&result)
		if outcomes[i].failure != nil {
			result.FailedBatches = append(result.FailedBatches, due[i].BatchID)
		}
	}
	return result, ctx.Err()
}

// minFirstPageWait is how long the first page of a device list is waited for at least, past the deadline if need be. A
// list whose first page has come is read to its end: otherwise one that takes longer than a tick would never be read.
const minFirstPageWait = 10 * time.Second

// syncDeviceList reads and merges the devices of one batch.
func (p *pass) syncDeviceList(ctx context.Context, c store.Claim, due store.DeviceList) (listOutcome, error) {
	l := p.partner.deviceList(c.CustomerID, due)
	if !p.deviceDeadline.IsZero() {
		l.firstPageBy = time.Now().Add(p.deviceDeadline.Sub(p.now())) // by this process's clock
		if least := time.Now().Add(minFirstPageWait); least.After(l.firstPageBy) {
			l.firstPageBy = least
		}
	}
	return syncList(ctx, p, c, l, func(listing store.Listing, rows []store.Device) (store.Outcome, error) {
		return p.Store.MergeDevices(ctx, c, due, listing, rows)
	})
}
