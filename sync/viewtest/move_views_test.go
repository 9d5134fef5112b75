package viewtest

import (
	"slices"
	"time"
)

// listing is a time in which a device was listed in a batch, and bore one serial number.
type listing struct {
	customer, batch, device string
	serial                  *string
	from                    time.Time
	after                   *time.Time
	arrives                 bool       // the device was not listed before; else it has another serial number than before
	seen                    *time.Time // the last time of which it is certain that it was listed; nil: it is
}

// departure is a device that is not listed any more.
type departure struct {
	customer, batch, device string
	serial                  *string
	after, by               time.Time
}

// deviceID says which device has a serial number and an id in its list: the serial number does, and the id where there is none.
func deviceID(serial *string, id string) string {
	if key := serialKey(serial); text(key) != "" {
		return "serial number " + *key
	}
	return "id " + id
}

// listings returns when devices were listed, and when they left.
func (r *record) listings() (listings []listing, departures []departure) {
	for _, c := range r.customers {
		for batch, l := range c.devices {
			for key, versions := range l.items {
				for i, v := range versions {
					serial := v.item.SerialNumber
					switch {
					case v.removed:
						departures = append(departures, departure{c.id, batch, key, serial, *v.notBefore, v.from})
					case i > 0 && !versions[i-1].removed && deviceID(serial, key) == deviceID(versions[i-1].item.SerialNumber, key):
						listings[len(listings)-1].seen = c.seen(versions, i) // it goes on
					default:
						arrives := i == 0 && !unknownBefore(versions) || i > 0 && versions[i-1].removed
						listings = append(listings, listing{c.id, batch, key, serial, v.from, v.notBefore, arrives, c.seen(versions, i)})
					}
				}
			}
		}
	}
	slices.SortFunc(listings, func(a, b listing) int { return a.from.Compare(b.from) })
	return listings, departures
}

// seen returns the last time of which it is certain that a version of a device held; nil if it does.
func (c *customer) seen(versions []version[device], i int) *time.Time {
	switch {
	case i+1 < len(versions) && versions[i+1].removed:
		return versions[i+1].notBefore
	case i+1 < len(versions):
		return versions[i].to
	case !c.there():
		left := c.current().from
		return &left
	}
	return nil
}

// move is a device that left one batch and turned up in another.
type move struct {
	from departure
	to   listing
}

// moves returns the moves. A departure goes with the next listing of the device, anywhere, unless another one was still
// there when the device was last seen: it has moved if it arrives there, elsewhere and in one place only.
func (r *record) moves() (all []move) {
	listings, departures := r.listings()
	for _, d := range departures {
		var next []listing
		for _, l := range listings {
			same := deviceID(l.serial, l.device) == deviceID(d.serial, d.device)
			gone := l.seen != nil && l.seen.Before(d.after)
			itself := l.customer == d.customer && l.batch == d.batch && l.device == d.device && l.from.Before(d.by)
			if same && !gone && !itself {
				next = append(next, l)
			}
		}
		switch {
		case len(next) == 0 || len(next) > 1 && next[1].from.Equal(next[0].from):
		case !next[0].arrives || !next[0].from.After(d.after):
		case next[0].customer == d.customer && next[0].batch == d.batch:
		case !r.customers[d.customer].knownAt(d.after) || !r.customers[next[0].customer].knownAt(d.after):
		default:
			all = append(all, move{d, next[0]})
		}
	}
	return all
}

func (w *world) compareMoves(r *record) {
	w.t.Helper()
	var want []string
	for _, m := range r.moves() {
		want = append(want, line(m.from.customer, m.from.batch, m.from.device, m.from.serial, m.to.customer, m.to.batch, m.to.device,
			m.from.after, m.from.by, m.to.after, m.to.from))
	}
	w.want(want, `
		SELECT customer_id::text, batch_id, device_id, serial_number, to_customer_id::text, to_batch_id, to_device_id,
		       left_after, left_by, arrived_after, arrived_by
		FROM partner_center.device_moves`)
}
