package partnercenter

import (
	"context"
	"iter"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// Customer is one of the partner's customers, by the API documentation's "Customer resources". Fields that the list
// lacks are nil.
type Customer struct {
	ID           string  // the customer's tenant id, a UUID in lower case
	CompanyName  *string // companyProfile.companyName
	Domain       *string // companyProfile.domain
	Relationship *string // relationshipToPartner, such as "reseller"
}

// Customers lists the partner's customers, by the API documentation's "Get a list of customers". l may be nil.
func (c *Client) Customers(ctx context.Context, l *Listing) iter.Seq2[Customer, error] {
	// 500 is the largest page the service gives.
	return list(ctx, c, l, "/v1/customers?size=500", decodeCustomer)
}

func decodeCustomer(r *itemReader) Customer {
	var c Customer
	for name := range r.members() {
		switch string(name) {
		case "id":
			c.ID = r.customerID()
		case "companyProfile":
			c.CompanyName, c.Domain = decodeCompanyProfile(r)
		case "relationshipToPartner":
			c.Relationship = r.text()
		default:
			r.decoder.SkipValue()
		}
	}
	return c
}

// customerID reads the id of a customer, which is usable if it is a UUID, and returns it in lower case.
func (r *itemReader) customerID() string {
	id, err := uuid.Parse(r.id())
	if err != nil {
		r.identified = false
		return ""
	}
	return id.String()
}

func decodeCompanyProfile(r *itemReader) (companyName, domain *string) {
	value, ok := r.known('{')
	if !ok {
		return nil, nil
	}
	var profile struct {
		CompanyName jsontext.Value `json:"companyName"`
		Domain      jsontext.Value `json:"domain"`
	}
	json.Unmarshal(value, &profile, lenient) // any valid object will do
	return r.textOf(profile.CompanyName), r.textOf(profile.Domain)
}
