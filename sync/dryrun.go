package sync

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"partnersync/store"
	"partnersync/sync/partnercenter"
)

// Plan is what a pass would do to one customer.
type Plan struct {
	Partner     string
	Customer    store.Customer // the zero Customer: the partner's enumeration itself
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
			all.Go(func() error { return r.planPartner(ctx, p, given[p.Name], plans) })
		}
		return all.Wait()
	})
	for plan := range plans {
		report(plan)
	}
	return g.Wait()
}

func (r *Runner) planPartner(ctx context.Context, p Partner, given []store.Customer, out chan<- Plan) error {
	send := func(plan Plan) error {
		select {
		case out <- plan:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	customers := given
	if customers == nil {
		list := p.enumerate(ctx)
		customers = list.customers
		if list.err != nil {
			known, err := r.Store.KnownCustomers(ctx, p.Name)
			if err != nil {
				return errors.Join(err, list.err)
			}
			customers = known
			if err := send(Plan{Partner: p.Name, Err: list.err}); err != nil {
				return err
			}
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, p.Concurrency))
	for _, c := range customers {
		g.Go(func() error {
			plan, err := r.planCustomer(ctx, p, c)
			if err != nil {
				return err
			}
			return send(plan)
		})
	}
	return g.Wait()
}

// planCustomer lists and compares one customer's device batches.
func (r *Runner) planCustomer(ctx context.Context, p Partner, c store.Customer) (Plan, error) {
	plan := Plan{Partner: p.Name, Customer: c}
	var listing partnercenter.Listing
	var batches rows[store.DeviceBatch]
	plan.Err = readBatches(ctx, p.Client, c.ID, &listing, &batches)
	if ctx.Err() != nil {
		return plan, ctx.Err()
	}
	if listing.Pages == 0 {
		return plan, nil
	}
	var err error
	plan.Differences, err = r.Store.CompareDeviceBatches(ctx, c.ID, store.Listing{Complete: plan.Err == nil}, batches.all)
	held := 0
	for _, d := range plan.Differences {
		if d.Kind == store.Held {
			held++
		}
	}
	if plan.Err == nil && held > 0 {
		plan.Err = &heldError{rows: held, what: "device batches"}
	}
	return plan, err
}
