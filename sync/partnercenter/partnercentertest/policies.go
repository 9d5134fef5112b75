package partnercentertest

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Policy is a configuration policy of a customer.
type Policy struct {
	ID           string
	Name         string
	Category     string    // "" becomes o_o_b_e
	Description  string    // "" is omitted from the answer
	Settings     []string  // policySettings, such as skip_eula
	Created      time.Time // zero: that of the policy it replaces, or the emulator's now; its zone is served
	LastModified time.Time // zero: the emulator's now, or Created for a new one; its zone is served

	// DevicesAssigned is how many devices the policy claims to have; 0: the number of those with its id or its name.
	DevicesAssigned int

	Extra string // as in [Batch]
	Raw   string // as in [Batch]; served in the list and by itself
}

// PutPolicy appends a configuration policy to the customer's list, or replaces the one with that id, keeping its
// place. It panics if there is no such customer.
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

// RemovePolicy removes a configuration policy, if there is one. Devices that have it keep its name.
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

// readDrift is how much later createdDate is in a policy requested by itself than in the list, in the documentation's
// examples of the same policy.
const readDrift = 2800 * time.Nanosecond

// getPolicy answers GET /v1/customers/{customer}/policies/{policy}. The documented answer has no Content-Type.
func (e *Emulator) getPolicy(r *http.Request, ids []string) answer {
	return e.withPolicy(r, ids, func(c *customer, p *Policy, now time.Time) answer {
		assigned, _ := c.assigned(now)
		body := p.appendJSON([]byte(bom), assigned, zoned(p.Created.Add(readDrift)), zoned(p.LastModified))
		return untyped(apiAnswer(r, http.StatusOK, body))
	})
}

// withPolicy answers with do for a policy, or that there is none.
func (e *Emulator) withPolicy(r *http.Request, ids []string, do func(*customer, *Policy, time.Time) answer) answer {
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

// assigned counts devices by the values of their policies, and returns when that changes next, zero for never.
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

// sentPolicy is a configuration policy as requests have it; the case of names is ignored.
type sentPolicy struct {
	Name           string
	Category       string
	Description    string
	PolicySettings []string
}

// createPolicy answers POST /v1/customers/{customer}/policies: 200, not 201, as documented.
func (e *Emulator) createPolicy(r *http.Request, ids []string) answer {
	body := readBody(r)
	return e.withCustomer(r, ids, func(c *customer, now time.Time) answer {
		p := &Policy{ID: uuid.NewString(), Category: "o_o_b_e", Created: now}
		a := c.writePolicy(r, p, body, now)
		if a.status == http.StatusOK {
			c.policies.add(p.ID, p)
		}
		return a
	})
}

// updatePolicy answers PUT /v1/customers/{customer}/policies/{policy}: what the body has replaces what was there.
func (e *Emulator) updatePolicy(r *http.Request, ids []string) answer {
	body := readBody(r)
	return e.withPolicy(r, ids, func(c *customer, p *Policy, now time.Time) answer {
		return c.writePolicy(r, p, body, now)
	})
}

// deletePolicy answers DELETE /v1/customers/{customer}/policies/{policy}. The effect on devices that have it is not
// documented; here they keep it.
func (e *Emulator) deletePolicy(r *http.Request, ids []string) answer {
	return e.withPolicy(r, ids, func(c *customer, p *Policy, _ time.Time) answer {
		c.policies.remove(p.ID)
		c.changed()
		return noContent(r)
	})
}

// writePolicy makes the policy what a body says and answers with it, its dates in the style of answers to writes,
// or says what is wrong with the body.
func (c *customer) writePolicy(r *http.Request, p *Policy, body []byte, now time.Time) answer {
	sent := sentPolicy{p.Name, p.Category, p.Description, slices.Clone(p.Settings)}
	if !decode(body, &sent) {
		return badRequest(r, "ConfigurationPolicy")
	}
	if sent.Name == "" {
		return apiFault(r, http.StatusBadRequest, "3000", "Invalid property: name")
	}
	p.Name, p.Category = sent.Name, cmp.Or(sent.Category, p.Category)
	p.Description, p.Settings = sent.Description, sent.PolicySettings
	p.LastModified = now
	c.changed()
	assigned, _ := c.assigned(now)
	return apiAnswer(r, http.StatusOK, p.appendJSON([]byte(bom), assigned, zoneless(p.Created), zoneless(p.LastModified)))
}
