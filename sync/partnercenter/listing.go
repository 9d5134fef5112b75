package partnercenter

import (
	"bytes"
	"context"
	"crypto/sha256"
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
const digestFormat = "partnercenter 3\n"

// Listing goes along with one listing: what its caller knew before, and what the client learned. The results stand once
// the listing is over.
type Listing struct {
	// Known is the digest of an earlier complete listing of the same list. Where the same bytes come again, nothing is
	// decoded or yielded, and Unchanged is set.
	Known []byte
	// FirstBy is when the first page must have come; zero: whenever it does.
	FirstBy time.Time
	// CorrelationID is the MS-CorrelationId of the requests. Where it is "", a new one is made and filled in.
	CorrelationID string

	Digest    []byte    // 16 bytes, of XXH3-128 over a format number of ours and the pages' bodies; nil unless the listing is complete
	Unchanged bool      // Digest equals Known
	SentAt    time.Time // when the answered attempt of the first page was sent, with monotonic reading; zero: none was
	Pages     int       // pages answered
	Items     int       // items that have been decoded, those skipped included
	Expected  int       // items in all, as far as the API has said by now: it need not be true, but is no more than could have come
	Skipped   int       // items that are no objects or have no usable id
	Misfits   int       // values of a wrong type or range, left nil or empty
	Replaced  int       // strings, and members of Extra, in which NUL or invalid Unicode became U+FFFD; in ids NUL stays
	Requests  int       // HTTP attempts, those for a token included
	Retries   int       // attempts after the first of their operation
	RequestID string    // of the last request, as its answer has it
	Answered  string    // MS-CorrelationId of the last answer with a body, most often CorrelationID; "": there is none
}

// begin clears the results of an earlier use.
func (l *Listing) begin() {
	*l = Listing{Known: l.Known, FirstBy: l.FirstBy, CorrelationID: l.CorrelationID}
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
	ctx context.Context, c *Client, l *Listing, path string, decode func(*item) T,
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
			for item := range decodeItems(l, page.items, decode) {
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}

// pages reads the list at path and yields each page: also those before an error, which comes last. Where an earlier listing is
// known, none comes before it is certain that the list is another one.
func (c *Client) pages(ctx context.Context, l *Listing, path string) iter.Seq2[page, error] {
	return func(yield func(page, error) bool) {
		b := book{client: c, listing: l}
		b.begin()
		var held []page
		next, err := c.first(l, path)
		for next != nil && err == nil {
			var p page
			if p, next, err = b.turn(ctx, next); l.Unchanged {
				return
			}
			if l.Known != nil {
				held = append(held, p)
			} else if !yield(p, nil) {
				return
			}
		}
		for i, p := range held {
			held[i] = page{} // the largest lists should go while they are decoded
			if !yield(p, nil) {
				return
			}
		}
		if err == nil {
			err = b.short()
		}
		if err != nil {
			yield(page{}, err)
			return
		}
		l.Digest = b.sum()
	}
}

// timely reads one page, the first one in the time that there is for it.
func (c *Client) timely(ctx context.Context, l *Listing, t target) (*answer, *Error) {
	if l.Pages == 0 && !l.FirstBy.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, l.FirstBy)
		defer cancel()
	}
	return c.get(ctx, l, t)
}

// first returns what to ask for the first page of the list at path with.
func (c *Client) first(l *Listing, path string) (*target, error) {
	u, err := url.Parse(c.base.String() + path)
	if err != nil {
		return nil, fmt.Errorf("making a URL: %w", err)
	}
	for segment := range strings.SplitSeq(path, "/") {
		// An id. Escaping it does not help: a %2E is a dot in a path, too, and such a path is another list's.
		if segment == "." || segment == ".." {
			o := operation{method: http.MethodGet, url: withoutQuery(u), correlationID: l.CorrelationID}
			return nil, o.fail(codeUnaddressable, fmt.Sprintf("no URL can name the id %q", segment))
		}
	}
	return &target{url: u}, nil
}

// book keeps account of the pages of one listing.
type book struct {
	client  *Client
	listing *Listing
	digest  [16]byte   // of the pages so far
	size    int        // bytes of all bodies
	stated  int        // the greatest totalCount
	last    *operation // the page that was asked for last
	seen    map[[sha256.Size]byte]bool
}

// begin begins the digest. It tells lists apart that one server gave at different times, which nobody gains by forging; a
// cryptographic hash would take longer over an unchanged list than reading it does.
func (b *book) begin() { b.digest = xxh3.HashString128(digestFormat).Bytes() }

// sum is the digest of the pages so far.
func (b *book) sum() []byte { return slices.Clone(b.digest[:]) }

// add takes an answer into the digest, before anything of it is parsed.
func (b *book) add(a *answer) {
	l := b.listing
	if l.Pages == 0 {
		l.SentAt = a.sent
	}
	l.Pages++
	b.size += len(a.body)
	body := xxh3.Hash128(a.body).Bytes()
	b.digest = xxh3.Hash128(slices.Concat(b.digest[:], body[:])).Bytes()
	if bytes.Equal(b.digest[:], l.Known) {
		l.Digest, l.Unchanged = b.sum(), true
	}
}

// turn asks for a page and returns it, also where the list cannot go on after it, and what to ask for the next page with,
// nil after the last.
func (b *book) turn(ctx context.Context, asked *target) (p page, next *target, err error) {
	a, failed := b.client.timely(ctx, b.listing, *asked)
	if failed != nil {
		return page{}, nil, failed
	}
	if b.add(a); b.listing.Unchanged {
		return page{}, nil, nil
	}
	p, err = readPage(a.body)
	if err != nil {
		return page{}, nil, a.bad(err.Error())
	}
	const least = len(`{"id":""}`)
	b.stated, b.last = max(b.stated, p.total), a.op
	b.listing.Expected = min(b.stated, b.size/least)
	if next, err = b.client.next(asked, p); err != nil {
		return p, nil, a.bad(err.Error())
	}
	if reason := b.incomplete(asked, next); reason != "" {
		return p, nil, a.op.fail(codeIncomplete, reason)
	}
	return p, next, nil
}

// incomplete says why the list cannot go on from the page asked for with what would come next; "" if nothing speaks against it.
func (b *book) incomplete(asked, next *target) string {
	switch {
	case b.size > b.client.maxListing:
		return fmt.Sprintf("the pages are over %d MiB together", b.client.maxListing>>20)
	case next == nil:
		return ""
	case b.listing.Pages >= b.client.maxPages:
		return fmt.Sprintf("there are more than %d pages", b.client.maxPages)
	case b.leadsBack(asked, next):
		return fmt.Sprintf("page %d leads back to an earlier one", b.listing.Pages)
	}
	return ""
}

// short says that fewer items have come than were stated.
func (b *book) short() error {
	if b.listing.Items >= b.stated {
		return nil
	}
	return b.last.fail(codeIncomplete, fmt.Sprintf("%d items came where %d were stated", b.listing.Items, b.stated))
}

// leadsBack says whether the page asked for, or one before it, was asked for like the next one. It is told of all that lead on.
func (b *book) leadsBack(asked, next *target) bool {
	if b.seen == nil {
		b.seen = map[[sha256.Size]byte]bool{asked.sum(): true}
	}
	sum := next.sum()
	before := b.seen[sum]
	b.seen[sum] = true
	return before
}

// sum tells pages apart: by their continuation token where there is one, since links stay the same from page to page then.
func (t *target) sum() [sha256.Size]byte {
	key := t.header.Get(continuationHeader)
	if key == "" {
		key = "url " + t.url.String()
	}
	return sha256.Sum256([]byte(key))
}
