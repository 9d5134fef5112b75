package viewtest

import "time"

// moments returns times at which to ask what was known then: some at random, and those at which passes began and ended.
func (w *world) moments(r *record) (all []time.Time) {
	first, last := r.passes[0].began, r.passes[len(r.passes)-1].finished
	for range 6 {
		after := w.at.Int64N(int64(last.Sub(first)+time.Hour)) - int64(time.Minute)
		all = append(all, first.Add(time.Duration(after)).Truncate(time.Microsecond))
		p := r.passes[w.at.IntN(len(r.passes))]
		all = append(all, p.began, p.finished)
		for _, at := range p.observed {
			all = append(all, at)
			break
		}
	}
	return all
}

// asOf returns the lines of the items that were there at a time.
func (l *list[T]) asOf(at time.Time, of []any, columns func(T) []any) (lines []string) {
	then := list[T]{items: map[string][]version[T]{}}
	for key, versions := range l.items {
		for _, v := range versions {
			if v.holds(at) && !v.removed {
				then.items[key] = []version[T]{v}
			}
		}
	}
	return then.lines(of, columns)
}

// compareAsOf compares what the functions of a time say of some times.
func (w *world) compareAsOf(r *record) {
	w.t.Helper()
	for _, at := range w.moments(r) {
		var batches, devices, policies []string
		for _, c := range r.customers {
			if !c.thereAt(at) || !c.knownAt(at) {
				continue
			}
			batches = append(batches, c.batches.asOf(at, []any{c.id}, batch.columns)...)
			policies = append(policies, c.policies.asOf(at, []any{c.id}, policy.columns)...)
			for key, l := range c.devices {
				devices = append(devices, l.asOf(at, []any{c.id, key}, device.columns)...)
			}
		}
		w.want(batches, `
			SELECT customer_id::text, batch_id, status, created_by, creation_date, devices_count,
			       valid_from, not_before, removed_at, valid_to
			FROM partner_center.device_batches_as_of($1)`, at)
		w.want(devices, `
			SELECT customer_id::text, batch_id, device_id, serial_number, product_key, model_name, oem_manufacturer_name,
			       uploaded_by, uploaded_date, policies, valid_from, not_before, removed_at, valid_to
			FROM partner_center.devices_as_of($1)`, at)
		w.want(policies, `
			SELECT customer_id::text, policy_id, name, category, description, policy_settings, created_date, last_modified_date,
			       valid_from, not_before, removed_at, valid_to
			FROM partner_center.configuration_policies_as_of($1)`, at)
	}
}
