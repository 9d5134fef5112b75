package partnercenter

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	connectTimeout = 10 * time.Second
	maxRedirects   = 5
)

// NewTransport returns the transport used where the options name none, for those who wrap it: the standard one with 10
// seconds to connect and enough idle connections for one partner's concurrency.
func NewTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout = connectTimeout
	t.MaxIdleConnsPerHost = 64
	// A connection that has silently died would otherwise cost every attempt on it its whole timeout.
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

func (e *redirectError) Error() string { return e.reason }

// checkRedirect lets requests stay on their host only: they carry a token or a secret.
func checkRedirect(next *http.Request, via []*http.Request) error {
	switch {
	case !sameHost(next.URL, via[0].URL):
		return &redirectError{"not following a redirect to " + next.URL.Scheme + "://" + next.URL.Host}
	case len(via) > maxRedirects:
		return &redirectError{fmt.Sprintf("not following more than %d redirects", maxRedirects)}
	}
	return nil
}

// sameHost says whether two URLs have the same scheme, host and port.
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

func tokenClient(opts TokenOptions) *http.Client {
	c := newHTTPClient(opts.Transport)
	c.Transport = wholeReplies{c.Transport, userAgent(opts.Version)}
	return c
}

// wholeReplies carries requests to the authority. It reads each reply to its end, so that one that breaks off is an error
// of the transport, to be retried, and not a reply that the OAuth library cannot parse; and is lenient with its times.
type wholeReplies struct {
	next      http.RoundTripper
	userAgent string
}

const maxTokenReply = 1 << 20

func (t wholeReplies) RoundTrip(req *http.Request) (*http.Response, error) {
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
	resp.Body = io.NopCloser(bytes.NewReader(wholeSeconds(trimBOM(body))))
	// The authority speaks JSON, whatever a proxy on the way says. The library would take text for a form.
	resp.Header.Set("Content-Type", "application/json")
	return resp, nil
}
