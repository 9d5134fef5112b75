package partnercenter

import (
	"bytes"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// envelope is what surrounds a page's items: the API documentation's Collection.
type envelope struct {
	items []byte // the JSON array of the items, within the body; nil if there is none
	total int    // totalCount; 0 if it is absent or no count
	token string // continuationToken
	link  link   // links.next
	lost  error  // why it is unknown what comes next; nil if it is known

	stated  bool // totalCount is a count
	present bool // items is an array or null
}

// link is a links.next: what to ask for the next page with.
type link struct {
	uri    string
	header http.Header
}

var (
	errNoList  = errors.New("the answer is no list")
	errBadNext = errors.New("the answer's next page cannot be read")
)

// readEnvelope reads a page's body and checks that it is JSON, but leaves its items for later. They are good also where
// it cannot be read what comes next.
func readEnvelope(body []byte) (envelope, error) {
	var e envelope
	for m, err := range membersOf(body) {
		if err != nil {
			return envelope{}, errNoList
		}
		if err := e.readMember(m); err != nil {
			e.lost = err
		}
	}
	empty := e.stated && e.total == 0
	if !e.present && !empty {
		return envelope{}, errNoList
	}
	return e, nil
}

// readMember reads one member. Of equal names the last counts.
func (e *envelope) readMember(m member) (err error) {
	switch m.name {
	case "items":
		kind := m.value.Kind()
		if e.items = nil; kind == '[' {
			e.items = m.value
		}
		e.present = kind == '[' || kind == 'n'
	case "totalCount":
		e.total, e.stated = readTotal(m.value)
	case "continuationToken":
		// A token that cannot be read must not pass for the end of the list.
		e.token, err = (&reader{body: m.value}).textOrNull()
	case "links":
		e.link, err = readLinks(&reader{body: m.value})
	}
	return err
}

func readTotal(raw []byte) (total int, ok bool) {
	n, ok := wholeNumber(raw)
	if !ok || n < 0 {
		return 0, false
	}
	return int(n), true
}

// wholeNumber reads a JSON number without a fraction, also one written 5.0 or 5e0.
func wholeNumber(raw []byte) (n int64, ok bool) {
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, false
	}
	if n, err := strconv.Atoi(string(raw)); err == nil && len(raw) < 10 { // as nearly all are
		return int64(n), true
	}
	const exact = 1 << 53 // up to there a float64 holds every whole number
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > exact {
		return 0, false
	}
	return int64(f), true
}

// readLinks reads links for its next. Where links is no object it holds none.
func readLinks(r *reader) (next link, err error) {
	if r.peek() != '{' {
		r.skip()
		return link{}, nil
	}
	for name := range r.members() {
		if string(name) != "next" {
			r.skip()
			continue
		}
		if next, err = readLink(r); err != nil {
			return link{}, err
		}
	}
	return next, nil
}

func readLink(r *reader) (l link, err error) {
	switch r.peek() {
	case '{':
	case 'n':
		r.skip()
		return link{}, nil
	default:
		return link{}, errBadNext
	}
	for name := range r.members() {
		switch string(name) {
		case "uri":
			l.uri, err = r.textOrNull()
		case "headers":
			l.header, err = readHeaders(r)
		default:
			r.skip()
		}
		if err != nil {
			return link{}, err
		}
	}
	return l, nil
}

// readHeaders reads a link's headers, a list of {key, value}, and keeps those that may be sent.
func readHeaders(r *reader) (http.Header, error) {
	header := http.Header{}
	if r.peek() != '[' {
		r.skip()
		return header, nil
	}
	for range r.elements() {
		key, value, err := readHeader(r)
		if err != nil {
			return nil, err
		}
		if key = strings.TrimSpace(key); mayBeSent(key) && value != "" {
			header.Set(key, value)
		}
	}
	return header, nil
}

func readHeader(r *reader) (key, value string, err error) {
	if r.peek() != '{' {
		return "", "", errBadNext
	}
	for name := range r.members() {
		switch string(name) {
		case "key":
			key, err = r.textOrNull()
		case "value":
			value, err = r.textOrNull()
		default:
			r.skip()
		}
		if err != nil {
			return "", "", err
		}
	}
	return key, value, nil
}

// trimBOM removes the byte order mark that the API puts before most of its JSON.
func trimBOM(body []byte) []byte {
	return bytes.TrimPrefix(body, []byte("\ufeff"))
}
