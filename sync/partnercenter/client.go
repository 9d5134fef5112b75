// Package partnercenter reads a Microsoft partner's customers, and their device batches, devices and configuration
// policies, from the Partner Center REST API.
//
// A [TokenSource] signs in with a partner's [Credentials], and a [Client] uses its tokens to list things. A listing is
// an iterator that reads all pages before it yields the first item, since only then is it known whether the list has
// changed and whether it is complete. An error comes last, after the items of the pages that arrived; without one the
// listing was complete. A [Listing] goes along with it: it carries the digest of an earlier listing in, so that nothing
// is decoded where the same bytes come again, and the new digest and what else was learned out.
//
// Every error of a request is an [*Error]. Requests are retried, held back by a [Limiter], and never sent to any other
// host than the API's, whatever its links say.
package partnercenter

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Client reads one partner's lists. It is safe for concurrent use.
type Client struct {
	base    *url.URL // without /v1, and without a "/" at the end
	tokens  *TokenSource
	http    *http.Client
	retrier retrier
	header  http.Header // of all requests

	maxBody, maxListing int // bytes of one body, and of a listing's bodies together
	maxPages            int

	// spareBodies has the memory of bodies that nobody needs any more, as *[]byte. Of nearly all lists nothing is needed
	// but the digest, and in a pass over unchanged ones, new memory for each body would take as long as reading them.
	spareBodies sync.Pool
}

// maxSpareBody is the size up to which the memory of a body is used again.
const maxSpareBody = 1 << 20

// Options are what a Client is made of. BaseURL and Tokens are required.
type Options struct {
	BaseURL        string            // API base without /v1; a trailing "/" or "/v1" is tolerated, a path prefix kept
	Tokens         *TokenSource      // where access tokens come from
	Limiter        *Limiter          // shared by all requests of the partner; nil: no limit
	AttemptTimeout time.Duration     // of one attempt, body included; 0: 3 minutes
	Version        string            // for User-Agent: partnersync/<version>
	Logger         *slog.Logger      // nil: discard; a warning for each retry
	Transport      http.RoundTripper // nil: our own, with 10 seconds to connect
}

// New returns a client. It makes no request.
func New(opts Options) (*Client, error) {
	base, err := parseBase(opts.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("reading the API's base URL: %w", err)
	}
	if opts.Tokens == nil {
		return nil, errors.New("making a client: no token source")
	}
	header := http.Header{}
	header.Set("Accept", "application/json")
	header.Set("User-Agent", userAgent(opts.Version))
	header.Set("X-Locale", "en-US")
	header.Set("MS-PartnerCenter-Application", "partnersync")
	return &Client{
		base:       base,
		tokens:     opts.Tokens,
		http:       newHTTPClient(opts.Transport),
		retrier:    newRetrier(opts.AttemptTimeout, opts.Limiter, opts.Logger),
		header:     header,
		maxBody:    64 << 20,
		maxListing: 1 << 30,
		maxPages:   10_000,
	}, nil
}

// customerPath returns the path below which a customer's resources are.
func customerPath(id string) string { return "/v1/customers/" + url.PathEscape(id) }

// parseBase reads the URL of a server, which may have a path prefix, and drops a trailing "/" or "/v1".
func parseBase(s string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(s))
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		// Neither the value nor the parser's message: the URL may hold a password.
		return nil, errors.New("it must be a full http or https URL, such as https://host/prefix")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("it must hold no user, query or fragment")
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	if n := len(path) - len("/v1"); n >= 0 && strings.EqualFold(path[n:], "/v1") {
		path = strings.TrimRight(path[:n], "/")
	}
	return url.Parse(u.Scheme + "://" + u.Host + path)
}
