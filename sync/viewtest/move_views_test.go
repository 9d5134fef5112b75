package viewtest

import (
	"slices"
	"time"
)

// sighting is a device that left a batch, or turned up in one.
type sighting struct {
	customer, batch, device string
	serial                  *string
	after                   *time.Time // nil: it is a device's first version
	by                      time.Time
	until                   *time.Time // of an arrival: when the device was first missed again
	since                   time.Time  // of a departure: when the device had arrived
}

// key says which device it is: the serial number, or the id where there is none.
func (s sighting) key() string {
	if key := serialKey(s.serial); text(key) != "" {
		return "serial number " + *key
	}
	return "id " + s.device
}

// elsewhere reports whether two sightings are in different batches.
func (s sighting) elsewhere(other sighting) bool {
	return s.customer != other.customer || s.batch != other.batch
}

// sightings returns the departures and the arrivals of devices, each in the order of their times.
func (r *record) sightings() (departures, arrivals []sighting) {
	for _, c := range r.customers {
		for batch, l := range c.devices {
			for key, versions := range l.items {
				for i, v := range versions {
					s := sighting{customer: c.id, batch: batch, device: key, serial: v.item.SerialNumber, after: v.notBefore, by: v.from}
					switch {
					case v.removed:
						departures = append(departures, s)
					case i == 0 && !unknownBefore(versions) || i > 0 && versions[i-1].removed:
						arrivals = append(arrivals, s)
					}
				}
			}
		}
	}
	byTime := func(a, b sighting) int { return a.by.Compare(b.by) }
	slices.SortFunc(departures, byTime)
	slices.SortFunc(arrivals, byTime)
	return departures, arrivals
}

// move is a device that left one batch and turned up in another.
type move struct{ from, to sighting }

// moves pairs each departure with the first arrival elsewhere that was seen later than the device was last seen in its
// place, and that is not another departure's.
func (r *record) moves() (all []move) {
	departures, arrivals := r.sightings()
	for _, d := range departures {
		i := slices.IndexFunc(arrivals, func(a sighting) bool {
			return a.key() == d.key() && a.elsewhere(d) && a.by.After(*d.after)
		})
		if i >= 0 {
			all = append(all, move{d, arrivals[i]})
			arrivals = slices.Delete(arrivals, i, i+1)
		}
	}
	return all
}

func (w *world) compareMoves(r *record) {
	w.t.Helper()
	var want []string
	for _, m := range r.moves() {
		want = append(want, line(m.from.customer, m.from.batch, m.from.device, m.from.serial, m.to.customer, m.to.batch, m.to.device,
			m.from.after, m.from.by, m.to.after, m.to.by))
	}
	w.want(want, `
		SELECT customer_id::text, batch_id, device_id, serial_number, to_customer_id::text, to_batch_id, to_device_id,
		       left_after, left_by, arrived_after, arrived_by
		FROM partner_center.device_moves`)
}
