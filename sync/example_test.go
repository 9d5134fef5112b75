package sync_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	"partnersync/store"
	"partnersync/store/cron"
	"partnersync/sync"
	"partnersync/sync/partnercenter"
)

// newPartner returns a partner that signs in with a client secret, and is read each quarter of an hour.
func newPartner() (sync.Partner, error) {
	cloud, _ := partnercenter.CloudNamed("global")
	limiter := partnercenter.NewLimiter(500)
	tokens, err := partnercenter.NewTokenSource(partnercenter.Credentials{
		AuthorityURL: cloud.AuthorityURL, Scope: cloud.Scope, TenantID: "contoso.onmicrosoft.com",
		ClientID: os.Getenv("CLIENT_ID"), ClientSecretFile: "/run/secrets/contoso",
	}, partnercenter.TokenOptions{Limiter: limiter})
	if err != nil {
		return sync.Partner{}, err
	}
	client, err := partnercenter.New(partnercenter.Options{BaseURL: cloud.APIURL, Tokens: tokens, Limiter: limiter})
	if err != nil {
		return sync.Partner{}, err
	}
	schedule, err := cron.Parse("*/15 * * * *", time.UTC)
	return sync.Partner{
		Name: "contoso", Client: client, Limiter: limiter, Tokens: tokens, Schedule: schedule,
		Concurrency: 8, Policies: true, Devices: true, DevicesRefresh: 24 * time.Hour,
	}, err
}

// One pass over the customers of a partner.
func ExampleRunner_Once() {
	ctx := context.Background()
	pool, err := store.OpenPool(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	partner, err := newPartner()
	if err != nil {
		log.Fatal(err)
	}
	r := &sync.Runner{Store: store.New(pool, store.Options{}), Partners: []sync.Partner{partner}}
	runs, err := r.Once(ctx, sync.Request{Kind: store.Once})
	if err != nil {
		log.Fatal(err)
	}
	for _, run := range runs {
		fmt.Println(run.Partner, run.State, run.CustomersOK, "of", run.CustomersTotal)
	}
}

// The daemon makes a pass at each tick, until it is interrupted.
func ExampleRunner_Run() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	pool, err := store.OpenPool(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	partner, err := newPartner()
	if err != nil {
		log.Fatal(err)
	}
	r := &sync.Runner{Store: store.New(pool, store.Options{}), Partners: []sync.Partner{partner}, RunOnStart: true}
	r.OnRun = func(run store.Run) { fmt.Println(run.ScheduledFor, run.State) }
	if err := r.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
