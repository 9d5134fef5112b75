package partnercentertest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Customer is one of the partner's customers, as the list of customers has it.
type Customer struct {
	ID           string // the customer's tenant; case is ignored
	CompanyName  string
	Domain       string
	Relationship string // relationshipToPartner; "" becomes reseller
}

// customer is a customer with everything that belongs to it, and its lists as they were last served.
type customer struct {
	Customer
	seq      uint32 // increases from customer to customer
	batches  ordered[batch]
	policies ordered[Policy]
	jobs     map[string]*job

	batchesRendered, policiesRendered rendering
}

// changed discards the lists as they were served. That of batches and that of policies have numbers of devices.
func (c *customer) changed() { c.batchesRendered, c.policiesRendered = rendering{}, rendering{} }

// customers are all customers, by lower-case id and in the order in which they were added.
type customers struct {
	byID  map[string]*customer
	order []*customer
	last  uint32 // the newest one's seq
}

func (cs *customers) get(id string) *customer { return cs.byID[strings.ToLower(id)] }

// AddCustomer appends a customer to the list. If there is one with that id, it is changed and keeps its place and
// everything that belongs to it.
func (e *Emulator) AddCustomer(c Customer) {
	c.Relationship = cmp.Or(c.Relationship, "reseller")
	e.mu.Lock()
	defer e.mu.Unlock()
	cs := &e.customers
	if old := cs.get(c.ID); old != nil {
		old.Customer = c
		old.changed() // the links of its batches contain the id
		for _, b := range old.batches.order {
			b.devices.pages = nil // and so do those of its devices
		}
		return
	}
	cs.last++
	added := &customer{Customer: c, seq: cs.last, jobs: map[string]*job{}}
	cs.byID[strings.ToLower(c.ID)] = added
	cs.order = append(cs.order, added)
}

// RemoveCustomer removes a customer with everything that belongs to it; requests for it are answered with 403 from
// then on.
func (e *Emulator) RemoveCustomer(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	cs := &e.customers
	removed := cs.get(id)
	delete(cs.byID, strings.ToLower(id))
	cs.order = slices.DeleteFunc(cs.order, func(c *customer) bool { return c == removed })
}

// withCustomer answers with do for a customer, or that there is none.
func (e *Emulator) withCustomer(r *http.Request, ids []string, do func(c *customer, now time.Time) answer) answer {
	now := e.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.customers.get(ids[0])
	if c == nil {
		return apiFault(r, http.StatusForbidden, "20002", fmt.Sprintf(
			"The partner ID %s has no commerce relationship with the customer ID %s", e.opts.TenantID, ids[0]))
	}
	return do(c, now)
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

// pageSize parses the requested page size, which the service limits to its own.
func (e *Emulator) pageSize(requested string) (size int, ok bool) {
	size, err := strconv.Atoi(cmp.Or(requested, "0"))
	if err != nil || size < 0 {
		return 0, false
	}
	return min(cmp.Or(size, e.opts.PageSize), e.opts.PageSize), true
}

// page returns up to size customers after one, and whether there are more.
func (cs *customers) page(after uint32, size int) (page []*customer, more bool) {
	page = cs.order[sort.Search(len(cs.order), func(i int) bool { return cs.order[i].seq > after }):]
	if len(page) > size {
		return page[:size], true
	}
	return page, false
}

// links returns the members that refer to the next page; the token is "" on the last one.
func (e *Emulator) links(size int, token string) string {
	uri := fmt.Sprintf("%s/customers?size=%d", e.linkVersion(), size)
	link, top := nextPage(cmp.Or(e.opts.Paging, NextLink), uri+"&seekOperation=Next", token)
	if link != "" {
		link = "," + link
	}
	return `,"links":{"self":{"uri":"` + uri + `","method":"GET","headers":[]}` + link + `}` + top
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
