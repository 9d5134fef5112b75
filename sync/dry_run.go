package sync

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"partnersync/store"
)

// Plan is what a pass would do to one customer.
type Plan struct {
	Partner     string
	Customer    store.Customer // the zero Customer: the partner's enumeration itself, with differences of customers
	Differences []store.Difference
	Err         error // why the customer fails, or the enumeration
}

// DryRun reads as Once does, compares with the database, and calls report with what a pass would do, customer by
// customer. It writes nothing and claims nothing. The calls do not overlap. The error is as that of Once.
func (r *Runner) DryRun(ctx context.Context, q Request, report func(Plan)) error {
	partners, named, err := r.choose(ctx, q)
	if err != nil {
		return err
	}
	plans := make(chan Plan)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(plans)
		all, ctx := errgroup.WithContext(ctx)
		for _, p := range partners {
			all.Go(func() error { return r.planPartner(ctx, p, q, named[p.Name], plans) })
		}
		return all.Wait()
	})
	for plan := range plans {
		report(plan)
	}
	return g.Wait()
}

// planPartner plans the enumeration of one partner, and then each of its customers.
func (r *Runner) planPartner(
	ctx context.Context, p Partner, q Request, named []store.Customer, plans chan<- Plan,
) error {
	send := func(plan Plan) error {
		select {
		case plans <- plan:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	customers, plan, err := r.planEnumeration(ctx, p, q, named)
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

// planEnumeration lists the partner's customers, unless they are named in the request, and compares them. It returns
// those that a pass would read, and what it would do to them as customers.
func (r *Runner) planEnumeration(
	ctx context.Context, p Partner, q Request, named []store.Customer,
) ([]store.Customer, Plan, error) {
	var e store.Enumeration
	var plan Plan
	for absentBefore := []string(nil); ; {
		var found *foundCustomers
		e, found = p.enumeration(ctx, selection{customers: named, partial: q.restricted()}, nil)
		plan, e.AbsentBefore = Plan{Partner: p.Name, Err: found.err}, absentBefore
		if ctx.Err() != nil {
			return nil, plan, ctx.Err()
		}
		var err error
		if plan.Differences, err = r.Store.CompareCustomers(ctx, p.Name, e); err != nil {
			return nil, plan, errors.Join(err, plan.Err)
		}
		if absentBefore = store.Reread(e.Pages, e.AbsentBefore, plan.Differences); absentBefore == nil {
			break
		}
	}
	held := countHeld(plan.Differences)
	switch {
	case plan.Err != nil:
	case held > 0:
		plan.Err = &heldError{rows: held, what: "customers of partner " + p.Name}
	case e.Complete && len(e.Customers) == 0:
		plan.Err = errors.New(store.NoCustomers)
	}
	if named != nil || q.restricted() && p.Customers != nil {
		return e.Customers, plan, nil
	}
	others, err := r.keptCustomers(ctx, p, e.Customers, plan.Differences)
	return append(e.Customers, others...), plan, err
}

// keptCustomers are the known customers that stay although they were not found: those that a failed enumeration did not
// come to, and those that the mass removal guard holds.
func (r *Runner) keptCustomers(
	ctx context.Context, p Partner, found []store.Customer, differences []store.Difference,
) ([]store.Customer, error) {
	known, err := r.Store.KnownCustomers(ctx, p.Name)
	leaveOut := map[string]bool{}
	for _, id := range p.Exclude {
		leaveOut[id] = true
	}
	for _, c := range found {
		leaveOut[c.ID] = true
	}
	for _, d := range differences {
		leaveOut[d.Key] = leaveOut[d.Key] || d.Kind == store.Removed
	}
	return slices.DeleteFunc(known, func(c store.Customer) bool { return leaveOut[c.ID] }), err
}

// planCustomer lists and compares one customer's batches, policies, and the device lists that a pass would read.
func (r *Runner) planCustomer(ctx context.Context, p Partner, c store.Customer, q Request) (Plan, error) {
	plan := Plan{Partner: p.Name, Customer: c}
	holder, err := r.Store.PartnerOf(ctx, c.ID)
	if err != nil {
		return plan, err
	}
	if holder != "" && holder != p.Name {
		gone := !slices.Contains(r.partnerNames(), holder)
		plan.Err = &store.TwoPartnersError{CustomerID: c.ID, Partner: p.Name, Holder: holder, Gone: gone}
		return plan, nil
	}
	batches, outcome, err := planList(ctx, &plan, p.batchList(c.ID, nil),
		func(l store.Listing, rows []store.DeviceBatch) ([]store.Difference, error) {
			return r.Store.CompareDeviceBatches(ctx, c.ID, l, rows)
		})
	if err != nil {
		return plan, err
	}
	due, err := r.planDueDevices(ctx, p, q, plan, batches, outcome)
	if err != nil {
		return plan, err
	}
	if p.Policies && !outcome.endsCustomer() {
		_, _, err := planList(ctx, &plan, p.policyList(c.ID, nil),
			func(l store.Listing, rows []store.ConfigurationPolicy) ([]store.Difference, error) {
				return r.Store.CompareConfigurationPolicies(ctx, c.ID, l, rows)
			})
		if err != nil {
			return plan, err
		}
	}
	for _, batch := range due {
		_, _, err := planList(ctx, &plan, p.deviceList(c.ID, batch),
			func(l store.Listing, rows []store.Device) ([]store.Difference, error) {
				return r.Store.CompareDevices(ctx, c.ID, batch.BatchID, l, rows)
			})
		if err != nil {
			return plan, err
		}
	}
	return plan, nil
}

// planList reads a list, compares it, and adds the differences to the plan. The error is what stops the dry run.
func planList[I, R any](
	ctx context.Context, plan *Plan, l list[I, R], compare func(store.Listing, []R) ([]store.Difference, error),
) ([]R, *listOutcome, error) {
	var o listOutcome
	var read rows[R]
	for absentBefore := []string(nil); ; {
		o = listOutcome{}
		read, o.readErr = l.read(ctx, &o.listing)
		if ctx.Err() != nil {
			return nil, &o, ctx.Err()
		}
		if !o.mergeable() {
			break
		}
		listing := store.Listing{Complete: o.readErr == nil, Pages: o.listing.Pages, AbsentBefore: absentBefore}
		differences, err := compare(listing, read.all)
		if err != nil {
			return nil, &o, err
		}
		if absentBefore = store.Reread(listing.Pages, listing.AbsentBefore, differences); absentBefore == nil {
			o.Held = countHeld(differences)
			plan.Differences = append(plan.Differences, differences...)
			break
		}
	}
	if plan.Err == nil && (l.known.Resource != store.Devices || !o.excused(l.known.Devices)) {
		plan.Err = o.customerError(l.name, nil)
	}
	return read.all, &o, nil
}

// planDueDevices returns the batches whose devices a pass would read after it has merged these batches as planned.
func (r *Runner) planDueDevices(
	ctx context.Context, p Partner, q Request, plan Plan, batches []store.DeviceBatch, outcome *listOutcome,
) ([]store.DeviceList, error) {
	devices := p.deviceReading(q.Since)
	if devices == nil || outcome.endsCustomer() || outcome.nobodyThere() {
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

func countHeld(differences []store.Difference) (held int) {
	for _, d := range differences {
		if d.Kind == store.Held {
			held++
		}
	}
	return held
}
