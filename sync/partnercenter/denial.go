package partnercenter

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/oauth2"
)

// denied returns the error of a request to the authority. Neither the reply's body nor the library's message, which holds
// it, may come into it: only the OAuth error code, the authority's own number, its ids, and a hint of ours.
func (o *operation) denied(err error) *Error {
	if err == nil {
		return nil
	}
	if reply, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return o.denial(reply.Response, members(reply.Body))
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

// denial returns the error of a refusal, by "Handle error codes in your application" of the Microsoft identity platform.
func (o *operation) denial(resp *http.Response, said object) *Error {
	code := oauthCode(said)
	e := o.fail(o.hidden(cmp.Or(authorityNumber(said), code)), "")
	e.RequestID = o.said(cmp.Or(resp.Header.Get("x-ms-request-id"), said.text("trace_id")), maxWord)
	e.CorrelationID = o.said(said.text("correlation_id"), maxWord)
	e.answered(resp)
	e.retry = e.retry || code == "temporarily_unavailable"
	e.Hint = cmp.Or(denialHints[e.Code], denialHints[code])
	if e.Code == "" && !e.retry {
		e.Hint = hintNoAuthority
	}
	return e
}

// authorityNumber returns the authority's own number ("AADSTS7000215"), "" if there is none.
func authorityNumber(said object) string {
	_, number, _ := strings.Cut(said.text("error_description"), "AADSTS")
	number = number[:len(number)-len(strings.TrimLeft(number, "0123456789"))]
	if number == "" {
		var numbers []uint64
		if json.Unmarshal(said["error_codes"], &numbers) == nil && len(numbers) > 0 {
			number = strconv.FormatUint(numbers[0], 10)
		}
	}
	if number == "" || len(number) > 10 {
		return ""
	}
	return "AADSTS" + number
}

// oauthCode returns the error code of OAuth ("invalid_client"), "" if there is none.
func oauthCode(said object) string {
	notOfCode := func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }
	code := said.text("error")
	if len(code) > 40 || strings.ContainsFunc(code, notOfCode) {
		return ""
	}
	return code
}
