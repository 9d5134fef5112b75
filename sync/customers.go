package sync

import (
	"context"
	"iter"

	"github.com/google/uuid"

	"partnersync/store"
)

// claimCustomers claims the customers whose batches and policies the run has still to list, as long as there are any.
func (p *pass) claimCustomers(ctx context.Context) iter.Seq2[store.Claim, error] {
	return func(yield func(store.Claim, error) bool) {
		for after, more := "", true; more; {
			claims, err := p.Store.ClaimCustomers(ctx, p.run, after, claimBatch)
			if err != nil {
				yield(store.Claim{}, err)
				return
			}
			for _, c := range claims {
				after = c.CustomerID
				if !yield(c, nil) {
					return
				}
			}
			more = len(claims) == claimBatch
		}
	}
}

// syncCustomer is the workFunc that reads and merges one customer's batches and policies.
func (p *pass) syncCustomer(ctx context.Context, c store.Claim) (store.Result, error) {
	result := store.Result{Claim: c}
	batches, err := syncList(ctx, p, c, p.partner.batchList(c.CustomerID, c.BatchesDigest),
		func(l store.Listing, rows []store.DeviceBatch) (store.Outcome, error) {
			return p.Store.MergeDeviceBatches(ctx, c, l, rows)
		})
	if err != nil {
		return result, err
	}
	batches.addTo(&result)
	ended := batches.endsCustomer()
	if p.partner.Policies && !ended {
		policies, err := syncList(ctx, p, c, p.partner.policyList(c.CustomerID, c.PoliciesDigest),
			func(l store.Listing, rows []store.ConfigurationPolicy) (store.Outcome, error) {
				return p.Store.MergeConfigurationPolicies(ctx, c, l, rows)
			})
		if err != nil {
			return result, err
		}
		policies.addTo(&result)
		ended = policies.endsCustomer()
	}
	// Where only the list of batches failed, the device lists of the batches that are known are read all the same:
	// whether any are due is known from the merge, or else from the claim.
	result.SkipsDevices = ended || batches.nobodyThere()
	devicesDue := c.DevicesDue
	if batches.merged {
		devicesDue = batches.DevicesDue
	}
	result.AwaitsDevices = devicesDue && !result.SkipsDevices
	return result, nil
}

// correlationID returns the MS-CorrelationId of the requests for a customer in this pass.
func (p *pass) correlationID(customerID string) string {
	return uuid.NewSHA1(p.id, []byte(customerID)).String()
}
