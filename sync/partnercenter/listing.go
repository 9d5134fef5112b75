package partnercenter

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/zeebo/xxh3"
)

// digestFormat begins every digest. A release that decodes anything differently changes it, so that lists are decoded
// anew.
const digestFormat = "partnercenter 4\n"

// Listing goes along with one listing: what its caller knew before, and what the client learned. The results stand once
// the listing is over.
type Listing struct {
	// Known is the digest of an earlier complete listing of the same list. Where the same bytes come again, nothing is
	// decoded or yielded, and Unchanged is set.
	Known []byte
	// CorrelationID is the MS-CorrelationId of the requests. Where it is "", a new one is made and filled in.
	CorrelationID string
	// OnPage, if set, is called when a page was received.
	OnPage func()

	// Digest is XXH3-128, in 16 bytes, over a format number of ours and the pages' bodies; nil unless the listing is
	// complete.
	Digest    []byte
	Unchanged bool      // Digest equals Known
	SentAt    time.Time // when the answered attempt of the first page was sent, with monotonic reading; zero: none was
	Pages     int       // pages answered
	Items     int       // items decoded, including the skipped ones
	Expected  int       // at most so many items, as far as the API has said by now; what it says need not be true
	Skipped   int       // items that are no objects or have no usable id: with any, the listing ends in an error
	Misfits   int       // values of a wrong type or range, left nil or empty
	Replaced  int       // strings, and members of Extra, in which NUL or invalid Unicode became U+FFFD; in ids NUL stays
	Requests  int       // HTTP attempts, including those for a token
	Retries   int       // attempts after the first of their operation
	RequestID string    // of the last request, as its answer has it
	Answered  string    // MS-CorrelationId of the last answer with a body, most often CorrelationID; "": there is none
}

// begin clears the results of an earlier use.
func (l *Listing) begin() {
	*l = Listing{Known: l.Known, CorrelationID: l.CorrelationID, OnPage: l.OnPage}
	if l.CorrelationID == "" {
		l.CorrelationID = uuid.NewString()
	}
}

// attempted counts one HTTP attempt.
func (l *Listing) attempted(attempt int) {
	l.Requests++
	if attempt > 1 {
		l.Retries++
	}
}

// list reads the list at path, which begins with /v1, and yields its items as decode reads them. An error comes last.
func list[T any](
	ctx context.Context, c *Client, l *Listing, path string, decode func(*itemReader) T,
) iter.Seq2[T, error] {
	if l == nil {
		l = new(Listing)
	}
	return func(yield func(T, error) bool) {
		l.begin()
		for page, err := range c.pages(ctx, l, path) {
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for item, err := range decodeItems(l, page, decode) {
				if !yield(item, err) || err != nil {
					return
				}
			}
		}
	}
}

// pages reads the list at path and yields each page: also those before an error, which comes last. Where an earlier
// listing is known, it yields none before it is certain that the list has changed.
func (c *Client) pages(ctx context.Context, l *Listing, path string) iter.Seq2[page, error] {
	return func(yield func(page, error) bool) {
		pager := newPager(c, l)
		pager.customer = customerOf([]byte(path))
		var held []page
		pass := func(p page) bool { // what it is passed to decodes all of its items
			skipped := l.Skipped
			more := yield(p, nil)
			if pager.noID == nil && l.Skipped > skipped {
				pager.noID = p.op
			}
			return more
		}
		next, err := c.firstPage(l, path)
		for next != nil && err == nil {
			var p page
			if p, next, err = pager.read(ctx, next); l.Unchanged {
				return
			}
			if l.Known != nil {
				held = append(held, p)
			} else if !pass(p) {
				return
			}
		}
		for i, p := range held {
			held[i] = page{} // its memory can be freed while the next ones are decoded
			if !pass(p) {
				return
			}
		}
		if err == nil {
			err = pager.checkItems()
		}
		if err != nil {
			yield(page{}, err)
			return
		}
		l.Digest = slices.Clone(pager.digest[:])
	}
}

// firstPage returns the request of the first page of the list at path.
func (c *Client) firstPage(l *Listing, path string) (*target, error) {
	u, err := url.Parse(c.base.String() + path)
	if err != nil {
		return nil, fmt.Errorf("making a URL: %w", err)
	}
	for segment := range strings.SplitSeq(path, "/") {
		// Such an id cannot be escaped: %2E is a dot in a path as well, and the path would be another list's.
		if segment == "." || segment == ".." {
			op := operation{method: http.MethodGet, url: withoutQuery(u), correlationID: l.CorrelationID}
			return nil, op.newError(codeUnaddressable, fmt.Sprintf("no URL can name the id %q", segment))
		}
	}
	return &target{url: u}, nil
}

