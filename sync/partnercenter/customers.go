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
			id, err := uuid.Parse(r.id())
			if r.identified = err == nil; r.identified {
				c.ID = id.String()
			}
		case "companyProfile":
			var profile struct {
				CompanyName jsontext.Value `json:"companyName"`
				Domain      jsontext.Value `json:"domain"`
			}
			value, _ := r.known('{')
			json.Unmarshal(value, &profile, lenient) // any valid object will do
			c.CompanyName, c.Domain = r.textOf(profile.CompanyName), r.textOf(profile.Domain)
		case "relationshipToPartner":
			c.Relationship = r.text()
		default:
			r.decoder.SkipValue()
		}
	}
	return c
}
