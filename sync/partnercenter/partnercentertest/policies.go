package partnercentertest

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Policy is a configuration policy of a customer.
type Policy struct {
	ID           string
	Name         string
	Category     string    // "" becomes o_o_b_e
	Description  string    // "" is left out of the answer
	Settings     []string  // policySettings, such as skip_eula
	Created      time.Time // zero: that of the policy it replaces, else the emulator's now; its zone is served
	LastModified time.Time // zero: the emulator's now, or Created for a new one; its zone is served

	// DevicesAssigned is how many devices the policy says it has; 0: the number of those that have its id or its name.
	DevicesAssigned int

	Extra string // as in [Batch]
	Raw   string // as in [Batch]; served in lists and alone
}

// PutPolicy adds a configuration policy at the end of the customer's list, or replaces the one of that id in its place.
// It panics where there is no such customer.
func (e *Emulator) PutPolicy(customerID string, p Policy) {
	now := e.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.customers.get(customerID)
	if c == nil {
		panic("partnercentertest: putting a policy of an unknown customer " + customerID)
	}
	c.changed()
	e.changes(c.list(PolicyList, ""), p.ID)
	p.Category = cmp.Or(p.Category, "o_o_b_e")
	p.Settings = slices.Clone(p.Settings)
	if old := c.policies.byID[p.ID]; old != nil {
		p.Created, p.LastModified = cmp.Or(p.Created, old.Created), cmp.Or(p.LastModified, now)
		*old = p
		return
	}
	p.Created = cmp.Or(p.Created, now)
	p.LastModified = cmp.Or(p.LastModified, p.Created)
	c.policies.add(p.ID, &p)
}

// RemovePolicy takes a configuration policy away, if it is there. Devices that have it keep its name.
func (e *Emulator) RemovePolicy(customerID, policyID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c := e.customers.get(customerID); c != nil {
		e.changes(c.list(PolicyList, ""), policyID)
		c.policies.remove(policyID)
		c.changed()
	}
}

// listPolicies answers GET /v1/customers/{customer}/policies: all of them at once, as documented.
func (e *Emulator) listPolicies(r *http.Request, ids []string) answer {
	return e.withCustomer(r, ids, func(c *customer, now time.Time) answer {
		a := apiAnswer(r, http.StatusOK, c.policyList(now))
		return e.serves(a, c.list(PolicyList, ""), true)
	})
}

// readDrift is by how much createdDate is later in a policy by itself than in the list, in the documentation's examples
// of one and the same.
const readDrift = 2800 * time.Nanosecond

// getPolicy answers GET /v1/customers/{customer}/policies/{policy}. The documented answer has no Content-Type.
func (e *Emulator) getPolicy(r *http.Request, ids []string) answer {
	return e.withPolicy(r, ids, func(c *customer, p *Policy, now time.Time) answer {
		assigned, _ := c.assigned(now)
		body := p.appendJSON([]byte(bom), assigned, zoned(p.Created.Add(readDrift)), zoned(p.LastModified))
		return untyped(apiAnswer(r, http.StatusOK, body))
	})
}

// withPolicy answers for a policy, or that there is none.
func (e *Emulator) withPolicy(r *http.Request, ids []string, do func(c *customer, p *Policy, now time.Time) answer) answer {
	return e.withCustomer(r, ids, func(c *customer, now time.Time) answer {
		p := c.policies.byID[ids[1]]
		if p == nil {
			return notFound(r)
		}
		return do(c, p, now)
	})
}

// policyList returns the body of the customer's list of policies.
func (c *customer) policyList(now time.Time) []byte {
	if c.policiesRendered.holds(now) {
		return c.policiesRendered.body
	}
	assigned, until := c.assigned(now)
	var items []byte
	for i, p := range c.policies.order {
		if i > 0 {
			items = append(items, ',')
		}
		items = p.appendJSON(items, assigned, zoned(p.Created), zoned(p.LastModified))
	}
	c.policiesRendered = rendering{body: collection(len(c.policies.order), items, ""), from: now, until: until}
	return c.policiesRendered.body
}

// assigned counts devices by what their policies say, and returns when that changes next, zero for never.
func (c *customer) assigned(now time.Time) (devices map[string]int, next time.Time) {
	devices = map[string]int{}
	next = c.devices(now, func(_ *device, step DeviceStep) {
		for _, p := range step.Policies {
			devices[p.Value]++
		}
	})
	return devices, next
}

// appendJSON appends the policy as an item of the list.
func (p *Policy) appendJSON(dst []byte, assigned map[string]int, created, modified string) []byte {
	if p.Raw != "" {
		return append(dst, p.Raw...)
	}
	dst = appendString(append(dst, `{"id":`...), p.ID)
	dst = appendMember(dst, "name", p.Name)
	dst = appendMember(dst, "category", p.Category)
	dst = appendMember(dst, "description", p.Description)
	dst = append(dst, `,"devicesAssigned":`...)
	dst = strconv.AppendInt(dst, int64(cmp.Or(p.DevicesAssigned, p.count(assigned))), 10)
	dst = append(dst, `,"policySettings":[`...)
	for i, setting := range p.Settings {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, setting)
	}
	dst = append(dst, ']')
	dst = appendMember(dst, "createdDate", created)
	dst = appendMember(dst, "lastModifiedDate", modified)
	return appendEnd(dst, "ConfigurationPolicy", p.Extra)
}

// count returns how many devices have the policy, by its id or its name.
func (p *Policy) count(assigned map[string]int) int {
	n := assigned[p.ID]
	if p.Name != "" && p.Name != p.ID {
		n += assigned[p.Name]
	}
	return n
}
