package viewtest

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// resolve returns the policy that a value means, and its last name: that of the id, in any case, else that of the name. A
// policy that was removed counts where none that is there matches. Where the value means none, or several, the id is nil
// and the name is the value.
func (c *customer) resolve(value string) (id *string, name string) {
	var there, removed []string // policies of that name
	for key, versions := range c.policies.items {
		last := versions[len(versions)-1]
		switch {
		case strings.EqualFold(key, value):
			return &key, text(last.item.Name)
		case text(last.item.Name) != value:
		case last.removed:
			removed = append(removed, key)
		default:
			there = append(there, key)
		}
	}
	if len(there) == 0 {
		there = removed
	}
	if len(there) == 1 {
		return &there[0], value
	}
	return nil, value
}

// hasPolicy is a policy that a device has.
type hasPolicy struct {
	key, name string
	id        string // "" where the value means no policy
}

// policiesOf returns a device's policies, each once, in the order of their keys and then their names.
func (c *customer) policiesOf(d device) (all []hasPolicy) {
	set := map[hasPolicy]bool{}
	for _, a := range d.Policies {
		if a.Value != nil {
			id, name := c.resolve(*a.Value)
			set[hasPolicy{a.Key, name, text(id)}] = true
		}
	}
	return slices.SortedFunc(maps.Keys(set), func(a, b hasPolicy) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.name, b.name), cmp.Compare(a.id, b.id))
	})
}

// orNull is nil for "".
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (w *world) compareDevicePolicies(r *record) {
	w.t.Helper()
	var want []string
	r.eachDevice(func(c *customer, batch, key string, d device) {
		for _, p := range c.policiesOf(d) {
			want = append(want, line(c.id, batch, key, p.key, orNull(p.id), p.name))
		}
	})
	w.want(want, `
		SELECT customer_id::text, batch_id, device_id, policy_key, policy_id, policy_name
		FROM partner_center.device_policies`)
}

// compareDevicePolicyChanges compares what devices got and lost, from version to version.
func (w *world) compareDevicePolicyChanges(r *record) {
	w.t.Helper()
	var want []string
	for _, c := range r.customers {
		for batch, l := range c.devices {
			for key, versions := range l.items {
				var before device
				for i, v := range versions {
					if i > 0 || !unknownBefore(versions) {
						want = append(want, c.policyChanges(batch, key, before, v)...)
					}
					before = v.item
				}
			}
		}
	}
	w.want(want, `
		SELECT customer_id::text, batch_id, device_id, policy_key, from_value, to_value, from_policy_name, to_policy_name,
		       changed_after, changed_by
		FROM partner_center.device_policy_changes`)
}

// policyChanges returns the changes from a device as it was before to a version of it. What a key lost and what it got stand
// side by side, in the order of the values.
func (c *customer) policyChanges(batch, key string, before device, v version[device]) (lines []string) {
	for _, policyKey := range []string{"kiosk", "o_o_b_e"} {
		was, is := before.values(policyKey), v.item.values(policyKey)
		lost, got := c.without(was, is), c.without(is, was)
		for i := range max(len(lost), len(got)) {
			var from, to, fromName, toName *string
			if i < len(lost) {
				_, name := c.resolve(lost[i])
				from, fromName = &lost[i], &name
			}
			if i < len(got) {
				_, name := c.resolve(got[i])
				to, toName = &got[i], &name
			}
			lines = append(lines, line(c.id, batch, key, policyKey, from, to, fromName, toName, v.notBefore, v.from))
		}
	}
	return lines
}

// values returns the values of a key, in order.
func (d device) values(policyKey string) (values []string) {
	for _, a := range d.Policies {
		if a.Key == policyKey && a.Value != nil {
			values = append(values, *a.Value)
		}
	}
	return values
}

// without returns the values that mean a policy which none of the others means, each policy once. Two policies of the same
// name are one as soon as a value says no more than that name.
func (c *customer) without(values, others []string) (rest []string) {
	bare := map[string]bool{} // names
	for _, value := range slices.Concat(values, others) {
		if id, name := c.resolve(value); id == nil {
			bare[name] = true
		}
	}
	means := func(value string) string {
		id, name := c.resolve(value)
		if bare[name] {
			return "the policies named " + name
		}
		return *id
	}
	met := map[string]bool{}
	for _, value := range others {
		met[means(value)] = true
	}
	for _, value := range values {
		if !met[means(value)] {
			met[means(value)] = true
			rest = append(rest, value)
		}
	}
	return rest
}

// eachDevice calls visit with the devices that are there, of customers that are there.
func (r *record) eachDevice(visit func(c *customer, batch, key string, d device)) {
	for _, c := range r.customers {
		if !c.there() {
			continue
		}
		for batch, l := range c.devices {
			for _, key := range l.there() {
				v, _ := l.current(key)
				visit(c, batch, key, v.item)
			}
		}
	}
}

// compareInventory compares the devices that are there.
func (w *world) compareInventory(r *record) {
	w.t.Helper()
	var want []string
	r.eachDevice(func(c *customer, batch, key string, d device) {
		var names []string
		for i, p := range c.policiesOf(d) {
			if all := c.policiesOf(d); i == 0 || all[i-1].key != p.key || all[i-1].name != p.name {
				names = append(names, p.name)
			}
		}
		b, _ := c.batches.current(batch)
		p := c.current().item
		want = append(want, line(c.id, p.Partner, p.Name, p.Domain, batch, b.item.Status, key, d.SerialNumber, serialKey(d.SerialNumber),
			d.ProductKey, d.Manufacturer, d.Model, d.Uploaded, d.UploadedBy, strings.Join(names, ", ")))
	})
	w.want(want, `
		SELECT customer_id::text, partner, company_name, domain, batch_id, batch_status, device_id, serial_number, serial_key,
		       product_key, oem_manufacturer_name, model_name, uploaded_date, uploaded_by, policies
		FROM partner_center.device_inventory`)
	w.want(nil, "SELECT device_key FROM partner_center.device_inventory GROUP BY device_key HAVING count(*) > 1")
}

// serialKey is a serial number without the blanks around it, and in upper case as far as it is ASCII.
func serialKey(serial *string) *string {
	if serial == nil {
		return nil
	}
	key := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, strings.Trim(*serial, " "))
	return &key
}

// compareListFreshness compares when the device lists were last read, of batches and customers that are there.
func (w *world) compareListFreshness(r *record) {
	w.t.Helper()
	var want []string
	for _, c := range r.customers {
		for _, key := range c.batches.there() {
			if !c.there() {
				continue
			}
			l := c.deviceList(key)
			var devices any
			if l.confirmed != nil {
				devices = len(l.there())
			}
			want = append(want, line(c.id, key, l.confirmed, devices))
		}
	}
	w.want(want, `
		SELECT customer_id::text, batch_id, listed_at, devices
		FROM partner_center.device_list_freshness`)
}
