package viewtest

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// pass is what one pass of a partner over its customers was served, and when.
type pass struct {
	partner  string
	excluded []string // customers that the configuration leaves out
	only     []string // the customers that the pass is restricted to; nil: it is not
	run      int64
	began    time.Time            // before it
	finished time.Time            // when its run ended
	answers  []answer             // in their order
	observed map[listID]time.Time // when each list that counts was observed
}

// move moves the pass in time.
func (p *pass) move(by time.Duration) {
	p.began, p.finished = p.began.Add(by), p.finished.Add(by)
	for l, at := range p.observed {
		p.observed[l] = at.Add(by)
	}
}

// customer is everything that is known of a customer.
type customer struct {
	id           string
	versions     []version[profile]
	firstListed  *time.Time // its first complete list of batches
	firstDevices *time.Time // its first complete list of devices
	batches      list[batch]
	devices      map[string]*list[device] // by batch
	policies     list[policy]
	turns        []turn
	prunedBefore *time.Time         // nil: nothing was pruned
	unpruned     []version[profile] // its versions, pruned ones too
}

// profile is how a customer is enumerated.
type profile struct {
	Partner                    string
	Name, Domain, Relationship *string
}

// turn is how a customer fared in a pass.
type turn struct {
	pass      int // position among all
	partner   string
	failures  []failure // why it failed, if it did: the first of these, or any of them if they are of device lists
	contested bool      // another partner than the customer's lists it
	listed    bool      // its batches and policies were read as a whole
}

// failure is why a list failed.
type failure struct{ code, requestID string }

// record is everything that is known.
type record struct {
	passes    []*pass
	customers map[string]*customer
	confirmed map[string]*time.Time // each partner's last complete enumeration
}

// replay works out from what was served in the passes what is known after them.
func replay(passes []*pass) *record {
	r := &record{passes: passes, customers: map[string]*customer{}, confirmed: map[string]*time.Time{}}
	for i, p := range passes {
		all := lists(p.answers)
		if p.only == nil {
			r.enumerate(i, p, all[listID{kind: "customers"}])
		}
		for _, id := range r.ids() {
			c, asked := r.customers[id], p.only == nil || slices.Contains(p.only, id)
			if asked && c.there() && c.partner() == p.partner {
				c.turns = append(c.turns, c.takeTurn(i, p, all))
			}
		}
	}
	return r
}

// prune drops what ended before a time.
func (r *record) prune(before time.Time) {
	for _, c := range r.customers {
		if c.unpruned == nil {
			c.unpruned = c.versions
		}
		kept := pruned(c.versions, before)
		any := len(kept) < len(c.versions)
		any = c.batches.prune(before) || any
		any = c.policies.prune(before) || any
		for _, l := range c.devices {
			any = l.prune(before) || any
		}
		if c.versions = kept; any {
			c.prunedBefore = &before
		}
	}
}

// knownAt reports whether nothing of a time was pruned.
func (c *customer) knownAt(at time.Time) bool {
	return c.prunedBefore == nil || !c.prunedBefore.After(at)
}

