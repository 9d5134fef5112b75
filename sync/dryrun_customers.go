package sync

import (
	"context"
	"errors"
	"slices"

	"partnersync/store"
)

// planCustomers enumerates the partner's customers, unless they are given, and compares. It returns those that a pass
// would read, and what it would do to them as customers.
func (r *Runner) planCustomers(ctx context.Context, p Partner, q Request, given []store.Customer) ([]store.Customer, Plan, error) {
	plan := Plan{Partner: p.Name}
	restricted := q.restricted()
	e := store.Enumeration{Customers: given, Guarded: p.Customers == nil}
	if given == nil {
		list := p.enumerate(ctx)
		if ctx.Err() != nil {
			return nil, plan, ctx.Err()
		}
		plan.Err = list.err
		e.Customers, e.Complete = list.customers, list.err == nil && !restricted
	}
	if !restricted {
		e.Excluded = p.Exclude
	}
	differences, err := r.Store.CompareCustomers(ctx, p.Name, e)
	if err != nil {
		return nil, plan, errors.Join(err, plan.Err)
	}
	plan.Differences = differences
	held := 0
	for _, d := range differences {
		if d.Kind == store.Held {
			held++
		}
	}
	switch {
	case plan.Err != nil:
	case held > 0:
		plan.Err = &heldError{rows: held, what: "customers of partner " + p.Name}
	case e.Complete && len(e.Customers) == 0:
		plan.Err = errors.New(store.NoCustomers)
	}
	if given != nil || restricted && p.Customers != nil {
		return e.Customers, plan, nil
	}
	others, err := r.others(ctx, p, e.Customers, differences)
	return append(e.Customers, others...), plan, err
}

// others are the known customers that were not listed and stay all the same: what an enumeration that failed did not come
// to, and what the mass removal guard holds.
func (r *Runner) others(ctx context.Context, p Partner, listed []store.Customer, differences []store.Difference) ([]store.Customer, error) {
	known, err := r.Store.KnownCustomers(ctx, p.Name)
	not := map[string]bool{}
	for _, id := range p.Exclude {
		not[id] = true
	}
	for _, c := range listed {
		not[c.ID] = true
	}
	for _, d := range differences {
		not[d.Key] = not[d.Key] || d.Kind == store.Removed
	}
	return slices.DeleteFunc(known, func(k store.Customer) bool { return not[k.ID] }), err
}
