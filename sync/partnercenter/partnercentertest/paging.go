package partnercentertest

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Paging is how a page of customers or devices refers to the next one.
type Paging int

// The ways to refer to the next page. The API documentation shows the link for customers, and mentions the token in
// the body for devices.
const (
	DocumentedPaging Paging = iota // customers by NextLink, devices by BodyToken
	NextLink                       // links.next, with the token in its headers
	BodyToken                      // continuationToken beside the items, no links.next
	NextLinkAndToken               // both
)

// nextPage returns how a page refers to the next one, which a token identifies: a member of its links, and a member
// of its own with a comma before. Either may be "", and both are if there is no token.
func nextPage(p Paging, uri, token string) (link, top string) {
	if token == "" {
		return "", ""
	}
	if p != BodyToken {
		const format = `"next":{"uri":"%s","method":"GET","headers":[{"key":"MS-ContinuationToken","value":"%s"}]}`
		link = fmt.Sprintf(format, uri, token)
	}
	if p != NextLink {
		top = `,"continuationToken":"` + token + `"`
	}
	return link, top
}

// linkVersion returns what the links of pages begin with.
func (e *Emulator) linkVersion() string {
	if e.opts.UnversionedLinks {
		return ""
	}
	return "/v1"
}

// foldedQuery returns the query's parameters by their names in lower case, because the API documentation has both
// seekOperation and seekoperation.
func foldedQuery(r *http.Request) url.Values {
	folded := url.Values{}
	for name, values := range r.URL.Query() {
		folded[strings.ToLower(name)] = values
	}
	return folded
}

// seek returns the item after which the page begins. Without the operation Next the token is ignored, and the list
// begins anew.
func seek(operation, token string) (after uint32, ok bool) {
	switch strings.ToLower(operation) {
	case "", "first":
		return 0, true
	case "next":
		seq, err := base64.StdEncoding.DecodeString(token)
		if err != nil || len(seq) != 4 {
			return 0, false
		}
		return binary.LittleEndian.Uint32(seq), true
	default:
		return 0, false
	}
}

// continuationToken returns the token that [seek] reads. It identifies an item and not a position, so that others
// may be added and removed between two pages.
func continuationToken(seq uint32) string {
	return base64.StdEncoding.EncodeToString(binary.LittleEndian.AppendUint32(nil, seq))
}

// ordered holds values by id and in the order in which they were added. The zero value is empty.
type ordered[T any] struct {
	byID  map[string]*T
	order []*T
}

// add appends a value; there must be none with that id.
func (o *ordered[T]) add(id string, value *T) {
	if o.byID == nil {
		o.byID = map[string]*T{}
	}
	o.byID[id] = value
	o.order = append(o.order, value)
}

// remove removes the value with an id, if there is one.
func (o *ordered[T]) remove(id string) {
	removed := o.byID[id]
	delete(o.byID, id)
	o.order = slices.DeleteFunc(o.order, func(value *T) bool { return value == removed })
}

// rendering is a body as it is from one time until another; an until of zero means for ever.
type rendering struct {
	body        []byte
	from, until time.Time
}

func (r rendering) holds(now time.Time) bool {
	return r.body != nil && !now.Before(r.from) && (r.until.IsZero() || now.Before(r.until))
}

// sooner returns the earlier of two times, of which zero means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
