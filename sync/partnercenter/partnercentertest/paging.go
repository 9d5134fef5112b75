package partnercentertest

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Paging is how a page of customers or devices names the next one.
type Paging int

// The ways to name the next page. The API documentation shows the link for customers, and speaks of the token in the
// body for devices.
const (
	DocumentedPaging Paging = iota // customers by NextLink, devices by BodyToken
	NextLink                       // links.next, its headers with the token
	BodyToken                      // continuationToken beside the items, no links.next
	NextLinkAndToken               // both
)

// leadOn returns how a page names the one that a token stands for: a member of its links, and one of its own with a comma
// before. Either may be "", and for a token of "" both are.
func leadOn(p Paging, uri, token string) (link, top string) {
	if token == "" {
		return "", ""
	}
	if p != BodyToken {
		link = fmt.Sprintf(`"next":{"uri":"%s","method":"GET","headers":[{"key":"MS-ContinuationToken","value":"%s"}]}`, uri, token)
	}
	if p != NextLink {
		top = `,"continuationToken":"` + token + `"`
	}
	return link, top
}

// linkVersion is what the links of pages begin with.
func (e *Emulator) linkVersion() string {
	if e.opts.UnversionedLinks {
		return ""
	}
	return "/v1"
}

// foldedQuery returns the query's parameters by their names in lower case: the API documentation has seekOperation and
// seekoperation.
func foldedQuery(r *http.Request) url.Values {
	folded := url.Values{}
	for name, values := range r.URL.Query() {
		folded[strings.ToLower(name)] = values
	}
	return folded
}

// seek says after which item the page begins. A token counts with the operation Next alone: without, the list begins anew.
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

// continuationToken makes the token that [seek] reads. It names an item, not a position, so that others may come and
// go between two pages.
func continuationToken(seq uint32) string {
	return base64.StdEncoding.EncodeToString(binary.LittleEndian.AppendUint32(nil, seq))
}
