package partnercentertest

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Customer is one of the partner's customers, as the list of customers shows it.
type Customer struct {
	ID           string // the customer's tenant; told apart without case
	CompanyName  string
	Domain       string
	Relationship string // relationshipToPartner; "" becomes reseller
}

// Paging is how a page of customers names the next one. The API documentation shows the link, its SDK has the token.
type Paging int

// The ways to name the next page.
const (
	NextLink         Paging = iota // links.next, its headers with the token
	BodyToken                      // continuationToken beside the items, no links.next
	NextLinkAndToken               // both
)

// customer is a customer with what belongs to it.
type customer struct {
	Customer
	seq uint32 // rises from customer to customer
	batches
}

// customers are all customers, by lower-case id and in the order of their coming.
type customers struct {
	byID  map[string]*customer
	order []*customer
	last  uint32 // the newest one's seq
}

func (cs *customers) get(id string) *customer { return cs.byID[strings.ToLower(id)] }

// AddCustomer adds a customer at the end of the list. Where there is one of that id, it changes and keeps its place and
// its batches.
func (e *Emulator) AddCustomer(c Customer) {
	c.Relationship = cmp.Or(c.Relationship, "reseller")
	e.mu.Lock()
	defer e.mu.Unlock()
	cs := &e.customers
	if old := cs.get(c.ID); old != nil {
		old.Customer = c
		old.rendered = rendering{} // its links have the id
		return
	}
	cs.last++
	added := &customer{Customer: c, seq: cs.last, batches: batches{byID: map[string]*Batch{}}}
	cs.byID[strings.ToLower(c.ID)] = added
	cs.order = append(cs.order, added)
}

// RemoveCustomer takes a customer and its batches away; asking for them gives 403 from then on.
func (e *Emulator) RemoveCustomer(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	cs := &e.customers
	removed := cs.get(id)
	delete(cs.byID, strings.ToLower(id))
	cs.order = slices.DeleteFunc(cs.order, func(c *customer) bool { return c == removed })
}

// listCustomers answers GET /v1/customers, by pages.
func (e *Emulator) listCustomers(r *http.Request, _ []string) answer {
	query := foldedQuery(r)
	size, ok := e.pageSize(query.Get("size"))
	if !ok {
		return badRequest(r, "size")
	}
	after, ok := seek(query.Get("seekoperation"), r.Header.Get("MS-ContinuationToken"))
	if !ok {
		return badRequest(r, "seekOperation or MS-ContinuationToken")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	page, more := e.customers.page(after, size)
	var items []byte
	for i, c := range page {
		if i > 0 {
			items = append(items, ',')
		}
		items = c.appendJSON(items)
	}
	var token string
	if more {
		token = continuationToken(page[len(page)-1].seq)
	}
	return apiAnswer(r, http.StatusOK, collection(len(page), items, e.links(size, token)))
}

// foldedQuery returns the query's parameters by their names in lower case: the API documentation has seekOperation and
// seekoperation.
func foldedQuery(r *http.Request) url.Values {
	folded := url.Values{}
	for name, values := range r.URL.Query() {
		folded[strings.ToLower(name)] = values
	}
	return folded
}

// pageSize reads the size asked for, which the service cuts down to its own.
func (e *Emulator) pageSize(asked string) (size int, ok bool) {
	size, err := strconv.Atoi(cmp.Or(asked, "0"))
	if err != nil || size < 0 {
		return 0, false
	}
	return min(cmp.Or(size, e.opts.PageSize), e.opts.PageSize), true
}

// seek says after which customer the page begins. A token counts with seekOperation=Next alone: without, the list
// begins anew.
func seek(operation, token string) (after uint32, ok bool) {
	switch strings.ToLower(operation) {
	case "", "first":
		return 0, true
	case "next":
		seq, err := base64.StdEncoding.DecodeString(token)
		if err != nil || len(seq) != 4 {
			return 0, false
		}
		return binary.LittleEndian.Uint32(seq), true
	default:
		return 0, false
	}
}

// continuationToken makes the token that [seek] reads. It names a customer, not a position, so that others may come
// and go between two pages.
func continuationToken(seq uint32) string {
	return base64.StdEncoding.EncodeToString(binary.LittleEndian.AppendUint32(nil, seq))
}

// page returns up to size customers after one, and whether there are more.
func (cs *customers) page(after uint32, size int) (page []*customer, more bool) {
	start, found := slices.BinarySearchFunc(cs.order, after, func(c *customer, seq uint32) int { return cmp.Compare(c.seq, seq) })
	if found {
		start++
	}
	page = cs.order[start:]
	if len(page) > size {
		return page[:size], true
	}
	return page, false
}

// links returns the members that lead on from a page; the token is "" on the last one.
func (e *Emulator) links(size int, token string) string {
	version := "/v1"
	if e.opts.UnversionedLinks {
		version = ""
	}
	self := fmt.Sprintf(`"self":{"uri":"%s/customers?size=%d","method":"GET","headers":[]}`, version, size)
	if token == "" {
		return `,"links":{` + self + `}`
	}
	next := fmt.Sprintf(`,"next":{"uri":"%s/customers?size=%d&seekOperation=Next","method":"GET","headers":[{"key":"MS-ContinuationToken","value":"%s"}]}`, version, size, token)
	top := `,"continuationToken":"` + token + `"`
	switch e.opts.Paging {
	case BodyToken:
		next = ""
	case NextLink:
		top = ""
	}
	return `,"links":{` + self + next + `}` + top
}

// appendJSON appends the customer as an item of the list.
func (c *Customer) appendJSON(dst []byte) []byte {
	dst = appendString(append(dst, `{"id":`...), c.ID)
	dst = appendString(append(dst, `,"companyProfile":{"tenantId":`...), c.ID)
	dst = appendString(append(dst, `,"domain":`...), c.Domain)
	dst = appendString(append(dst, `,"companyName":`...), c.CompanyName)
	dst = append(dst, `,"attributes":{"objectType":"CustomerCompanyProfile"}},"relationshipToPartner":`...)
	dst = appendString(dst, c.Relationship)
	return append(dst, `,"attributes":{"objectType":"Customer"}}`...)
}
