package store_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"partnersync/store"
)

// A pass over the partner contoso and its one customer, whose only batch is finished.
func Example() {
	ctx := context.Background()
	pool, err := store.OpenPool(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	run, err := pass(ctx, store.New(pool, store.Options{}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(run.State, run.Inserted)
}

// pass opens a run, records the partner's customers, and does what it can claim of them until the run ends.
func pass(ctx context.Context, s *store.Store) (run store.Run, err error) {
	if err := s.Heartbeat(ctx); err != nil { // to be repeated within the lease
		return run, err
	}
	opened, err := s.OpenRun(ctx, store.RunRequest{Partner: "contoso", Kind: store.Once, ScheduledFor: time.Now()})
	if err != nil {
		return run, err
	}
	run = opened.Run
	if claim, ok, err := s.ClaimEnumeration(ctx, run); err != nil {
		return run, err
	} else if ok { // no other worker enumerates the customers or has done so
		customers := []store.Customer{{ID: "47021739-3426-40bf-9601-61b4b6d7c793"}}
		_, err := s.RecordEnumeration(ctx, claim, store.Enumeration{
			Customers: customers, ObservedAt: claim.ObservedAt(time.Now()), Complete: true,
		})
		if err != nil {
			return run, err
		}
	}
	candidates, err := s.Candidates(ctx, run)
	if err != nil {
		return run, err
	}
	var ids []string
	for _, c := range candidates {
		ids = append(ids, c.CustomerID)
	}
	claims, err := s.ClaimCustomers(ctx, run, store.FirstTurn, ids)
	if err != nil {
		return run, err
	}
	for _, claim := range claims {
		result := store.Result{Claim: claim, Listed: true}
		finished := "finished"
		listing := store.Listing{ObservedAt: claim.ObservedAt(time.Now()), Complete: true}
		batches := []store.DeviceBatch{{BatchID: "Sales laptops", Status: &finished}}
		if _, err := s.MergeDeviceBatches(ctx, claim, listing, batches); err != nil {
			result.Listed, result.Failure = false, &store.Failure{Code: "error", Message: err.Error()}
		}
		if _, err := s.RecordResults(ctx, run, []store.Result{result}); err != nil {
			return run, err
		}
	}
	run, err = s.FinishRun(ctx, run, store.WhenDone)
	if err != nil {
		return run, err
	}
	return run, s.Leave(ctx)
}
