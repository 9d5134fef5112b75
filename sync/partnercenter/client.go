// Package partnercenter reads a Microsoft partner's customers, and their device batches, devices and configuration
// policies, from the Partner Center REST API.
//
//	cloud, _ := partnercenter.CloudNamed("global")
//	tokens, err := partnercenter.NewTokenSource(partnercenter.Credentials{
//		AuthorityURL: cloud.AuthorityURL, Scope: cloud.Scope,
//		TenantID: "contoso.onmicrosoft.com", ClientID: id, ClientSecret: secret,
//	}, partnercenter.TokenOptions{})
//	…
//	client, err := partnercenter.New(partnercenter.Options{BaseURL: cloud.APIURL, Tokens: tokens})
//	…
//	var listing partnercenter.Listing
//	for batch, err := range client.DeviceBatches(ctx, customerID, &listing) {
//		…
//	}
//
// A listing reads all pages before it yields the first item, since only then is it known whether the list is whole. An
// error comes last, after the items of the pages that came; without one the listing was complete. Every error of a
// request is an *Error.
//
// Requests are retried, paced by a [Limiter] and never sent to another host than the API's, whatever its links say.
package partnercenter

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client reads one partner's lists. It is safe for concurrent use.
type Client struct {
	base    *url.URL // without /v1, and no "/" at the end
	tokens  *TokenSource
	http    *http.Client
	courier courier
	header  http.Header // of all requests

	maxBody, maxListing int // bytes of one body, and of a listing's bodies together
	maxPages            int
}

// Options are what a Client is made of. BaseURL and Tokens are required.
type Options struct {
	BaseURL        string            // API base without /v1; a trailing "/" or "/v1" is tolerated, a path prefix kept
	Tokens         *TokenSource      // where access tokens come from
	Limiter        *Limiter          // pace shared by all requests of the partner; nil: no limit
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
	limiter := opts.Limiter
	if limiter == nil {
		limiter = NewLimiter(0) // a 429 pauses this client's requests at least
	}
	return &Client{
		base:       base,
		tokens:     opts.Tokens,
		http:       newHTTPClient(opts.Transport),
		courier:    newCourier(opts.AttemptTimeout, limiter, opts.Logger),
		header:     commonHeader(userAgent(opts.Version)),
		maxBody:    64 << 20,
		maxListing: 1 << 30,
		maxPages:   10_000,
	}, nil
}

// Customers lists the partner's customers, by the API documentation's "Get a list of customers". l may be nil.
func (c *Client) Customers(ctx context.Context, l *Listing) iter.Seq2[Customer, error] {
	// 500 is the largest page the service gives.
	return list(ctx, c, l, "/v1/customers?size=500", decodeCustomer)
}

// DeviceBatches lists a customer's device batches, by the API documentation's "Get the list of device batches for the
// specified customer". customerID is the customer's id as received; l may be nil.
func (c *Client) DeviceBatches(ctx context.Context, customerID string, l *Listing) iter.Seq2[DeviceBatch, error] {
	return list(ctx, c, l, ofCustomer(customerID)+"/deviceBatches", decodeDeviceBatch)
}

// Devices lists the devices of one of a customer's batches, by the API documentation's "Get a list of devices for the
// specified batch and customer": 100 a page. customerID and batchID are the ids as received; l may be nil.
func (c *Client) Devices(ctx context.Context, customerID, batchID string, l *Listing) iter.Seq2[Device, error] {
	path := ofCustomer(customerID) + "/deviceBatches/" + url.PathEscape(batchID) + "/devices"
	return list(ctx, c, l, path, decodeDevice)
}

// ConfigurationPolicies lists a customer's configuration policies, by the API documentation's "Get a list of a
// customer's policies". customerID is the customer's id as received; l may be nil.
func (c *Client) ConfigurationPolicies(
	ctx context.Context, customerID string, l *Listing,
) iter.Seq2[ConfigurationPolicy, error] {
	return list(ctx, c, l, ofCustomer(customerID)+"/policies", decodeConfigurationPolicy)
}

// Probe asks the API for one page, as little as it gives: of the customer's device batches or, where customerID is "", of
// the partner's customers. Its error is an *Error.
func (c *Client) Probe(ctx context.Context, customerID string) error {
	path := "/v1/customers?size=1"
	if customerID != "" {
		path = ofCustomer(customerID) + "/deviceBatches"
	}
	var l Listing
	l.begin()
	first, err := c.first(&l, path)
	if err != nil {
		return err
	}
	a, e := c.get(ctx, &l, *first)
	if e != nil {
		return e
	}
	if _, err := readPage(a.body); err != nil {
		return a.bad(err.Error())
	}
	return nil
}

// ofCustomer returns the path of what is a customer's.
func ofCustomer(id string) string { return "/v1/customers/" + url.PathEscape(id) }

// parseBase reads the URL of a server, perhaps with a path prefix, without what may follow it.
func parseBase(s string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(s))
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		// Not the value or the parser's message: the URL may hold a password.
		return nil, errors.New("it must be a full http or https URL, such as https://host/prefix")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("it must hold no user, query or fragment")
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	if rest, ok := cutSuffixFold(path, "/v1"); ok {
		path = strings.TrimRight(rest, "/")
	}
	return url.Parse(u.Scheme + "://" + u.Host + path)
}

func cutSuffixFold(s, suffix string) (string, bool) {
	n := len(s) - len(suffix)
	if n < 0 || !strings.EqualFold(s[n:], suffix) {
		return s, false
	}
	return s[:n], true
}
