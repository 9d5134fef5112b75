package partnercenter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

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
			if n, ok := seconds(value); ok {
				reply[name] = strconv.AppendInt(nil, n, 10)
			} else {
				delete(reply, name)
			}
		}
	}
	corrected, err := json.Marshal(reply)
	if err != nil {
		return body
	}
	return corrected
}

// seconds reads a number, or a string that holds one.
func seconds(value json.RawMessage) (n int64, ok bool) {
	text := string(value)
	if s, err := strconv.Unquote(text); err == nil {
		text = strings.TrimSpace(s)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, false
	}
	return int64(max(math.MinInt32, min(f, math.MaxInt32))), true
}
