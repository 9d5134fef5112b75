package viewtest

import "time"

// compareDays compares the daily views: what was there at the end of each day (UTC), and today now.
func (w *world) compareDays(r *record) {
	w.t.Helper()
	var statuses, devices []string
	now := w.now()
	type group struct {
		day, customer, status string
		none                  bool // no status
	}
	for day := r.passes[0].began.Truncate(24 * time.Hour); !day.After(now); day = day.AddDate(0, 0, 1) {
		end := day.AddDate(0, 0, 1).Add(-time.Microsecond)
		batchesIn, devicesIn := map[group]int{}, map[group]int{}
		for _, c := range r.customers {
			if !c.thereAt(end) || !c.knownAt(end) {
				continue
			}
			for key, versions := range c.batches.items {
				for _, b := range versions {
					if !b.holds(end) || b.removed {
						continue
					}
					g := group{day.Format(time.DateOnly), c.id, text(b.item.Status), b.item.Status == nil}
					batchesIn[g]++
					for _, versions := range c.deviceList(key).items {
						for _, d := range versions {
							if d.holds(end) && !d.removed {
								devicesIn[g]++
							}
						}
					}
				}
			}
		}
		for g, batches := range batchesIn {
			status, n := &g.status, any(devicesIn[g])
			if g.none {
				status = nil
			}
			if first := r.customers[g.customer].firstDevices; n == 0 && (first == nil || first.After(end)) {
				n = nil // no device list has been read
			}
			statuses = append(statuses, line(g.day, g.customer, status, batches, n))
			devices = append(devices, line(g.day, g.customer, status, n))
		}
	}
	w.want(statuses, `
		SELECT day, customer_id::text, status, batches, devices
		FROM partner_center.daily_device_batch_statuses`)
	w.want(devices, `
		SELECT day, customer_id::text, batch_status, devices
		FROM partner_center.daily_devices`)
}
