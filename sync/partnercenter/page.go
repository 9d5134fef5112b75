package partnercenter

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// page is what one answer holds: the API documentation's Collection.
type page struct {
	items jsontext.Value // the JSON array of the items; nil if there is none
	total int            // totalCount; 0 if it is absent or no count
	token string         // continuationToken
	link  link           // links.next
	lost  error          // why it is unknown what comes next; nil if it is known
}

// link is a links.next: what to ask for the next page with.
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

// readPage reads a page's body and checks that it is JSON, but leaves its items for later. They are good also where it
// cannot be read what comes next.
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
	p.token, p.lost = readToken(members.ContinuationToken)
	if p.lost == nil {
		p.link, p.lost = readLinks(members.Links)
	}
	return p, nil
}

// span is where a value is in its JSON text. The items of a page are too large to be copied.
type span struct{ from, to int64 }

// UnmarshalJSONFrom notes where the value that d reads next is.
func (s *span) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	value, err := d.ReadValue()
	s.to = d.InputOffset()
	s.from = s.to - int64(len(value))
	return err
}

// readToken reads a continuation token. One that cannot be read must not pass for the end of the list.
func readToken(value jsontext.Value) (token string, err error) {
	if value == nil {
		return "", nil
	}
	if json.Unmarshal(value, &token, lenient) != nil {
		return "", errBadNext
	}
	return token, nil
}

// readLinks reads links for its next. Where links is no object it holds none.
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

// mayBeSent says whether a header that the server wants on the next request is sent. None that says who asks, or whom,
// is.
func mayBeSent(key string) bool {
	switch http.CanonicalHeaderKey(key) {
	case continuationHeader, "Ms-Contract-Version":
		return true
	}
	return false
}

// seekNext returns u with the query that goes along with a continuation token.
func seekNext(u *url.URL) *url.URL {
	next := *u
	if !strings.Contains(strings.ToLower(u.RawQuery), "seekoperation=") {
		next.RawQuery = strings.TrimPrefix(u.RawQuery+"&seekOperation=Next", "&")
	}
	return &next
}

// unescaped escapes what the service leaves as it is in the names within a uri. It writes no fragments.
var unescaped = strings.NewReplacer(" ", "%20", "#", "%23")

// resolve returns the URL that a link's uri means on a page that was asked for at current. The service writes such uris
// with /v1 and without, with raw spaces, and the documentation shows one with a second "?". Whatever a uri says, the
// result is below base, which is where the token may go.
func resolve(base, current *url.URL, uri string) (*url.URL, error) {
	uri, err := withoutHost(base, strings.TrimSpace(uri))
	if err != nil {
		return nil, err
	}
	uri = cutOwnPath(base, current, uri)
	path, query, _ := strings.Cut(unescaped.Replace(uri), "?")
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

// cutOwnPath returns uri without the path if that is the current page's, written with the names in it as they are: a
// "?", "/" or "%" of a name would otherwise be taken for one of the URL's.
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

// versioned says whether a path begins with /v1, in any case.
func versioned(path string) bool {
	segment, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return strings.HasPrefix(path, "/") && strings.EqualFold(segment, "v1")
}

// withoutHost returns uri without the scheme and host of base. Those of anything else are an error.
func withoutHost(base *url.URL, uri string) (string, error) {
	scheme, rest, ok := strings.Cut(uri, "//")
	if !ok || scheme != "" && !strings.HasSuffix(scheme, ":") || strings.ContainsAny(scheme, "/?#") {
		return uri, nil // relative: a "//" further inside means no host
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
