package partnercenter

// Customer is one of the partner's customers, by the API documentation's "Customer resources". Fields that the list
// lacks are nil. Items of one listing may share what the pointers point to.
type Customer struct {
	ID           string  // the customer's tenant id, as received
	CompanyName  *string // companyProfile.companyName
	Domain       *string // companyProfile.domain
	Relationship *string // relationshipToPartner, such as "reseller"
}

func decodeCustomer(r *items) (Customer, bool) {
	var c Customer
	for name := range r.members() {
		switch string(name) {
		case "id":
			c.ID = r.id()
		case "companyProfile":
			c.CompanyName, c.Domain = decodeCompanyProfile(r)
		case "relationshipToPartner":
			c.Relationship = r.shared("relationshipToPartner")
		default:
			r.skip()
		}
	}
	return c, c.ID != ""
}

func decodeCompanyProfile(r *items) (companyName, domain *string) {
	if r.peek() != '{' {
		r.known("companyProfile", '{')
		return nil, nil
	}
	for name := range r.members() {
		switch string(name) {
		case "companyName":
			companyName = r.string("companyName")
		case "domain":
			domain = r.string("domain")
		default:
			r.skip()
		}
	}
	return companyName, domain
}
