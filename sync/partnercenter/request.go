package partnercenter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// The ids of a request and its answer, by the API documentation's "Partner Center REST headers", as net/http spells
// them.
const (
	requestIDHeader     = "Ms-Requestid"
	correlationIDHeader = "Ms-Correlationid"
)

// target is what distinguishes the request of one page.
type target struct {
	url    *url.URL
	header http.Header // of the paging
}

// answer is a page's complete answer.
type answer struct {
	body        []byte
	contentType string
	op          *operation // with the answer's ids
	sent        time.Time  // of the answered attempt
}

// pageRequest is the operation of reading one page, with all its attempts.
type pageRequest struct {
	client  *Client
	listing *Listing
	target  target
	op      operation

	token     *token
	refreshed bool // a new token has been asked for after a 401
	answer    *answer
}

// get reads one page, with retries.
func (c *Client) get(ctx context.Context, l *Listing, t target) (*answer, *Error) {
	p := &pageRequest{client: c, listing: l, target: t}
	p.op = operation{
		method:        http.MethodGet,
		url:           withoutQuery(t.url),
		requestID:     uuid.NewString(),
		correlationID: l.CorrelationID,
		secrets:       p.secrets,
		asUser:        c.tokens.asUser,
	}
	if e := c.retrier.do(ctx, l, &p.op, p.prepare, p.try); e != nil {
		return nil, e
	}
	return p.answer, nil
}

// secrets are what the server was sent: the token and, should it be the same server, the secrets of the sign-in.
func (p *pageRequest) secrets() secrets {
	all := p.client.tokens.secrets()
	if p.token != nil {
		all = append(secrets{p.token.access}, all...)
	}
	return all
}

// prepare waits for the limiter and gets a token: before the wait, so that a refused sign-in fails at once, and after
// it, since a token can expire in a long pause.
func (p *pageRequest) prepare(ctx context.Context) (e *Error) {
	if _, e = p.client.tokens.token(ctx, p.listing); e != nil {
		return e
	}
	if err := p.client.retrier.limiter.wait(ctx); err != nil {
		return p.op.contextError(err)
	}
	p.token, e = p.client.tokens.token(ctx, p.listing)
	return e
}

// try makes one attempt.
func (p *pageRequest) try(ctx context.Context) *Error {
	p.listing.RequestID = p.op.requestID
	sent := time.Now()
	// Where the server has closed a connection that was kept, the transport sends the request once more by itself.
	var writes atomic.Int32
	trace := &httptrace.ClientTrace{WroteHeaders: func() { writes.Add(1) }}
	resp, err := p.client.http.Do(p.request(httptrace.WithClientTrace(ctx, trace)))
	for n := 2 + redirects(resp); n <= int(writes.Load()); n++ {
		p.listing.attempted(n)
	}
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // without the URL and its query
		}
		return p.op.transportError(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return p.fail(resp)
	}
	return p.accept(resp, sent)
}

// redirects returns how many redirects led to an answer, which may be nil.
func redirects(resp *http.Response) (n int) {
	for ; resp != nil && resp.Request.Response != nil; resp = resp.Request.Response {
		n++
	}
	return n
}

func (p *pageRequest) request(ctx context.Context) *http.Request {
	header := http.Header{}
	maps.Copy(header, p.target.header)
	maps.Copy(header, p.client.header)
	header.Set("Authorization", "Bearer "+p.token.access.Reveal())
	header.Set(requestIDHeader, p.op.requestID)
	header.Set(correlationIDHeader, p.op.correlationID)
	req := &http.Request{Method: p.op.method, URL: p.target.url, Host: p.target.url.Host, Header: header}
	return req.WithContext(ctx)
}

// fail returns the error of an answer other than 200. After a first 401 another token is asked for. The operation goes
// on with a new request id, as the API documentation's "Partner Center REST headers" wants it after each answer.
func (p *pageRequest) fail(resp *http.Response) *Error {
	e := p.op.responseError(resp)
	p.listing.RequestID = e.RequestID
	p.op.requestID = uuid.NewString()
	switch {
	case e.Status != http.StatusUnauthorized:
	case !p.refreshed && p.token.reject():
		p.refreshed, e.retry, e.atOnce = true, true, true
	case !p.token.worked.Load():
		p.client.tokens.refusals.add(e, true, p.client.tokens.fileInfos())
	}
	return e
}

// accept reads the body of a 200.
func (p *pageRequest) accept(resp *http.Response, sent time.Time) *Error {
	var spare []byte
	if body, ok := p.client.spareBodies.Get().(*[]byte); ok {
		spare = *body
	}
	body, err := readBody(resp, p.client.maxBody+1, spare)
	if err != nil {
		return p.op.transportError(fmt.Errorf("reading the answer: %w", err))
	}
	op := p.op.withIDsOf(resp)
	p.listing.RequestID, p.listing.Answered = op.requestID, op.correlationID
	if len(body) > p.client.maxBody {
		e := op.newError(codeTooLarge, fmt.Sprintf("the body is over %d MiB", p.client.maxBody>>20))
		e.Status = resp.StatusCode
		return e
	}
	first := !p.token.worked.Swap(true)
	p.client.tokens.refusals.accepted(first)
	p.answer = &answer{body: body, contentType: resp.Header.Get("Content-Type"), op: op, sent: sent}
	return nil
}

// readBody reads the body, or its first bytes up to most, into spare memory if that is large enough. Where its length
// is stated, room for it is made at once, so that no copies are made as it grows. But a length that is only claimed
// takes no more than a mebibyte until so much has come.
func readBody(resp *http.Response, most int, spare []byte) ([]byte, error) {
	const trusted = 1 << 20
	r := io.LimitReader(resp.Body, int64(most))
	length := resp.ContentLength
	if length < 0 || length > int64(most) {
		return io.ReadAll(r)
	}
	body := bytes.NewBuffer(spare[:0])
	body.Grow(int(min(length, trusted)) + bytes.MinRead)
	if _, err := body.ReadFrom(io.LimitReader(r, trusted)); err != nil {
		return nil, err
	}
	body.Grow(max(0, int(length)-body.Len()) + bytes.MinRead)
	_, err := body.ReadFrom(r)
	return body.Bytes(), err
}

// withoutQuery returns u as errors and logs show it.
func withoutQuery(u *url.URL) string {
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}

// badResponse returns the error of an answer that is no page of a list, or none that leads on. It shows no more than
// the beginning of the body.
func (a *answer) badResponse(reason string) *Error {
	contentType := a.op.quote(a.contentType, maxWord)
	if contentType == "" {
		contentType = "no content type"
	}
	shown := "an empty body"
	if len(a.body) > 0 {
		beginning := string(trimBOM(a.body[:min(len(a.body), maxErrorBody)]))
		shown = fmt.Sprintf("%q", a.op.quote(beginning, 80))
	}
	e := a.op.newError(codeBadResponse, fmt.Sprintf("%s: %s: %s", reason, contentType, shown))
	e.Status = http.StatusOK
	return e
}
