package partnercenter

import "context"

// Probe asks the API for one page, as short as it gives them: of the customer's device batches or, where customerID is
// "", of the partner's customers. Its error is an *Error.
func (c *Client) Probe(ctx context.Context, customerID string) error {
	path := "/v1/customers?size=1"
	if customerID != "" {
		path = customerPath(customerID) + "/deviceBatches"
	}
	var l Listing
	l.begin()
	first, err := c.firstPage(&l, path)
	if err != nil {
		return err
	}
	a, e := c.get(ctx, &l, *first)
	if e != nil {
		return e
	}
	if _, err := readPage(a.body); err != nil {
		return a.badResponse(err.Error())
	}
	return nil
}
