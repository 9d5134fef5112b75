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
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
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

	// spareBodies has the memory of bodies that nobody needs any more, as *[]byte. Of nearly all lists nothing is
	// needed but the digest, and in a pass over unchanged ones, new memory for each body would take as long as reading
	// them.
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

const (
	connectTimeout = 10 * time.Second
	maxRedirects   = 5
)

// NewTransport returns the transport that is used where the options name none, for callers who wrap it: the standard
// one with 10 seconds to connect and enough idle connections for one partner's concurrency.
func NewTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout = connectTimeout
	t.MaxIdleConnsPerHost = 64
	// Otherwise every attempt on a connection that has silently died would wait for its whole timeout.
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second}
	return t
}

func newHTTPClient(t http.RoundTripper) *http.Client {
	if t == nil {
		t = NewTransport()
	}
	return &http.Client{Transport: t, CheckRedirect: checkRedirect}
}

// redirectError is a redirect that is not followed.
type redirectError struct{ reason string }

// Error returns why it is not followed.
func (e *redirectError) Error() string { return e.reason }

// checkRedirect follows redirects on the same host only, since requests carry a token or a secret.
func checkRedirect(next *http.Request, via []*http.Request) error {
	switch {
	case !sameHost(next.URL, via[0].URL):
		return &redirectError{"not following a redirect to " + next.URL.Scheme + "://" + next.URL.Host}
	case len(via) > maxRedirects:
		return &redirectError{fmt.Sprintf("not following more than %d redirects", maxRedirects)}
	}
	return nil
}

// sameHost reports whether two URLs have the same scheme, host and port.
func sameHost(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case strings.EqualFold(u.Scheme, "http"):
		return "80"
	}
	return "443"
}

// userAgent returns the User-Agent of a version of this program.
func userAgent(version string) string {
	return strings.TrimSuffix("partnersync/"+version, "/")
}

// authorityTransport sends requests to the authority. It reads each reply to its end, so that one that breaks off is an
// error of the transport, to be retried, and not a reply that the OAuth library cannot parse; and it corrects what the
// library would not accept.
type authorityTransport struct {
	next      http.RoundTripper
	userAgent string
}

const maxTokenReply = 1 << 20

// RoundTrip sends the request and reads the whole reply.
func (t authorityTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("User-Agent", t.userAgent)
	req.Header.Set("Accept", "application/json")
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenReply))
	if err != nil {
		return nil, fmt.Errorf("reading the authority's answer: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(withWholeSeconds(trimBOM(body))))
	// The authority sends JSON, whatever a proxy on the way says. The library would read text as a form.
	resp.Header.Set("Content-Type", "application/json")
	return resp, nil
}

// withWholeSeconds returns a reply of the authority with whole numbers for its durations: others are truncated, and
// what is not a number is left out. Otherwise the OAuth library would refuse the whole reply.
func withWholeSeconds(body []byte) []byte {
	var reply map[string]json.RawMessage
	if json.Unmarshal(body, &reply) != nil {
		return body
	}
	for name, value := range reply {
		switch strings.ToLower(name) { // as the library reads names
		case "expires_in", "interval":
			text := string(value)
			if unquoted, err := strconv.Unquote(text); err == nil {
				text = strings.TrimSpace(unquoted)
			}
			seconds, err := strconv.ParseFloat(text, 64)
			if err != nil || math.IsNaN(seconds) || math.IsInf(seconds, 0) {
				delete(reply, name)
				continue
			}
			seconds = max(math.MinInt32, min(seconds, math.MaxInt32))
			reply[name] = strconv.AppendInt(nil, int64(seconds), 10)
		}
	}
	corrected, err := json.Marshal(reply)
	if err != nil {
		return body
	}
	return corrected
}
