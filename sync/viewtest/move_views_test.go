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
	arrives                 bool       // the device was not listed before; else it had another serial number
	seen                    *time.Time // the last time of which it is certain that it was listed so; nil: it is
	missed                  *time.Time // when it was first missed; nil: it was not
}

// departure is a device that is not listed any more.
type departure struct {
	customer, batch, device string
	serial                  *string
	arrived                 time.Time // when it was first seen there
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
				some, left := c.listingsOf(batch, key, versions)
				listings, departures = append(listings, some...), append(departures, left...)
			}
		}
	}
	slices.SortFunc(listings, func(a, b listing) int { return a.from.Compare(b.from) })
	return listings, departures
}

// listingsOf returns when a device was listed in a batch, and when it left.
func (c *customer) listingsOf(batch, key string, versions []version[device]) (listings []listing, departures []departure) {
	var open *listing
	arrived := versions[0].from
	for i, v := range versions {
		serial := v.item.SerialNumber
		returns := i > 0 && versions[i-1].removed
		switch {
		case v.removed:
			departures = append(departures, departure{c.id, batch, key, serial, arrived, *v.notBefore, v.from})
			if open != nil {
				open.seen, open.missed, open = v.notBefore, &v.from, nil
			}
		case open != nil && deviceID(open.serial, key) == deviceID(serial, key):
			// It goes on.
		default:
			if returns {
				arrived = v.from
			}
			if open != nil {
				open.seen = &v.from
			}
			listings = append(listings, listing{
				customer: c.id, batch: batch, device: key, serial: serial, from: v.from, after: v.notBefore,
				arrives: returns || i == 0 && !unknownBefore(versions),
			})
			open = &listings[len(listings)-1]
		}
	}
	if open != nil && !c.there() {
		left := c.current().from
		open.seen = &left
	}
	return listings, departures
}

// move is a device that left one batch and turned up in another.
type move struct {
	from departure
	to   listing
}

// moves returns the moves. A departure goes with the next listing of the device, anywhere, unless another one may still have
// been there when the device was last seen: one that had not been missed by then, if they were there together. It is a move
// if the device arrives there, elsewhere and in one place only.
func (r *record) moves() (all []move) {
	listings, departures := r.listings()
	for _, d := range departures {
		var next []listing
		for _, l := range listings {
			same := deviceID(l.serial, l.device) == deviceID(d.serial, d.device)
			gone := l.seen != nil && l.seen.Before(d.after)
			if l.missed != nil && l.missed.After(d.after) {
				gone = l.seen.Before(d.arrived)
			}
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
