package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"partnersync/store"
	"partnersync/sync/partnercenter"
)

// settle makes sure that the run's customers are known: enumerated by this process, or by another replica. given are the
// customers of a restricted run. The run is as it is then.
func (w *pass) settle(ctx context.Context, given []store.Customer) error {
	for {
		claim, mine, err := w.Store.ClaimEnumeration(ctx, w.run)
		switch {
		case errors.Is(err, store.ErrClaimHeld):
			if err := wait(ctx, pollEvery); err != nil {
				return err
			}
		case err != nil:
			return err
		case !mine:
			run, err := w.Store.ReadRun(ctx, w.run)
			if err == nil {
				w.run = run
			}
			return err
		default:
			err := w.enumerate(ctx, claim, given)
			if !errors.Is(err, store.ErrClaimLost) {
				return err
			}
			w.log.Warn("enumeration was taken over by another worker")
			w.lost(1)
		}
	}
}

// enumerate finds out who the partner's customers are, and writes it.
func (w *pass) enumerate(ctx context.Context, claim store.EnumerationClaim, given []store.Customer) error {
	e := store.Enumeration{ObservedAt: claim.ObservedAt(time.Now()), Partners: w.partnerNames()}
	if given != nil {
		e.Customers = given // of a restricted run, which removes nobody
	} else {
		list := w.partner.enumerate(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		w.misfits.add(&list.Listing, 0, list.duplicates)
		if list.leftOut > 0 {
			w.log.Debug("customers of another relationship left out", "customers", list.leftOut)
		}
		e.Customers = list.customers
		e.Complete = list.err == nil && !w.restricted
		e.Guarded = w.partner.Customers == nil
		e.Requests, e.Retries = list.Requests, list.Retries
		if !list.SentAt.IsZero() {
			e.ObservedAt = claim.ObservedAt(list.SentAt)
		}
		if list.err != nil {
			e.Error = list.err.Error()
		}
		if !w.restricted {
			e.Excluded = w.partner.Exclude
		}
	}
	done, err := w.Store.RecordEnumeration(ctx, claim, e)
	if err != nil {
		return err
	}
	w.run = done.Run
	if done.Added+done.Removed+done.Held+len(done.Contested) > 0 {
		w.log.Info("customers enumerated", "customers", len(e.Customers),
			"added", done.Added, "removed", done.Removed, "held", done.Held, "of_two_partners", len(done.Contested))
	}
	return nil
}

// partnerNames returns the names of all partners of the configuration.
func (r *Runner) partnerNames() []string {
	names := make([]string, len(r.Partners))
	for i, p := range r.Partners {
		names[i] = p.Name
	}
	return names
}

// enumeration is a partner's customers as the configuration or the API has them.
type enumeration struct {
	partnercenter.Listing
	customers  []store.Customer
	duplicates int
	leftOut    int   // customers of another relationship than reseller
	err        error // the customers are those found before it
}

// enumerate returns the customers of the configuration; where it says all, those that the API lists, but for customers whose
// stated relationship is not that with a reseller.
func (p Partner) enumerate(ctx context.Context) *enumeration {
	e := &enumeration{}
	at := map[string]int{}
	add := func(c store.Customer) {
		if slices.Contains(p.Exclude, c.ID) {
			return
		}
		if i, ok := at[c.ID]; ok {
			e.customers[i] = c // of equal ids the last wins
			e.duplicates++
			return
		}
		at[c.ID] = len(e.customers)
		e.customers = append(e.customers, c)
	}
	if p.Customers != nil {
		for _, id := range p.Customers {
			add(store.Customer{ID: id})
		}
		return e
	}
	for c, err := range p.Client.Customers(ctx, &e.Listing) {
		if err != nil {
			e.err = fmt.Errorf("listing the customers of partner %s: %w", p.Name, err)
			break
		}
		// The device APIs concern customers of resellers; the list holds other relationships too. Where it states none, the
		// customer may well be one of those: the API leaves out what is null in most of its objects.
		if c.Relationship != nil && !strings.EqualFold(*c.Relationship, "reseller") {
			e.leftOut++
			continue
		}
		id, err := uuid.Parse(c.ID)
		if err != nil {
			e.Skipped++ // no tenant id: no request could be made for it
			continue
		}
		add(store.Customer{ID: id.String(), CompanyName: c.CompanyName, Domain: c.Domain, Relationship: c.Relationship})
	}
	return e
}
