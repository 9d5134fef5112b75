package sync

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"partnersync/store"
	"partnersync/sync/partnercenter"
)

// Plan is what a pass would do to one customer.
type Plan struct {
	Partner     string
	Customer    store.Customer // the zero Customer: the partner's enumeration itself, with differences of customers
	Differences []store.Difference
	Err         error // why the customer fails, or the enumeration
}

// DryRun reads as Once does, compares with the database, and reports what a pass would do, customer by customer. It
// writes nothing and claims nothing. Reports come one at a time. The error is as that of Once.
func (r *Runner) DryRun(ctx context.Context, q Request, report func(Plan)) error {
	partners, given, err := r.choose(ctx, q)
	if err != nil {
		return err
	}
	plans := make(chan Plan)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(plans)
		all, ctx := errgroup.WithContext(ctx)
		for _, p := range partners {
			all.Go(func() error { return r.planPartner(ctx, p, q, given[p.Name], plans) })
		}
		return all.Wait()
	})
	for plan := range plans {
		report(plan)
	}
	return g.Wait()
}

func (r *Runner) planPartner(ctx context.Context, p Partner, q Request, given []store.Customer, out chan<- Plan) error {
	send := func(plan Plan) error {
		select {
		case out <- plan:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	customers, plan, err := r.planCustomers(ctx, p, q, given)
	if err != nil {
		return err
	}
	if err := send(plan); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, p.Concurrency))
	for _, c := range customers {
		g.Go(func() error {
			plan, err := r.planCustomer(ctx, p, c, q)
			if err != nil {
				return err
			}
			return send(plan)
		})
	}
	return g.Wait()
}

// planCustomer lists and compares one customer's batches, policies, and the device lists that a pass would read.
func (r *Runner) planCustomer(ctx context.Context, p Partner, c store.Customer, q Request) (Plan, error) {
	plan := Plan{Partner: p.Name, Customer: c}
	holder, err := r.Store.PartnerOf(ctx, c.ID)
	if err != nil {
		return plan, err
	}
	if holder != "" && holder != p.Name {
		plan.Err = &store.TwoPartnersError{CustomerID: c.ID, Partner: p.Name, Holder: holder, Gone: !slices.Contains(r.partnerNames(), holder)}
		return plan, nil
	}
	batches, listed, err := planList(ctx, &plan, p.batchList(c.ID), func(l store.Listing, rows []store.DeviceBatch) ([]store.Difference, error) {
		return r.Store.CompareDeviceBatches(ctx, c.ID, l, rows)
	})
	if err != nil {
		return plan, err
	}
	due, err := r.dueInPlan(ctx, p, q, plan, batches, listed)
	if err != nil {
		return plan, err
	}
	if p.Policies && !listed.hung() {
		_, _, err := planList(ctx, &plan, p.policyList(c.ID), func(l store.Listing, rows []store.ConfigurationPolicy) ([]store.Difference, error) {
			return r.Store.CompareConfigurationPolicies(ctx, c.ID, l, rows)
		})
		if err != nil {
			return plan, err
		}
	}
	for _, batch := range due {
		_, _, err := planList(ctx, &plan, p.deviceList(c.ID, batch), func(l store.Listing, rows []store.Device) ([]store.Difference, error) {
			return r.Store.CompareDevices(ctx, c.ID, batch.BatchID, l, rows)
		})
		if err != nil {
			return plan, err
		}
	}
	return plan, nil
}

// planList reads a list, compares it, and adds the differences to the plan. The error is for what stops the dry run.
func planList[I, R any](
	ctx context.Context, plan *Plan, l list[I, R], compare func(store.Listing, []R) ([]store.Difference, error),
) ([]R, reading, error) {
	var listing partnercenter.Listing
	rows, failed := l.read(ctx, &listing)
	read := reading{came: listing.Pages > 0, listed: failed}
	if ctx.Err() != nil {
		return nil, read, ctx.Err()
	}
	if read.came {
		differences, err := compare(store.Listing{Complete: failed == nil}, rows.all)
		if err != nil {
			return nil, read, err
		}
		for _, d := range differences {
			if d.Kind == store.Held {
				read.Held++
			}
		}
		plan.Differences = append(plan.Differences, differences...)
	}
	if failed == nil && read.Held > 0 {
		failed = &heldError{rows: read.Held, what: l.what}
	}
	if plan.Err == nil {
		plan.Err = failed
	}
	return rows.all, read, nil
}

// dueInPlan returns the batches whose devices a pass would read, after it has merged these batches as planned.
func (r *Runner) dueInPlan(
	ctx context.Context, p Partner, q Request, plan Plan, batches []store.DeviceBatch, listed reading,
) ([]store.DeviceList, error) {
	devices := p.deviceReading(q.Since)
	if devices == nil || listed.hung() || listed.refused() {
		return nil, nil
	}
	var removed []string
	for _, d := range plan.Differences {
		if d.Resource == store.DeviceBatches && d.Kind == store.Removed {
			removed = append(removed, d.Key)
		}
	}
	return r.Store.PlanDeviceLists(ctx, plan.Customer.ID, store.Run{Kind: q.Kind, Devices: devices}, batches, removed)
}
