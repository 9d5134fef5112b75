package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"partnersync/store"
	"partnersync/sync/partnercenter"
)

// enumerate makes sure that the run's customers are known: it lists and records them, or waits until another replica
// has.
func (p *pass) enumerate(ctx context.Context) error {
	for {
		claim, ok, err := p.Store.ClaimEnumeration(ctx, p.run)
		switch {
		case errors.Is(err, store.ErrClaimHeld):
			if err := wait(ctx, pollEvery); err != nil {
				return err
			}
		case err != nil:
			return err
		case !ok:
			p.run = claim.Run
			return nil
		default:
			err := p.recordCustomers(ctx, claim)
			if !errors.Is(err, store.ErrClaimLost) {
				return err
			}
			p.log.Warn("enumeration was taken over by another worker")
			p.claimsLost(1)
		}
	}
}

// recordCustomers lists the run's customers and records them. A list of several pages that lacks known customers is
// read once more.
func (p *pass) recordCustomers(ctx context.Context, claim store.EnumerationClaim) error {
	var before store.Enumeration // of the listing just before, what counts for the next one
	for {
		now := time.Now()
		e, found := p.partner.enumeration(ctx, p.selection, func() { p.Store.NoteProgress(p.run) })
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.issues.add(&found.listing, 0, found.duplicates)
		if found.otherRelationships > 0 {
			p.log.Debug("customers of another relationship left out", "customers", found.otherRelationships)
		}
		e.Partners, e.AbsentBefore = p.partnerNames(), before.AbsentBefore
		e.Requests, e.Retries = e.Requests+before.Requests, e.Retries+before.Retries
		if e.ObservedAt = claim.ObservedAt(now); !found.listing.SentAt.IsZero() {
			e.ObservedAt = claim.ObservedAt(found.listing.SentAt)
		}
		done, err := p.Store.RecordEnumeration(ctx, claim, e)
		if first, ok := errors.AsType[*store.UnconfirmedError](err); ok {
			p.log.Debug("list of several pages lacks known customers, reading it again", "customers", len(first.Absent))
			before = store.Enumeration{AbsentBefore: first.Absent, Requests: e.Requests, Retries: e.Retries}
			continue
		}
		if err != nil {
			return err
		}
		p.run = done.Run
		if done.Added+done.Removed+done.Held+len(done.Contested) > 0 {
			p.log.Info("customers enumerated", "customers", len(e.Customers),
				"added", done.Added, "removed", done.Removed, "held", done.Held, "of_two_partners", len(done.Contested))
		}
		return nil
	}
}

// enumeration returns what there is to record about the partner's customers: those that the run is about, or else those
// of the configuration or the API. onPage, if set, is called when a page was received.
func (p Partner) enumeration(
	ctx context.Context, selected selection, onPage func(),
) (store.Enumeration, *foundCustomers) {
	if selected.customers != nil {
		return store.Enumeration{Customers: selected.customers}, &foundCustomers{}
	}
	found := p.listCustomers(ctx, onPage)
	e := store.Enumeration{
		Customers: found.customers, Complete: found.err == nil && !selected.partial, Guarded: p.Customers == nil,
		Pages:    found.listing.Pages,
		Requests: found.listing.Requests, Retries: found.listing.Retries,
	}
	if found.err != nil {
		e.Error = found.err.Error()
	}
	if !selected.partial {
		e.Excluded = p.Exclude
	}
	return e, found
}

// FindCustomers returns the customers that a pass would read, and how many the API has besides, whose relationship is
// another than reseller. It writes nothing.
func (p Partner) FindCustomers(ctx context.Context) (customers []store.Customer, others int, err error) {
	found := p.listCustomers(ctx, nil)
	return found.customers, found.otherRelationships, found.err
}

// CountBatches reads a customer's device batches, and returns how many there are. It writes nothing.
func (p Partner) CountBatches(ctx context.Context, customerID string) (n int, err error) {
	for _, err := range p.Client.DeviceBatches(ctx, customerID, nil) {
		if err != nil {
			return n, fmt.Errorf("listing the device batches of customer %s: %w", customerID, err)
		}
		n++
	}
	return n, nil
}

// foundCustomers are a partner's customers as the configuration or the API has them.
type foundCustomers struct {
	listing            partnercenter.Listing
	customers          []store.Customer
	duplicates         int
	otherRelationships int   // customers whose relationship is another than reseller
	err                error // the customers are those found before it
}

// listCustomers returns the customers of the configuration or, where it says all, those that the API lists, except for
// excluded ones and those that are stated to have another relationship than that with a reseller.
func (p Partner) listCustomers(ctx context.Context, onPage func()) *foundCustomers {
	found, at := &foundCustomers{listing: partnercenter.Listing{OnPage: onPage}}, map[string]int{}
	add := func(c store.Customer) {
		if slices.Contains(p.Exclude, c.ID) {
			return
		}
		if i, ok := at[c.ID]; ok {
			found.customers[i] = c // of equal ids the last wins
			found.duplicates++
			return
		}
		at[c.ID] = len(found.customers)
		found.customers = append(found.customers, c)
	}
	if p.Customers != nil {
		for _, id := range p.Customers {
			add(store.Customer{ID: id})
		}
		return found
	}
	for c, err := range p.Client.Customers(ctx, &found.listing) {
		if err != nil {
			found.err = fmt.Errorf("listing the customers of partner %s: %w", p.Name, err)
			break
		}
		// The device APIs are about customers of resellers, and the list holds other relationships too. Where it states
		// none, the customer may well be a reseller's: in most of its objects, the API leaves out what is null.
		if c.Relationship != nil && !strings.EqualFold(*c.Relationship, "reseller") {
			found.otherRelationships++
			continue
		}
		add(store.Customer(c))
	}
	return found
}