// pager reads the pages of one listing.
type pager struct {
	client   *Client
	listing  *Listing
	customer uuid.UUID // whose list it is; uuid.Nil: no single customer's
	digest   [16]byte  // of the pages so far
	size     int       // bytes of all bodies
	stated   int       // the greatest totalCount
	last     *operation
	noID     *operation            // that read the first page with an item that has no usable id; nil: there is none
	asked    map[xxh3.Uint128]bool // for which pages
}

// newPager begins the digest. It distinguishes lists that one server gave at different times, and nobody gains anything
// by forging it. A cryptographic hash would take longer over an unchanged list than reading it does.
func newPager(c *Client, l *Listing) *pager {
	return &pager{client: c, listing: l, digest: xxh3.HashString128(digestFormat).Bytes(), asked: map[xxh3.Uint128]bool{}}
}

// read reads a page and returns it with the request of the page after it, nil after the last. Where the list cannot go
// on after the page, it returns the page and an error.
func (p *pager) read(ctx context.Context, t *target) (page page, next *target, err error) {
	p.asked[t.hash()] = true
	a, failed := p.client.get(ctx, p.listing, *t)
	if failed != nil {
		return page, nil, failed
	}
	if p.add(a); p.listing.Unchanged {
		if cap(a.body) <= maxSpareBody {
			p.client.spareBodies.Put(&a.body)
		}
		return page, nil, nil
	}
	if page, err = readPage(a.body); err != nil {
		return page, nil, a.badResponse(err.Error())
	}
	const shortest = len(`{"id":""}`)
	if other := otherCustomer(page.links, p.customer); other != uuid.Nil {
		page.items = nil // nothing of the other customer's is yielded
		return page, nil, a.op.otherCustomer(p.customer, other)
	}
	page.op, page.customer = a.op, p.customer
	p.stated, p.last = max(p.stated, page.total), a.op
	p.listing.Expected = min(p.stated, p.size/shortest)
	if next, err = p.client.nextPage(t, page); err != nil {
		return page, nil, a.badResponse(err.Error())
	}
	if reason := p.cannotGoOn(next); reason != "" {
		return page, nil, a.op.newError(codeIncomplete, reason)
	}
	return page, next, nil
}

// add takes an answer into the digest, before anything of it is parsed.
func (p *pager) add(a *answer) {
	l := p.listing
	if l.Pages == 0 {
		l.SentAt = a.sent
	}
	l.Pages++
	if l.OnPage != nil {
		l.OnPage()
	}
	p.size += len(a.body)
	body := xxh3.Hash128(a.body).Bytes()
	p.digest = xxh3.Hash128(slices.Concat(p.digest[:], body[:])).Bytes()
	if bytes.Equal(p.digest[:], l.Known) {
		l.Digest, l.Unchanged = l.Known, true
	}
}

// cannotGoOn returns why the list cannot go on with that page; "" if it can.
func (p *pager) cannotGoOn(next *target) string {
	switch {
	case p.size > p.client.maxListing:
		return fmt.Sprintf("the pages are over %d MiB together", p.client.maxListing>>20)
	case next == nil:
		return ""
	case p.listing.Pages >= p.client.maxPages:
		return fmt.Sprintf("there are more than %d pages", p.client.maxPages)
	case p.asked[next.hash()]:
		return fmt.Sprintf("page %d leads back to an earlier one", p.listing.Pages)
	}
	return ""
}

// checkItems returns an error if items came without a usable id, or fewer than the API has stated.
func (p *pager) checkItems() error {
	l := p.listing
	switch {
	case p.noID != nil:
		e := p.noID.newError(codeIncomplete, fmt.Sprintf("%d of %d items had no usable id", l.Skipped, l.Items))
		e.Hint = hintNoID
		return e
	case l.Items < p.stated:
		return p.last.newError(codeIncomplete, fmt.Sprintf("%d of %d stated items came", l.Items, p.stated))
	}
	return nil
}

// hash identifies a page: by its continuation token where there is one, since links can be the same on each page then.
func (t *target) hash() xxh3.Uint128 {
	if token := t.header.Get(continuationHeader); token != "" {
		return xxh3.HashString128(token)
	}
	return xxh3.HashString128("url " + t.url.String())
}