// ids returns the known customers' ids, in order.
func (r *record) ids() (ids []string) {
	for id := range r.customers {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (c *customer) current() version[profile] { return c.versions[len(c.versions)-1] }
func (c *customer) there() bool               { return !c.current().removed }
func (c *customer) partner() string           { return c.current().item.Partner }

// thereAt reports whether the customer was there at a time.
func (c *customer) thereAt(at time.Time) bool {
	return slices.ContainsFunc(c.versions, func(v version[profile]) bool { return v.holds(at) && !v.removed })
}

// enumerate takes in the list of a partner's customers.
func (r *record) enumerate(i int, p *pass, s served) {
	at := p.observed[listID{kind: "customers"}]
	listed := map[string]bool{}
	for _, item := range s.items {
		id := strings.ToLower(item.ID)
		if text(item.RelationshipToPartner) != "reseller" || slices.Contains(p.excluded, id) {
			continue
		}
		listed[id] = true
		now := profile{p.partner, item.CompanyProfile.CompanyName, item.CompanyProfile.Domain, item.RelationshipToPartner}
		c := r.customers[id]
		switch {
		case c == nil:
			c = &customer{id: id, devices: map[string]*list[device]{}}
			c.versions = []version[profile]{{item: now, from: at}}
			r.customers[id] = c
		case c.there() && c.partner() != p.partner:
			c.turns = append(c.turns, turn{pass: i, partner: p.partner, contested: true})
		case !c.there() && c.partner() != p.partner:
			c.begin(version[profile]{item: now, from: at}, nil)
			c.batches.held, c.policies.held = nil, nil
			for _, l := range c.devices {
				l.held = nil
			}
		case !c.there() || !same(c.current().item, now):
			c.begin(version[profile]{item: now, from: at}, r.confirmed[p.partner])
		}
	}
	for _, c := range r.customers {
		unlisted := s.complete && !listed[c.id] || slices.Contains(p.excluded, c.id)
		if c.there() && c.partner() == p.partner && unlisted {
			c.begin(version[profile]{item: c.current().item, from: at, removed: true}, r.confirmed[p.partner])
		}
	}
	if s.complete {
		r.confirmed[p.partner] = &at
	}
}

// begin begins another version of the customer, which was as before when it was last enumerated.
func (c *customer) begin(v version[profile], confirmed *time.Time) {
	before := &c.versions[len(c.versions)-1]
	notBefore := later(confirmed, before.from)
	v.notBefore, before.to = &notBefore, &v.from
	c.versions = append(c.versions, v)
}

// takeTurn takes in the lists of a customer that a pass read.
func (c *customer) takeTurn(i int, p *pass, all map[listID]served) turn {
	t := turn{pass: i, partner: p.partner}
	failed := func(s served, held bool) {
		if code := cmp.Or(s.code, map[bool]string{true: "mass_removal_held"}[held]); code != "" {
			t.failures = append(t.failures, failure{code, s.requestID})
		}
	}
	id := listID{customer: c.id, kind: "deviceBatches"}
	if s, read := all[id]; read {
		held := false
		if at := p.observed[id]; s.pages > 0 {
			held = c.batches.merge(at, s, toBatch, true)
			if s.complete && c.firstListed == nil {
				c.firstListed = &at
			}
			c.removeDevices(at)
		}
		failed(s, held)
	}
	id = listID{customer: c.id, kind: "policies"}
	if s, read := all[id]; read {
		failed(s, s.pages > 0 && c.policies.merge(p.observed[id], s, toPolicy, true))
	}
	t.listed = len(t.failures) == 0
	for _, key := range c.batches.there() {
		id = listID{customer: c.id, kind: "devices", batch: key}
		if s, read := all[id]; read {
			l := c.deviceList(key)
			excused := s.refused && (s.status == 404 && l.refusals == 0 || l.refusals >= 2)
			if l.refusals++; !s.refused {
				l.refusals = 0
			}
			at := p.observed[id]
			held := s.pages > 0 && l.merge(at, s, toDevice, false)
			if s.complete && (c.firstDevices == nil || at.Before(*c.firstDevices)) {
				c.firstDevices = &at
			}
			if !excused && t.listed {
				failed(s, held) // device lists are read in an order of their own
			}
		}
	}
	if !t.listed {
		t.failures = t.failures[:1]
	}
	return t
}

// deviceList returns the list of a batch's devices.
func (c *customer) deviceList(batch string) *list[device] {
	if c.devices[batch] == nil {
		c.devices[batch] = &list[device]{}
	}
	return c.devices[batch]
}

// removeDevices removes the devices of batches that were removed at that time.
func (c *customer) removeDevices(at time.Time) {
	for batch, l := range c.devices {
		if v, _ := c.batches.current(batch); v.removed && v.from.Equal(at) {
			for _, key := range l.there() {
				l.remove(key, at)
			}
			l.held, l.refusals, l.confirmed = nil, 0, nil
		}
	}
}
