package partnercenter

import (
	"errors"
	"net/url"
	"strings"

	"golang.org/x/oauth2"
)

// denied returns the error of a token request. Neither the reply's body nor the library's message, which holds it, may
// come into it: only the OAuth error code, the authority's own number, and a hint of ours.
func (o *operation) denied(err error) *Error {
	if err == nil {
		return nil
	}
	if reply, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		e := o.fail(denialCode(reply), "")
		e.RequestID = clean(reply.Response.Header.Get("x-ms-request-id"), maxWord)
		e.answered(reply.Response)
		e.Hint = denialHints[e.Code]
		return e
	}
	if unproved, ok := errors.AsType[*proofError](err); ok {
		e := o.fail(unproved.code, "")
		e.Err, e.Hint, e.retry = unproved.err, unproved.hint, unproved.retry
		return e
	}
	if broken, ok := errors.AsType[*url.Error](err); ok {
		return o.unanswered(broken.Err)
	}
	return o.fail(codeBadResponse, "the authority's answer holds no token: check authority_url")
}

// denialCode returns the authority's own number ("AADSTS7000215"), else the OAuth error code ("invalid_client").
func denialCode(reply *oauth2.RetrieveError) string {
	if _, rest, ok := strings.Cut(reply.ErrorDescription, "AADSTS"); ok {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if digits > 0 && digits <= 10 {
			return "AADSTS" + rest[:digits]
		}
	}
	notOfCode := func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }
	if len(reply.ErrorCode) > 40 || strings.ContainsFunc(reply.ErrorCode, notOfCode) {
		return ""
	}
	return reply.ErrorCode
}
