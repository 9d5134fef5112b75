package sync

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"partnersync/store"
	"partnersync/sync/partnercenter"
)

// customer reads and merges one customer's batches and policies. What goes wrong with the customer is in the result; the
// error is for what stops the pass.
func (w *pass) customer(ctx context.Context, c store.Claim) (store.Result, error) {
	on := w.on(c)
	batches := w.partner.batchList(c.CustomerID)
	batches.digest = c.BatchesDigest
	batches.merge = func(ctx context.Context, l store.Listing, rows []store.DeviceBatch) (store.Outcome, error) {
		return w.Store.MergeDeviceBatches(ctx, c, l, rows)
	}
	read, err := syncList(ctx, on, batches)
	if err != nil {
		return on.result, err
	}
	on.result.Failure = read.failure
	hung := read.hung()
	if w.partner.Policies && !hung {
		policies := w.partner.policyList(c.CustomerID)
		policies.digest = c.PoliciesDigest
		policies.merge = func(ctx context.Context, l store.Listing, rows []store.ConfigurationPolicy) (store.Outcome, error) {
			return w.Store.MergeConfigurationPolicies(ctx, c, l, rows)
		}
		others, err := syncList(ctx, on, policies)
		if err != nil {
			return on.result, err
		}
		if on.result.Failure == nil {
			on.result.Failure = others.failure
		}
		hung = others.hung()
	}
	// Else the device lists of the batches that are known are read, though the list of batches did not come.
	on.result.SkipsDevices = hung || read.refused()
	asBefore := read.same || !read.came
	on.result.AwaitsDevices = !on.result.SkipsDevices && (read.DevicesDue || asBefore && c.DevicesDue)
	return on.result, nil
}

// devices reads and merges the device lists of a customer that are due. Those left when the next pass is due stay for it.
func (w *pass) devices(ctx context.Context, c store.Claim) (store.Result, error) {
	result := store.Result{Claim: c, OfDevices: true}
	due, err := w.Store.DueDeviceLists(ctx, c)
	if err != nil {
		return result, err
	}
	done := make([]*work, len(due))
	failures := make([]*store.Failure, len(due))
	g, reading := errgroup.WithContext(ctx)
	var hung atomic.Bool
	first := make(chan struct{})
	for i, batch := range due {
		if i == 1 {
			<-first // whoever hangs is to take no more than one slot
		}
		w.slots <- struct{}{} // of all customers together, as many as the partner's concurrency says
		if hung.Load() || w.late() || reading.Err() != nil {
			<-w.slots
			break
		}
		done[i] = w.on(c)
		g.Go(func() error {
			defer func() { <-w.slots }()
			read, err := syncList(reading, done[i], w.batchDevices(c, batch))
			failures[i] = read.failure
			if read.hung() && w.run.Kind == store.Scheduled {
				hung.Store(true) // the next pass goes on; any other reads all
			}
			if i == 0 {
				close(first)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return result, err
	}
	for i, on := range done {
		if on != nil {
			addUp(&result, on.result, due[i], failures[i])
		}
	}
	return result, ctx.Err()
}

// leastPatience is how long the first page of a device list is waited for at least, past the next tick if need be. A list
// that has begun to come is read to its end: otherwise one that takes longer than a tick would never be.
const leastPatience = 10 * time.Second

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// batchDevices is the device list of a batch of the claimed customer.
func (w *pass) batchDevices(c store.Claim, batch store.DeviceList) list[partnercenter.Device, store.Device] {
	l := w.partner.deviceList(c.CustomerID, batch)
	l.digest = batch.Digest
	if !w.until.IsZero() {
		l.firstBy = later(w.until, time.Now().Add(leastPatience))
	}
	l.merge = func(ctx context.Context, listing store.Listing, rows []store.Device) (store.Outcome, error) {
		return w.Store.MergeDevices(ctx, c, batch, listing, rows)
	}
	return l
}

// addUp adds how one device list went to the customer's result.
func addUp(result *store.Result, one store.Result, batch store.DeviceList, failure *store.Failure) {
	result.Confirmed = append(result.Confirmed, one.Confirmed...)
	result.Requests += one.Requests
	result.Retries += one.Retries
	if failure == nil {
		return
	}
	result.FailedBatches = append(result.FailedBatches, batch.BatchID)
	if result.Failure == nil {
		result.Failure = failure
	}
}
