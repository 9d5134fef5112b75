package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"partnersync/store"
)

// Request asks for one pass, restricted or not.
type Request struct {
	Kind      string    // store.Once or store.Backfill
	Partners  []string  // names; nil: all
	Customers []string  // ids, lower case; nil: all
	Since     time.Time // of a backfill: when the batches whose devices are read again were created at the earliest
	Restart   bool      // of a backfill: do not resume an unfinished one
}

// Errors of a Request that names what does not exist.
var (
	ErrUnknownPartner  = errors.New("there is no such partner in the configuration")
	ErrUnknownCustomer = errors.New("no partner has such a customer")
)

// restricted reports whether the request is about some customers only, and so marks none removed. Since does not count:
// it is about devices.
func (q Request) restricted() bool { return q.Partners != nil || q.Customers != nil }

// filter describes what the request asks for in a fixed form, by which a backfill is resumed; "" if that is everything.
func (q Request) filter() string {
	var parts []string
	for name, values := range map[string][]string{"partner": q.Partners, "customer": q.Customers} {
		for _, v := range values {
			parts = append(parts, name+"="+v)
		}
	}
	if !q.Since.IsZero() {
		parts = append(parts, "since="+q.Since.UTC().Format(time.RFC3339))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

// Once makes one pass of each partner asked for, all at the same time, and returns their runs in the order of the
// configuration. The error is for a request that names what does not exist, for a database that cannot be used, and for
// the end of ctx; the failures of customers and of enumerations are in the runs.
func (r *Runner) Once(ctx context.Context, q Request) ([]store.Run, error) {
	defer r.begin(ctx)()
	partners, named, err := r.choose(ctx, q)
	if err != nil {
		return nil, err
	}
	if err := r.heartbeat(ctx); err != nil {
		return nil, err
	}
	runs := make([]store.Run, len(partners))
	err = r.asWorker(ctx, func(ctx context.Context) error {
		g, ctx := errgroup.WithContext(ctx)
		for i, p := range partners {
			g.Go(func() (err error) {
				signIn, began := newSignIn(r, p), time.Now()
				signIn.warnOfExpiry(ctx)
				request, selected := p.runRequest(ctx, q, named[p.Name])
				request.ScheduledFor = r.now()
				if runs[i], _, err = r.pass(ctx, p, request, selected); err != nil {
					return err
				}
				signIn.passEnded(ctx, began)
				return nil
			})
		}
		return g.Wait()
	})
	runs = slices.DeleteFunc(runs, func(run store.Run) bool { return run.ID == 0 })
	return runs, err
}

// runRequest returns the run of this partner that a request asks for, and which customers it is about.
func (p Partner) runRequest(ctx context.Context, q Request, named []store.Customer) (store.RunRequest, selection) {
	request := store.RunRequest{
		Partner: p.Name, Kind: q.Kind, Filter: q.filter(), Restart: q.Restart,
		Devices: p.deviceReading(q.Since), Policies: p.Policies,
	}
	selected := selection{customers: named, partial: q.restricted()}
	if selected.partial {
		request.Skip = p.Exclude
		if named == nil && p.Customers != nil {
			selected.customers = append([]store.Customer{}, p.listCustomers(ctx, nil).customers...) // none is not all
		}
	}
	if selected.customers != nil {
		request.Customers = []string{} // not nil: restricted to these, even if there are none
	}
	for _, c := range selected.customers {
		request.Customers = append(request.Customers, c.ID)
	}
	return request, selected
}

// choose returns the partners that a request is about, and the customers that it names, by partner.
func (r *Runner) choose(
	ctx context.Context, q Request,
) (partners []Partner, named map[string][]store.Customer, err error) {
	for _, name := range q.Partners {
		if !slices.ContainsFunc(r.Partners, func(p Partner) bool { return p.Name == name }) {
			return nil, nil, fmt.Errorf("partner %q: %w", name, ErrUnknownPartner)
		}
	}
	for _, p := range r.Partners {
		if q.Partners == nil || slices.Contains(q.Partners, p.Name) {
			partners = append(partners, p)
		}
	}
	if q.Customers == nil {
		return partners, nil, nil
	}
	named = map[string][]store.Customer{}
	for _, id := range q.Customers {
		partner, customer, err := r.find(ctx, partners, id)
		if err != nil {
			return nil, nil, err
		}
		named[partner] = append(named[partner], customer)
	}
	partners = slices.DeleteFunc(partners, func(p Partner) bool { return named[p.Name] == nil })
	return partners, named, nil
}

// find returns the partner that has the customer: by the configuration, else by the database, else by the API.
func (r *Runner) find(ctx context.Context, partners []Partner, id string) (string, store.Customer, error) {
	customer := store.Customer{ID: id}
	for _, p := range partners {
		if slices.Contains(p.Customers, id) && !slices.Contains(p.Exclude, id) {
			return p.Name, customer, nil
		}
	}
	holder, err := r.Store.PartnerOf(ctx, id)
	if err != nil {
		return "", customer, err
	}
	candidates := slices.DeleteFunc(slices.Clone(partners), func(p Partner) bool {
		return p.Customers != nil || slices.Contains(p.Exclude, id)
	})
	if slices.ContainsFunc(candidates, func(p Partner) bool { return p.Name == holder }) {
		return holder, customer, nil
	}
	var failed []error // of partners that cannot be asked now
	for _, p := range candidates {
		var found *foundCustomers
		err := r.atPace(ctx, p, func(ctx context.Context) error {
			found = p.listCustomers(ctx, nil)
			return found.err
		})
		if i := slices.IndexFunc(found.customers, func(c store.Customer) bool { return c.ID == id }); i >= 0 {
			return p.Name, found.customers[i], nil
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	if failed != nil {
		return "", customer, fmt.Errorf("looking for customer %s: %w", id, errors.Join(failed...))
	}
	return "", customer, fmt.Errorf("customer %s: %w", id, ErrUnknownCustomer)
}
