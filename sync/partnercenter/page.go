package partnercenter

import (
	"bytes"
	"errors"
	"maps"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// page is what one answer holds: the API documentation's Collection.
type page struct {
	items jsontext.Value // the JSON array of the items; nil if there is none
	total int            // totalCount; 0 if it is absent or no count
	token string         // continuationToken
	links jsontext.Value // links; nil if there is none
	link  link           // links.next
	lost  error          // why the next page cannot be found; nil if it can, or if there is none

	op       *operation // that read it
	customer uuid.UUID  // whose list was asked for; uuid.Nil: no single customer's
}

// link is links.next: how the next page is to be requested.
type link struct {
	uri    string
	header http.Header
}

// continuationHeader carries the token of the next page, by the API documentation's "Get a list of customers".
const continuationHeader = "Ms-Continuationtoken"

var (
	errNoList    = errors.New("the answer is no list")
	errBadNext   = errors.New("the answer's next page cannot be read")
	errElsewhere = errors.New("the next page is said to be on another host")
)

// readPage reads a page's body and checks that all of it is JSON, but does not decode the items yet. They are valid
// even where the next page cannot be found.
func readPage(body []byte) (page, error) {
	var members struct {
		Items             span           `json:"items"`
		TotalCount        jsontext.Value `json:"totalCount"`
		ContinuationToken jsontext.Value `json:"continuationToken"`
		Links             jsontext.Value `json:"links"`
	}
	body = trimBOM(body)
	if json.Unmarshal(body, &members, lenient) != nil {
		return page{}, errNoList
	}
	var p page
	total, stated := wholeNumber(members.TotalCount)
	stated = stated && total >= 0
	if stated {
		p.total = int(total)
	}
	items := jsontext.Value(body[members.Items.from:members.Items.to])
	switch items.Kind() {
	case '[':
		p.items = items
	case 'n':
	default:
		if !stated || total != 0 {
			return page{}, errNoList
		}
	}
	p.links = members.Links
	p.link, p.lost = readLinks(members.Links)
	if token := members.ContinuationToken; token != nil && json.Unmarshal(token, &p.token, lenient) != nil {
		p.lost = errBadNext // one of the wrong type must not be taken for the end of the list
	}
	return p, nil
}

// span is where in its JSON text a value is. A page's items are too large to be copied.
type span struct{ from, to int64 }

// UnmarshalJSONFrom notes where the value that d reads next is.
func (s *span) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	value, err := d.ReadValue()
	s.to = d.InputOffset()
	s.from = s.to - int64(len(value))
	return err
}

// readLinks reads links.next. Where links is not an object there is none.
func readLinks(value jsontext.Value) (link, error) {
	if value.Kind() != '{' {
		return link{}, nil
	}
	var links struct {
		Next struct {
			URI     string         `json:"uri"`
			Headers jsontext.Value `json:"headers"`
		} `json:"next"`
	}
	var headers []struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	}
	err := json.Unmarshal(value, &links, lenient)
	if err == nil && links.Next.Headers.Kind() == '[' {
		err = json.Unmarshal(links.Next.Headers, &headers, lenient)
	}
	if err != nil {
		return link{}, errBadNext
	}
	next := link{uri: links.Next.URI, header: http.Header{}}
	for _, h := range headers {
		if key := strings.TrimSpace(h.Key); mayBeSent(key) && h.Value != "" {
			next.header.Set(key, h.Value)
		}
	}
	return next, nil
}

// wholeNumber reads a JSON number without a fraction, also one written 5.0 or 5e0.
func wholeNumber(value jsontext.Value) (n int64, ok bool) {
	const exact = 1 << 53 // up to there a float64 holds every whole number
	f, err := strconv.ParseFloat(string(value), 64)
	if err != nil || value.Kind() != '0' || f != math.Trunc(f) || math.Abs(f) > exact {
		return 0, false
	}
	return int64(f), true
}

// trimBOM removes the byte order mark that the API puts before most of its JSON.
func trimBOM(body []byte) []byte { return bytes.TrimPrefix(body, []byte("\ufeff")) }

