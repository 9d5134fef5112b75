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

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"partnersync/store/sanitize"
)

// Our own codes for errors to which the API has given none; see [Error.ErrorCode].
const (
	codeIncomplete    = "incomplete_listing"         // the pages do not add up to a whole list
	codeOtherCustomer = "answer_of_another_customer" // links name another customer than the one asked for
	codeUnaddressable = "unaddressable_id"           // an id that no URL can hold; nothing was sent
	codeBadResponse   = "bad_response"               // an answer that is no list or leads nowhere, or no token
	codeTooLarge      = "too_large"                  // a body over the limit
	codeTimeout       = "timeout"                    // no complete answer in time
	codeConnection    = "connection"                 // no complete answer: refused, reset, broken off
	codeRedirect      = "redirect"                   // sent on to another host, or in circles
	codeCanceled      = "canceled"                   // the caller's context ended
)

const (
	maxErrorBody   = 64 << 10
	maxDescription = 4 << 10 // bytes: the API documentation has 1,024 characters
	maxWord        = 128     // bytes of a code or a request id
)

// Error says which request failed, and how. It never holds a secret or a token.
type Error struct {
	Method string
	URL    string // without query
	Status int    // HTTP status; 0 if there was no complete answer

	Code          string // the API's or the authority's own code, else one of ours; "" if there is only the status
	Description   string // in the server's words, or ours; cut short after 4 KiB
	RequestID     string // MS-RequestId of the answer, else the one sent, or the authority's; support asks for it
	CorrelationID string // MS-CorrelationId, likewise
	Hint          string // what to do about it, where we know
	Err           error  // the cause, if there was no answer; or it wraps ErrOtherCustomer

	retry  bool          // another attempt may succeed
	atOnce bool          // without a wait before it
	after  time.Duration // the wait that the server asked for before it; 0: none
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

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// ErrorCode returns the server's own code (20002, AADSTS7000215, invalid_client), else http_503 and the like, else our
// own: incomplete_listing, answer_of_another_customer, unaddressable_id, bad_response, too_large, timeout, connection,
// redirect, canceled, credential, not_signed_in or token_store.
func (e *Error) ErrorCode() string {
	if e.Code == "" {
		return fmt.Sprintf("http_%d", e.Status)
	}
	return e.Code
}

// operation is one request with all its attempts, as far as errors need it.
type operation struct {
	method, url              string // url without query
	requestID, correlationID string
	secrets                  func() secrets // that the server was sent; nil: there are none
	asUser                   bool           // on behalf of a user
}

// quote returns what a server wrote, fit for a message of at most so many bytes and without the secrets that the server
// was sent.
func (o *operation) quote(text string, most int) string {
	return shorten(o.redact(text), most)
}

// shorten returns a text of others, fit for a message of at most so many bytes.
func shorten(text string, most int) string {
	return sanitize.Shorten(sanitize.Line(strings.TrimSpace(text)), most)
}

// redact returns a text without the secrets that the server was sent.
func (o *operation) redact(text string) string {
	if o.secrets == nil {
		return text
	}
	return o.secrets().redact(text)
}

// redactedError is an error whose text held a secret, without the secret.
type redactedError struct {
	text  string
	cause error
}

// Error returns the text without the secret.
func (e *redactedError) Error() string { return e.text }

// Unwrap returns the error with the secret in its text.
func (e *redactedError) Unwrap() error { return e.cause }

// newError returns an error of the operation with a code of our own.
func (o *operation) newError(code, description string) *Error {
	return &Error{
		Method: o.method, URL: o.redact(o.url), Code: code, Description: description,
		RequestID: o.requestID, CorrelationID: o.correlationID,
	}
}

// contextError returns the error of an operation whose caller's context has ended.
func (o *operation) contextError(err error) *Error {
	code := codeCanceled
	if errors.Is(err, context.DeadlineExceeded) {
		code = codeTimeout
	}
	e := o.newError(code, "")
	e.Err = err
	return e
}

// transportError returns the error of an attempt that got no complete answer because of err.
func (o *operation) transportError(err error) *Error {
	if redirect, ok := errors.AsType[*redirectError](err); ok {
		return o.newError(codeRedirect, o.quote(redirect.Error(), maxDescription))
	}
	e := o.newError(codeConnection, "")
	e.Err, e.retry = err, true
	if text := o.redact(err.Error()); text != err.Error() {
		e.Err = &redactedError{text, err}
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		e.Code = codeTimeout
	}
	return e
}

// responseError returns the error of an answer other than 200. It reads, but does not close, the body.
func (o *operation) responseError(resp *http.Response) *Error {
	// An error's body that breaks off is still of use.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	code, description := readFault(body)
	e := o.withIDsOf(resp).newError(o.quote(code, maxWord), o.quote(description, maxDescription))
	e.setStatus(resp)
	e.Hint = hint(e, o.asUser)
	return e
}

// withIDsOf returns the operation with the ids of the answer, where it has them.
func (o *operation) withIDsOf(resp *http.Response) *operation {
	answered := *o
	if id := resp.Header.Get(requestIDHeader); id != o.requestID { // nearly always it is the one that was sent
		answered.requestID = cmp.Or(o.quote(id, maxWord), o.requestID)
	}
	if id := resp.Header.Get(correlationIDHeader); id != o.correlationID {
		answered.correlationID = cmp.Or(o.quote(id, maxWord), o.correlationID)
	}
	return &answered
}

// setStatus fills in what the answer's status and Retry-After say.
func (e *Error) setStatus(resp *http.Response) {
	e.Status = resp.StatusCode
	e.retry = retryable(resp.StatusCode)
	e.after = RetryAfter(resp.Header.Get("Retry-After"), time.Now(), maxRetryAfter)
}

// readFault reads an error's body in the shapes the API documentation shows: {code, description} from the API and
// {statusCode, message} from the gateway before it, whose statusCode is no code of its own. Any other body is its own
// description.
func readFault(body []byte) (code, description string) {
	var fault struct {
		Code        jsontext.Value `json:"code"`
		Description jsontext.Value `json:"description"`
		Message     jsontext.Value `json:"message"`
	}
	body = trimBOM(body)
	json.Unmarshal(body, &fault, lenient) // a body that is cut short leaves what comes before
	code = textOrNumber(fault.Code)
	if description = cmp.Or(textOrNumber(fault.Description), textOrNumber(fault.Message)); code+description == "" {
		return "", string(body)
	}
	return code, description
}

// textOrNumber returns a string or number as text; anything else is "".
func textOrNumber(value jsontext.Value) string {
	switch value.Kind() {
	case '"':
		text, _ := jsontext.AppendUnquote(nil, value)
		return string(text)
	case '0':
		return string(value)
	}
	return ""
}
