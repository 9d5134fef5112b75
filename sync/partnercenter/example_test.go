package partnercenter_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"partnersync/sync/partnercenter"
	"partnersync/sync/partnercenter/partnercentertest"
)

const customer = "47021739-3426-40bf-9601-61b4b6d7c793"

// newEmulator serves a customer with one device batch.
func newEmulator() *httptest.Server {
	api := partnercentertest.New(partnercentertest.Options{
		TenantID: "contoso.onmicrosoft.com", ClientID: "a client", ClientSecret: "secret",
	})
	api.AddCustomer(partnercentertest.Customer{ID: customer})
	api.PutBatch(customer, partnercentertest.Batch{ID: "Test batch", Status: "finished"})
	return httptest.NewServer(api)
}

// A client signs in with a partner's credentials and lists a customer's device batches. The second listing carries the
// digest of the first one: nothing has changed, and so nothing is decoded.
func Example() {
	server := newEmulator() // in place of partnercenter.CloudNamed("global")
	defer server.Close()
	tokens, err := partnercenter.NewTokenSource(partnercenter.Credentials{
		AuthorityURL: server.URL, Scope: server.URL + "/.default",
		TenantID: "contoso.onmicrosoft.com", ClientID: "a client", ClientSecret: "secret",
	}, partnercenter.TokenOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := partnercenter.New(partnercenter.Options{BaseURL: server.URL, Tokens: tokens})
	if err != nil {
		fmt.Println(err)
		return
	}
	var listing partnercenter.Listing
	for range 2 {
		for batch, err := range client.DeviceBatches(context.Background(), customer, &listing) {
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Println(batch.ID, *batch.Status)
		}
		fmt.Println("unchanged:", listing.Unchanged)
		listing.Known = listing.Digest
	}
	// Output:
	// Test batch finished
	// unchanged: false
	// unchanged: true
}
