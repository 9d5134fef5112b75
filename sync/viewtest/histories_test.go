package viewtest

import "time"

// lines returns the lines of the versions of a list's items: the key, what columns returns, and when each held.
func (l *list[T]) lines(of []any, columns func(T) []any) (lines []string) {
	for key, versions := range l.items {
		for _, v := range versions {
			values := append(append([]any{}, of...), key)
			values = append(values, columns(v.item)...)
			lines = append(lines, line(append(values, v.bounds()...)...))
		}
	}
	return lines
}

// bounds are the columns that say when the version held.
func (v version[T]) bounds() []any {
	var removedAt *time.Time
	if v.removed {
		removedAt = &v.from
	}
	return []any{v.from, v.notBefore, removedAt, v.to}
}

func (b batch) columns() []any { return []any{b.Status, b.CreatedBy, b.Created, b.DevicesCount} }

func (d device) columns() []any {
	return []any{d.SerialNumber, d.ProductKey, d.Model, d.Manufacturer, d.UploadedBy, d.Uploaded, d.Policies}
}

func (p policy) columns() []any {
	return []any{p.Name, p.Category, p.Description, p.Settings, p.Created, p.Modified}
}

func (p profile) columns() []any { return []any{p.Partner, p.Name, p.Domain, p.Relationship} }

// compareHistories compares the histories with what was served.
func (w *world) compareHistories(r *record) {
	w.t.Helper()
	var batches, devices, policies, customers []string
	for _, c := range r.customers {
		batches = append(batches, c.batches.lines([]any{c.id}, batch.columns)...)
		policies = append(policies, c.policies.lines([]any{c.id}, policy.columns)...)
		for batch, l := range c.devices {
			devices = append(devices, l.lines([]any{c.id, batch}, device.columns)...)
		}
		for _, v := range c.versions {
			customers = append(customers, line(append(append([]any{c.id}, v.item.columns()...), v.bounds()...)...))
		}
	}
	w.want(batches, `
		SELECT customer_id::text, batch_id, status, created_by, creation_date, devices_count,
		       valid_from, not_before, removed_at, valid_to
		FROM partner_center.device_batch_history`)
	w.want(devices, `
		SELECT customer_id::text, batch_id, device_id, serial_number, product_key, model_name, oem_manufacturer_name,
		       uploaded_by, uploaded_date, policies,
		       valid_from, not_before, removed_at, valid_to
		FROM partner_center.device_history`)
	w.want(policies, `
		SELECT customer_id::text, policy_id, name, category, description, policy_settings, created_date, last_modified_date,
		       valid_from, not_before, removed_at, valid_to
		FROM partner_center.configuration_policy_history`)
	w.want(customers, `
		SELECT customer_id::text, partner, company_name, domain, relationship, valid_from, not_before, removed_at, valid_to
		FROM partner_center.customer_history`)
}
