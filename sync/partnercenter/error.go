package partnercenter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode"
)

// Words of ours for what went wrong where the API has given no code of its own; see [Error.ErrorCode].
const (
	codeIncomplete    = "incomplete_listing" // the pages do not add up to a whole list
	codeUnaddressable = "unaddressable_id"   // an id that no URL can hold; nothing was sent
	codeBadResponse   = "bad_response"       // an answer that is no list or leads nowhere, or no token
	codeTooLarge      = "too_large"          // a body over the limit
	codeTimeout       = "timeout"            // no complete answer in time
	codeConnection    = "connection"         // no complete answer: refused, reset, broken off
	codeRedirect      = "redirect"           // sent on to another host, or in circles
	codeCanceled      = "canceled"           // the caller's context ended
)

const (
	maxErrorBody   = 64 << 10
	maxDescription = 1024 // characters; the API documentation's own limit
	maxWord        = 128  // characters of a code or a request id
)

// Error says which request failed, and how. It never holds a secret or a token.
type Error struct {
	Method string
	URL    string // without query
	Status int    // HTTP status; 0 if there was no complete answer

	Code          string // the API's or the authority's own code, else a word of ours; "" if there is only the status
	Description   string // in the server's words, or ours; at most 1,024 characters
	RequestID     string // MS-RequestId of the answer, else the one sent: what Microsoft's support asks for; or the authority's
	CorrelationID string // MS-CorrelationId, likewise; or the authority's
	Hint          string // what to do about it, where we know
	Err           error  // the cause, if there was no answer

	retry  bool          // another attempt may help
	atOnce bool          // and needs no wait
	after  time.Duration // and may be made after this long; 0: the server did not say
	ended  bool          // by a wait, so that it tells nothing of the server
}

// Error returns everything in one line.
func (e *Error) Error() string {
	parts := []string{e.Method + " " + e.URL}
	if e.Status != 0 {
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))))
	}
	if said := strings.TrimSpace(e.Code + " " + e.Description); said != "" {
		parts = append(parts, said)
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	if e.RequestID != "" {
		parts[len(parts)-1] += " (request " + e.RequestID + ")"
	}
	if e.Hint != "" {
		parts = append(parts, e.Hint)
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns the cause, if there was no answer.
func (e *Error) Unwrap() error { return e.Err }

// ErrorCode returns the server's own code (20002, AADSTS7000215, invalid_client), else http_503 and the like, else our
// own word: incomplete_listing, unaddressable_id, bad_response, too_large, timeout, connection, redirect, canceled, credential,
// not_signed_in or token_store.
func (e *Error) ErrorCode() string {
	if e.Code == "" {
		return fmt.Sprintf("http_%d", e.Status)
	}
	return e.Code
}

// operation is one request with all its attempts, as far as errors tell of it.
type operation struct {
	method, url              string // url without query
	requestID, correlationID string
	secrets                  func() secrets // that the server was sent; nil: there are none
}

// said returns at most so many characters of what a server wrote, without the secrets that it was sent.
func (o *operation) said(text string, characters int) string {
	return clean(o.hidden(text), characters)
}

func (o *operation) hidden(text string) string {
	if o.secrets == nil {
		return text
	}
	return o.secrets().hide(text)
}

// echo is an error whose text held a secret, without it.
type echo struct {
	text  string
	cause error
}

func (e *echo) Error() string { return e.text }
func (e *echo) Unwrap() error { return e.cause }

// fail returns an error of the operation under a word of ours.
func (o *operation) fail(code, description string) *Error {
	return &Error{
		Method: o.method, URL: o.hidden(o.url), Code: code, Description: description,
		RequestID: o.requestID, CorrelationID: o.correlationID,
	}
}

// ended returns the error of an operation that the end of the caller's context has ended.
func (o *operation) ended(err error) *Error {
	code := codeCanceled
	if errors.Is(err, context.DeadlineExceeded) {
		code = codeTimeout
	}
	e := o.fail(code, "")
	e.Err, e.ended = err, true
	return e
}

// unanswered returns the error of an attempt that err kept from a complete answer.
func (o *operation) unanswered(err error) *Error {
	if sent, ok := errors.AsType[*redirectError](err); ok {
		return o.fail(codeRedirect, o.said(sent.Error(), maxDescription))
	}
	e := o.fail(codeConnection, "")
	e.Err, e.retry = err, true
	if text := o.hidden(err.Error()); text != err.Error() {
		e.Err = &echo{text, err}
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		e.Code = codeTimeout
	}
	return e
}

// refused returns the error of an answer other than 200. It reads, but does not close, the body.
func (o *operation) refused(resp *http.Response) *Error {
	// As much as there is: an error's body that breaks off is still an error's body.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	code, description := readFault(body)
	e := o.answered(resp).fail(o.said(code, maxWord), o.said(description, maxDescription))
	e.answered(resp)
	e.Hint = hint(e)
	return e
}

// answered returns the operation with the ids of the answer, where it has them.
func (o *operation) answered(resp *http.Response) *operation {
	known := *o
	known.requestID = o.echoed(resp.Header.Get(requestIDHeader), o.requestID)
	known.correlationID = o.echoed(resp.Header.Get(correlationIDHeader), o.correlationID)
	return &known
}

// echoed returns an id of an answer, which most often is the one that was sent.
func (o *operation) echoed(id, sent string) string {
	if id == sent {
		return sent
	}
	return cmp.Or(o.said(id, maxWord), sent)
}

// answered fills in what the answer's status and Retry-After say.
func (e *Error) answered(resp *http.Response) {
	e.Status = resp.StatusCode
	e.retry = retryable(resp.StatusCode)
	e.after = retryAfter(resp.Header.Get("Retry-After"), time.Now())
}

// clean trims s, replaces what is not printable by spaces and cuts it to so many characters.
func clean(s string, characters int) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s))
	n := 0
	for i := range s {
		if n == characters {
			return s[:i]
		}
		n++
	}
	return s
}
