package partnercentertest

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// listDevices answers GET /v1/customers/{customer}/deviceBatches/{batch}/devices, by pages. By the documentation the
// token alone leads to the next page, and nothing is said of seekOperation.
func (e *Emulator) listDevices(r *http.Request, ids []string) answer {
	operation, token := foldedQuery(r).Get("seekoperation"), r.Header.Get("MS-ContinuationToken")
	if token != "" {
		operation = cmp.Or(operation, "Next")
	}
	after, ok := seek(operation, token)
	if !ok {
		return badRequest(r, "seekOperation or MS-ContinuationToken")
	}
	return e.withBatch(r, ids, func(c *customer, b *batch, now time.Time) answer {
		a := apiAnswer(r, http.StatusOK, e.devicePage(c, b, after, now))
		return e.serves(a, c.list(DeviceList, b.ID), after == 0)
	})
}

// devicePage returns the body of the page that begins after a device.
func (e *Emulator) devicePage(c *customer, b *batch, after uint32, now time.Time) []byte {
	if page := b.devices.pages[after]; page.holds(now) {
		return page.body
	}
	p := b.devices.page(after, e.opts.DevicePageSize, now)
	uri := e.linkVersion() + "/customers/" + url.PathEscape(c.ID) + "/deviceBatches/" + url.PathEscape(b.ID) + "/devices?seekOperation=Next"
	link, tail := leadOn(cmp.Or(e.opts.Paging, BodyToken), uri, p.token)
	if link != "" {
		tail = `,"links":{` + link + `}` + tail
	}
	body := collection(p.count, p.items, tail)
	if b.devices.pages == nil {
		b.devices.pages = map[uint32]rendering{}
	}
	b.devices.pages[after] = rendering{body: body, from: now, until: p.until}
	return body
}

// devicePage is a page before it is written.
type devicePage struct {
	items []byte // as for collection
	count int
	token string    // of the next page, "" on the last
	until time.Time // when it changes, zero for never
}

// page returns the page of up to size devices that begins after one.
func (ds *devices) page(after uint32, size int, now time.Time) devicePage {
	start, found := slices.BinarySearchFunc(ds.order, after, func(d *device, seq uint32) int { return cmp.Compare(d.seq, seq) })
	if found {
		start++
	}
	var p devicePage
	var last uint32
	for _, d := range ds.order[start:] {
		step, next := d.at(now)
		p.until = sooner(p.until, next)
		if step.Gone {
			continue
		}
		if p.count == size {
			p.token = continuationToken(last)
			break
		}
		if p.count > 0 {
			p.items = append(p.items, ',')
		}
		p.items = d.appendJSON(p.items, step.Policies)
		p.count++
		last = d.seq
	}
	return p
}
