package store

import "fmt"

// TwoPartnersError is why a customer that a partner lists fails there: it belongs to another one.
type TwoPartnersError struct {
	CustomerID, Partner, Holder string
	// Gone: the configuration has no such partner as Holder, so that none of its passes will let the customer go.
	Gone bool
}

func (e *TwoPartnersError) Error() string {
	said := fmt.Sprintf("customer %s is listed by partner %s but belongs to partner %s", e.CustomerID, e.Partner, e.Holder)
	if e.Gone {
		return fmt.Sprintf("%s, which is not in the configuration, perhaps since it was renamed or dropped there: nothing of it is read for %s; "+
			"give %[3]s its name back, or put it back for one pass with the customer under exclude_customers, which lets it go", said, e.Partner, e.Holder)
	}
	return fmt.Sprintf("%s: nothing of it is read for %s; exclude it (exclude_customers) under one of the two", said, e.Partner)
}
