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

// Errors of a Request that names what is not there.
var (
	ErrUnknownPartner  = errors.New("there is no such partner in the configuration")
	ErrUnknownCustomer = errors.New("no partner has such a customer")
)

// restricted: it is about some customers only, and so marks none removed. Since is about their devices.
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
// configuration. The error is for a request that names what is not there, for a database that cannot be used, and for
// the end of ctx; the failures of customers and of enumerations are in the runs.
func (r *Runner) Once(ctx context.Context, q Request) ([]store.Run, error) {
	ctx, done := r.begin(ctx)
	defer done()
	partners, given, err := r.choose(ctx, q)
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
				began := time.Now()
				r.warnOfExpiry(ctx, p)
				ask := store.RunRequest{
					Partner: p.Name, Kind: q.Kind, ScheduledFor: time.Now(), Filter: q.filter(), Restart: q.Restart,
					Devices: p.deviceReading(q.Since),
				}
				chosen := given[p.Name]
				if q.restricted() {
					ask.Skip = p.Exclude
					if chosen == nil && p.Customers != nil {
						chosen = p.enumerate(ctx).customers
					}
				}
				if chosen != nil {
					ask.Customers = make([]string, len(chosen)) // none at all is not the same as all
				}
				for j, c := range chosen {
					ask.Customers[j] = c.ID
				}
				runs[i], _, err = r.pass(ctx, p, ask, chosen, q.restricted())
				if err == nil {
					(&signIns{Runner: r, partner: p}).note(ctx, began)
				}
				return err
			})
		}
		return g.Wait()
	})
	runs = slices.DeleteFunc(runs, func(run store.Run) bool { return run.ID == 0 })
	return runs, err
}

// open opens or joins a run, after another one of the same kind that is under way has ended.
func (r *Runner) open(ctx context.Context, ask store.RunRequest) (opened store.Opened, err error) {
	for waiting := false; ; waiting = true {
		if opened, err = r.Store.OpenRun(ctx, ask); !errors.Is(err, store.ErrUnderway) {
			return opened, err
		}
		if !waiting {
			r.logger().Info("waiting for another run of this kind to end", "partner", ask.Partner, "kind", ask.Kind)
		}
		if err := wait(ctx, pollEvery); err != nil {
			return opened, err
		}
	}
}

// choose returns the partners that a request is about, and the customers it names under each.
func (r *Runner) choose(ctx context.Context, q Request) (partners []Partner, given map[string][]store.Customer, err error) {
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
	given = map[string][]store.Customer{}
	for _, id := range q.Customers {
		partner, customer, err := r.find(ctx, partners, id)
		if err != nil {
			return nil, nil, err
		}
		given[partner] = append(given[partner], customer)
	}
	partners = slices.DeleteFunc(partners, func(p Partner) bool { return given[p.Name] == nil })
	return partners, given, nil
}

// find returns the partner that has the customer: by the configuration, else by the database, else by the API.
func (r *Runner) find(ctx context.Context, partners []Partner, id string) (string, store.Customer, error) {
	customer := store.Customer{ID: id}
	all := slices.DeleteFunc(slices.Clone(partners), func(p Partner) bool {
		return p.Customers != nil || slices.Contains(p.Exclude, id)
	})
	for _, p := range partners {
		if slices.Contains(p.Customers, id) && !slices.Contains(p.Exclude, id) {
			return p.Name, customer, nil
		}
	}
	holder, err := r.Store.PartnerOf(ctx, id)
	if err != nil {
		return "", customer, err
	}
	for _, p := range all {
		if p.Name == holder {
			return holder, customer, nil
		}
	}
	var failed []error // of partners that cannot be asked now
	for _, p := range all {
		list := p.enumerate(ctx)
		if i := slices.IndexFunc(list.customers, func(c store.Customer) bool { return c.ID == id }); i >= 0 {
			return p.Name, list.customers[i], nil
		}
		if list.err != nil {
			failed = append(failed, list.err)
		}
	}
	if failed != nil {
		return "", customer, fmt.Errorf("looking for customer %s: %w", id, errors.Join(failed...))
	}
	return "", customer, fmt.Errorf("customer %s: %w", id, ErrUnknownCustomer)
}