// nextPage returns the request of the page after the one asked for; nil if that was the last.
func (c *Client) nextPage(asked *target, p page) (*target, error) {
	if p.lost != nil {
		return nil, p.lost
	}
	header := http.Header{}
	if p.token != "" {
		header.Set(continuationHeader, p.token)
	}
	maps.Copy(header, p.link.header)
	token := header.Get(continuationHeader)
	if strings.ContainsFunc(token, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, errBadNext
	}
	switch {
	case p.link.uri != "":
		u, err := resolve(c.base, asked.url, p.link.uri)
		return &target{u, header}, err
	case token != "":
		return &target{seekNext(asked.url), header}, nil
	}
	return nil, nil
}

// mayBeSent reports whether a header that a link asks for is sent. Others could replace our own, such as Authorization.
func mayBeSent(key string) bool {
	switch http.CanonicalHeaderKey(key) {
	case continuationHeader, "Ms-Contract-Version":
		return true
	}
	return false
}

// seekNext returns u with the query that a continuation token needs.
func seekNext(u *url.URL) *url.URL {
	next := *u
	if !strings.Contains(strings.ToLower(u.RawQuery), "seekoperation=") {
		next.RawQuery = strings.TrimPrefix(u.RawQuery+"&seekOperation=Next", "&")
	}
	return &next
}

// escaper escapes what the service does not in the names within a uri. Fragments do not occur.
var escaper = strings.NewReplacer(" ", "%20", "#", "%23")

// resolve returns the URL of a link's uri on the page whose URL is current. The service writes uris with /v1 and
// without, and with raw spaces, and the documentation shows one with a second "?". Whatever a uri says, the result is
// below base, which is where the token may be sent.
func resolve(base, current *url.URL, uri string) (*url.URL, error) {
	uri, err := withoutHost(base, strings.TrimSpace(uri))
	if err != nil {
		return nil, err
	}
	uri = cutOwnPath(base, current, uri)
	path, query, _ := strings.Cut(escaper.Replace(uri), "?")
	prefix := strings.TrimRight(base.EscapedPath(), "/")
	if path == "" {
		path = current.EscapedPath()
	}
	path = "/" + strings.TrimLeft(path, "/")
	if rest, ok := strings.CutPrefix(path, prefix); ok && versioned(rest) {
		path = rest
	}
	if !versioned(path) {
		path = "/v1" + path
	}
	full := base.Scheme + "://" + base.Host + prefix + path
	if query != "" {
		full += "?" + strings.ReplaceAll(query, "?", "&")
	}
	u, err := url.Parse(full)
	if err != nil {
		return nil, errBadNext
	}
	return u, nil
}

// cutOwnPath returns uri without its path if that is the current page's, with the names in it unescaped. Otherwise a
// "?", "/" or "%" in a name would be taken for one of the URL.
func cutOwnPath(base, current *url.URL, uri string) string {
	path := strings.TrimPrefix(current.Path, base.Path)
	for _, own := range []string{current.Path, path, path[len("/v1"):]} {
		rest, ok := strings.CutPrefix("/"+strings.TrimLeft(uri, "/"), own)
		if ok && (rest == "" || rest[0] == '?') {
			return rest
		}
	}
	return uri
}

// versioned reports whether a path begins with /v1, in upper or lower case.
func versioned(path string) bool {
	segment, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return strings.HasPrefix(path, "/") && strings.EqualFold(segment, "v1")
}

// withoutHost returns uri without its scheme and host, which have to be those of base.
func withoutHost(base *url.URL, uri string) (string, error) {
	scheme, rest, ok := strings.Cut(uri, "//")
	if !ok || scheme != "" && !strings.HasSuffix(scheme, ":") || strings.ContainsAny(scheme, "/?#") {
		return uri, nil // relative: a "//" further on is not followed by a host
	}
	host, path := rest, ""
	if i := strings.IndexAny(rest, `/?#\`); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	u := &url.URL{Scheme: strings.TrimSuffix(scheme, ":"), Host: host}
	if u.Scheme == "" {
		u.Scheme = base.Scheme
	}
	if strings.Contains(host, "@") || !sameHost(u, base) {
		return "", errElsewhere
	}
	return path, nil
}
