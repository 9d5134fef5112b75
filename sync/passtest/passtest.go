// Package passtest has what a test needs to make passes: an emulated API, a client that signs in to it, and a database.
package passtest

import (
	"net/http"
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

// Client returns a client for the emulated API at a URL, and its tokens. A nil transport is the default one.
func Client(
	t testing.TB, url string, limiter *partnercenter.Limiter, transport http.RoundTripper,
) (*partnercenter.Client, *partnercenter.TokenSource) {
	t.Helper()
	tokens, err := partnercenter.NewTokenSource(partnercenter.Credentials{
		AuthorityURL: url, TenantID: partnercentertest.DefaultTenantID, ClientID: partnercentertest.DefaultClientID,
		ClientSecret: partnercentertest.DefaultClientSecret, Scope: "https://api.partnercenter.microsoft.com/.default",
	}, partnercenter.TokenOptions{Limiter: limiter, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	client, err := partnercenter.New(partnercenter.Options{
		BaseURL: url, Tokens: tokens, Limiter: limiter, Transport: transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	return client, tokens
}
