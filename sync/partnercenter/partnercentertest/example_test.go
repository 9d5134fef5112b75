package partnercentertest_test

import (
	"fmt"
	"net/http/httptest"
	"time"

	"partnersync/sync/partnercenter/partnercentertest"
)

// An emulator with a customer and a batch that is queued, processed and finished as its clock moves. A client needs the
// server's URL for both the API and the authority, and the default tenant, application and secret.
func Example() {
	const customer = "47021739-3426-40bf-9601-61b4b6d7c793"
	e := partnercentertest.New(partnercentertest.Options{})
	e.AddCustomer(partnercentertest.Customer{ID: customer, CompanyName: "Contoso Bakery"})
	e.PutBatch(customer, partnercentertest.Batch{
		ID: "Sales laptops", Script: partnercentertest.Lifecycle(time.Minute, time.Hour, false),
	})
	e.PutDevice(customer, "Sales laptops", partnercentertest.Device{ID: "d1", SerialNumber: "2R9-ZNP67"})

	server := httptest.NewServer(e)
	defer server.Close()
	e.Advance(2 * time.Minute)
	remove := e.Fail(partnercentertest.Fault{Path: "/deviceBatches$", Status: 503, RetryAfter: "1"})
	defer remove()
	response, err := server.Client().Get(server.URL + "/v1/customers/" + customer + "/deviceBatches")
	if err != nil {
		fmt.Println(err)
		return
	}
	response.Body.Close()
	fmt.Println(response.Status, "retry after", response.Header.Get("Retry-After"))
	fmt.Println(len(e.Requests()), "request")
	// Output:
	// 503 Service Unavailable retry after 1
	// 1 request
}
