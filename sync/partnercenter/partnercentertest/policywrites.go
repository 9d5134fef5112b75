package partnercentertest

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
)

// sentPolicy is a configuration policy as requests have it, its members' names in any case.
type sentPolicy struct {
	Name           string
	Category       string
	Description    string
	PolicySettings []string
}

// createPolicy answers POST /v1/customers/{customer}/policies: 200, not 201, as documented.
func (e *Emulator) createPolicy(r *http.Request, ids []string) answer {
	body, err := readBody(r)
	if err != nil {
		return badRequest(r, "body")
	}
	return e.withCustomer(r, ids, func(c *customer, now time.Time) answer {
		p := &Policy{ID: uuid.NewString(), Category: "o_o_b_e", Created: now}
		a := c.writePolicy(r, p, body, now)
		if a.status == http.StatusOK {
			c.policies.add(p.ID, p)
		}
		return a
	})
}

// updatePolicy answers PUT /v1/customers/{customer}/policies/{policy}: what the body has takes the place of what was.
func (e *Emulator) updatePolicy(r *http.Request, ids []string) answer {
	body, err := readBody(r)
	if err != nil {
		return badRequest(r, "body")
	}
	return e.withPolicy(r, ids, func(c *customer, p *Policy, now time.Time) answer {
		return c.writePolicy(r, p, body, now)
	})
}

// deletePolicy answers DELETE /v1/customers/{customer}/policies/{policy}. What becomes of devices that have it is not
// documented: here they keep it.
func (e *Emulator) deletePolicy(r *http.Request, ids []string) answer {
	return e.withPolicy(r, ids, func(c *customer, p *Policy, _ time.Time) answer {
		c.policies.remove(p.ID)
		c.changed()
		return noContent(r)
	})
}

// writePolicy makes the policy what a body says and answers with it, its dates in the style that answers to writes have;
// or says what is wrong with the body.
func (c *customer) writePolicy(r *http.Request, p *Policy, body []byte, now time.Time) answer {
	sent := sentPolicy{Name: p.Name, Category: p.Category, Description: p.Description, PolicySettings: slices.Clone(p.Settings)}
	if !decode(body, &sent) {
		return badRequest(r, "ConfigurationPolicy")
	}
	if sent.Name == "" {
		return apiFault(r, http.StatusBadRequest, "3000", "Invalid property: name")
	}
	p.Name, p.Category, p.Description, p.Settings = sent.Name, cmp.Or(sent.Category, p.Category), sent.Description, sent.PolicySettings
	p.LastModified = now
	c.changed()
	assigned, _ := c.assigned(now)
	return apiAnswer(r, http.StatusOK, p.appendJSON([]byte(bom), assigned, zoneless(p.Created), zoneless(p.LastModified)))
}
