// Package passtest has what a test needs to make passes: an emulated API, a client that signs in to it, and a database.
package passtest

import (
	"net/http/httptest"
	"testing"

	"partnersync/store/storetest"
	"partnersync/sync/partnercenter"
	"partnersync/sync/partnercenter/partnercentertest"
)

// World is an emulated API and a migrated database.
type World struct {
	API *partnercentertest.Emulator
	URL string // of the API and its authority
	DB  *storetest.DB
}

// New returns a world that lasts as long as the test.
func New(t testing.TB, o partnercentertest.Options) World {
	t.Helper()
	api := partnercentertest.New(o)
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	return World{API: api, URL: server.URL, DB: storetest.New(t)}
}

// Client returns a client of an emulated API, whose authority has the same URL, and its tokens. They share what the
// options say, and the emulator's default secret.
func Client(t testing.TB, o partnercenter.Options) (*partnercenter.Client, *partnercenter.TokenSource) {
	t.Helper()
	var err error
	o.Tokens, err = partnercenter.NewTokenSource(partnercenter.Credentials{
		AuthorityURL: o.BaseURL, TenantID: partnercentertest.DefaultTenantID, ClientID: partnercentertest.DefaultClientID,
		ClientSecret: partnercentertest.DefaultClientSecret, Scope: "https://api.partnercenter.microsoft.com/.default",
	}, partnercenter.TokenOptions{
		Limiter: o.Limiter, Transport: o.Transport, AttemptTimeout: o.AttemptTimeout, Logger: o.Logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	client, err := partnercenter.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return client, o.Tokens
}
