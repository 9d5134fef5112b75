package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"time"

	"partnersync/sync/partnercenter/partnercentertest"
)

// In a pass without failures there are four requests: for a token, the customers, and the batches of each.

func throttled(retryAfter string) partnercentertest.Fault {
	return partnercentertest.Fault{Path: ofFirst, Status: 429, RetryAfter: retryAfter}
}

const tooMany = "429 Too Many Requests: Rate limit is exceeded."

// throttling: 429 with every kind of Retry-After.
var throttling = []apiFailure{
	{name: "429 once", fault: partnercentertest.Fault{Path: ofFirst, Status: 429, RetryAfter: "57", Times: 1},
		rows: both, requests: 5, retries: 1, waits: []time.Duration{57 * time.Second}},
	{name: "429 of all requests, the token's too", fault: partnercentertest.Fault{Status: 429, RetryAfter: "1",
		Times: 3},
		rows: both, requests: 7, retries: 3, waits: threeTimes(time.Second)},
	{name: "429 in seconds", fault: throttled("57"), exit: 3, rows: without, code: "http_429", message: tooMany,
		requests: 7, retries: 3, waits: threeTimes(57 * time.Second)},
	{name: "429 without", fault: throttled(""), exit: 3, rows: without, code: "http_429",
		message:  "lower requests_per_minute",
		requests: 7, retries: 3, waits: backOff},
	{name: "429 with 0", fault: throttled("0"), exit: 3, rows: without, code: "http_429", message: tooMany,
		requests: 7, retries: 3, waits: backOff},
	{name: "429 negative", fault: throttled("-57"), exit: 3, rows: without, code: "http_429", message: tooMany,
		requests: 7, retries: 3, waits: backOff},
	{name: "429 absurd", fault: throttled("1000000000"), exit: 3, rows: without, code: "http_429", message: tooMany,
		requests: 7, retries: 3, waits: threeTimes(5 * time.Minute)},
	{name: "429 beyond all numbers", fault: throttled("99999999999999999999"), exit: 3, rows: without, code: "http_429",
		message:  tooMany,
		requests: 7, retries: 3, waits: threeTimes(5 * time.Minute)},
	{name: "429 until nobody knows when", fault: throttled("soon; <b>"), exit: 3, rows: without, code: "http_429",
		message:  tooMany,
		requests: 7, retries: 3, waits: backOff},
	{name: "429 until a date", fault: throttled(""), date: 100 * time.Second, exit: 3, rows: without, code: "http_429",
		message:  tooMany,
		requests: 7, retries: 3, waits: []time.Duration{100 * time.Second, backOff[1], backOff[2]}},
	{name: "429 until a date long past", fault: throttled(""), date: -time.Hour, exit: 3, rows: without,
		code: "http_429", message: tooMany,
		requests: 7, retries: 3, waits: backOff},
	{name: "429 until a date far away", fault: throttled(""), date: 100 * 365 * 24 * time.Hour, exit: 3, rows: without,
		code:    "http_429",
		message: tooMany, requests: 7, retries: 3, waits: threeTimes(5 * time.Minute)},
	{name: "503 in seconds", fault: partnercentertest.Fault{Path: ofFirst, Status: 503, RetryAfter: "20"}, exit: 3,
		rows: without,
		code: "503", message: "503 Service Unavailable", requests: 7, retries: 3, waits: threeTimes(20 * time.Second)},
}

func status(code int) partnercentertest.Fault {
	return partnercentertest.Fault{Path: ofFirst, Status: code}
}

func body(status int, body string) partnercentertest.Fault {
	return partnercentertest.Fault{Path: ofFirst, Status: status, Edit: func([]byte) []byte { return []byte(body) }}
}

// serverErrors may pass, and are tried again.
var serverErrors = []apiFailure{
	{name: "503 once", fault: partnercentertest.Fault{Path: ofFirst, Status: 503, Times: 1}, rows: both,
		requests: 5, retries: 1, waits: backOff[:1]},
	{name: "503 three times", fault: partnercentertest.Fault{Path: ofFirst, Status: 503, Times: 3}, rows: both,
		requests: 7, retries: 3, waits: backOff},
	{name: "408", fault: status(408), exit: 3, rows: without, code: "408", message: "408 Request Timeout", requests: 7,
		retries: 3, waits: backOff},
	{name: "500", fault: status(500), exit: 3, rows: without, code: "800003", message: "Unexpected service error",
		requests: 7, retries: 3, waits: backOff},
	{name: "502", fault: status(502), exit: 3, rows: without, code: "502", message: "502 Bad Gateway", requests: 7,
		retries: 3, waits: backOff},
	{name: "504", fault: status(504), exit: 3, rows: without, code: "504", message: "504 Gateway Timeout", requests: 7,
		retries: 3, waits: backOff},
	{name: "error in the API's form", fault: body(500,
		`{"code":"2000","description":"Why not","data":["a",1],"source":"x"}`), exit: 3,
		rows: without, code: "2000", message: "500 Internal Server Error: 2000 Why not (request ", requests: 7,
		retries: 3,
		waits:   backOff},
	{name: "error with a number for a code", fault: body(500, `{"code":2000,"description":"Why not"}`), exit: 3,
		rows: without, code: "2000",
		message: "2000 Why not", requests: 7, retries: 3, waits: backOff},
	{name: "error in the gateway's form", fault: body(502, `{"statusCode":502,"message":"No backend"}`), exit: 3,
		rows: without,
		code: "http_502", message: "502 Bad Gateway: No backend", requests: 7, retries: 3, waits: backOff},
	{name: "error in HTML", fault: body(502, "<html>\r\n<b>Bad\x00 Gateway</b>\x1b[31m"), exit: 3, rows: without,
		code: "http_502", message: "502 Bad Gateway: <html>  <b>Bad\ufffd Gateway</b>\ufffd[31m", requests: 7, retries: 3,
		waits: backOff},
	{name: "error without a body", fault: body(500, ""), exit: 3, rows: without, code: "http_500",
		message:  "500 Internal Server Error (request ",
		requests: 7, retries: 3, waits: backOff},
	{name: "error of a megabyte", fault: body(500, strings.Repeat("é", 1<<19)), exit: 3, rows: without,
		code: "http_500", message: "éé",
		requests: 7, retries: 3, waits: backOff},
}

// brokenAnswers do not come whole, and are asked for again.
var brokenAnswers = []apiFailure{
	{name: "reset once", fault: partnercentertest.Fault{Path: ofFirst, Reset: true, Times: 1}, rows: both,
		requests: 5, retries: 1, waits: backOff[:1]},
	{name: "reset before the answer", fault: partnercentertest.Fault{Path: ofFirst, Reset: true}, exit: 3,
		rows: without, code: "connection",
		message: "reset", requests: 7, retries: 3, waits: backOff},
	{name: "reset in the body", fault: partnercentertest.Fault{Path: ofFirst, ResetBody: true}, exit: 3, rows: without,
		code:    "connection",
		message: "reading the answer", requests: 7, retries: 3, waits: backOff},
	{name: "reset in the body once", fault: partnercentertest.Fault{Path: ofFirst, ResetBody: true, Times: 1},
		rows:     both,
		requests: 5, retries: 1, waits: backOff[:1]},
	{name: "shorter than stated", fault: partnercentertest.Fault{Path: ofFirst,
		Header: http.Header{"Content-Length": {"9999"}}}, exit: 3,
		rows: without, code: "connection", message: "unexpected EOF", requests: 7, retries: 3, waits: backOff},
	{name: "gzip that is none", fault: partnercentertest.Fault{Path: ofFirst,
		Header: http.Header{"Content-Encoding": {"gzip"}}}, exit: 3,
		rows: without, code: "connection", message: "gzip", requests: 7, retries: 3, waits: backOff},
}

// untilTimeout is message of the schedule's attempts: an eighth of fifteen minutes each.
const untilTimeout = "no complete answer within 1m52.5s"

// slowAnswers do not come in time, or never come to an end.
var slowAnswers = []apiFailure{
	{name: "no answer", fault: partnercentertest.Fault{Path: ofFirst, Hang: true}, piped: true, exit: 3, rows: without,
		code:    "timeout",
		message: untilTimeout, requests: 7, retries: 3, waits: backOff},
	{name: "no answer once", fault: partnercentertest.Fault{Path: ofFirst, Hang: true, Times: 1}, piped: true,
		rows:     both,
		requests: 5, retries: 1, waits: backOff[:1]},
	{name: "body that trickles", fault: partnercentertest.Fault{Path: ofFirst, Body: strings.Repeat(" ", 1000),
		Trickle: time.Second}, piped: true,
		exit: 3, rows: without, code: "timeout", message: untilTimeout, requests: 7, retries: 3, waits: backOff},
	{name: "sign-in without an answer", fault: partnercentertest.Fault{Path: "oauth2", Hang: true}, piped: true,
		exit: 1, rows: none,
		code: "timeout", message: untilTimeout, enumeration: untilTimeout, requests: 4, retries: 3, waits: backOff},
	{name: "pages without end", fault: withoutEnd(), piped: true, exit: 3, rows: both, code: "incomplete_listing",
		message: "there are more than 10000 pages", requests: 3 + 10_000},
}

// withoutEnd is a list each page of which leads on to one more.
func withoutEnd() partnercentertest.Fault {
	pages := 0
	return partnercentertest.Fault{Path: ofFirst, Edit: func([]byte) []byte {
		pages++
		return fmt.Appendf(nil, `%s,"continuationToken":"%d"}`, oneBatch, pages)
	}}
}

func unexpected(contentType, text string) partnercentertest.Fault {
	f := body(200, text)
	if contentType != "" {
		f.Header = http.Header{"Content-Type": {contentType}}
	}
	return f
}

// compressed returns n zero bytes in gzip's form.
func compressed(n int) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	chunk := make([]byte, 1<<20)
	for ; n > 0; n -= len(chunk) {
		w.Write(chunk[:min(n, len(chunk))])
	}
	w.Close()
	return b.String()
}

const oneBatch = `{"totalCount":1,"items":[{"id":"b","status":"finished","devicesCount":5}]`

// unexpectedAnswers are 200 but no list, or not all of one. Asking again would bring the same.
var unexpectedAnswers = []apiFailure{
	{name: "truncated JSON", fault: unexpected("", oneBatch), exit: 3, rows: without, code: "bad_response",
		message: "no list", requests: 4},
	{name: "HTML with 200", fault: unexpected("text/html", "<html>Sign in"), exit: 3, rows: without,
		code:    "bad_response",
		message: `text/html: "<html>Sign in"`, requests: 4},
	{name: "empty body", fault: unexpected("", ""), exit: 3, rows: without, code: "bad_response",
		message:  "an empty body",
		requests: 4},
	{name: "only a byte order mark", fault: unexpected("", "\ufeff"), exit: 3, rows: without, code: "bad_response",
		message: "no list", requests: 4},
	{name: "null", fault: unexpected("", "null"), exit: 3, rows: without, code: "bad_response", message: "no list",
		requests: 4},
	{name: "another encoding", fault: unexpected("application/json; charset=utf-16", "\xff\xfe{\x00}\x00"), exit: 3,
		rows: without,
		code: "bad_response", message: "charset=utf-16", requests: 4},
	{name: "another charset, but the same letters", fault: unexpected("application/json; charset=iso-8859-1",
		oneBatch+"}"), rows: both, requests: 4},
	{name: "no content", fault: status(204), exit: 3, rows: without, code: "http_204", message: "204 No Content",
		requests: 4},
	{name: "over the limit", fault: partnercentertest.Fault{Path: ofFirst,
		Edit: func([]byte) []byte { return bytes.Repeat([]byte(" "), 64<<20+1) }},
		exit: 3, rows: without, code: "too_large", message: "the body is over 64 MiB", requests: 4},
	{name: "gzip bomb", fault: partnercentertest.Fault{Path: ofFirst, Status: 200,
		Header: http.Header{"Content-Encoding": {"gzip"}},
		Edit:   func([]byte) []byte { return []byte(compressed(256 << 20)) }},
		exit: 3, rows: without, code: "too_large", message: "the body is over 64 MiB", requests: 4},
	{name: "redirect to another host", fault: partnercentertest.Fault{Path: ofFirst, Status: 302,
		Header: http.Header{"Location": {"https://elsewhere.test/x"}}},
		exit: 3, rows: without, code: "redirect", message: "not following a redirect to https://elsewhere.test",
		requests: 4},
	{name: "redirects in a circle", fault: partnercentertest.Fault{Path: ofFirst, Status: 307,
		Header: http.Header{"Location": {"?again"}}},
		exit: 3, rows: without, code: "redirect", message: "not following more than 5 redirects", requests: 4},
	{name: "redirect nowhere", fault: partnercentertest.Fault{Path: ofFirst, Status: 302}, exit: 3, rows: without,
		code: "http_302", message: "302 Found", requests: 4},
	{name: "repeated token", fault: unexpected("", oneBatch+`,"continuationToken":"again"}`), exit: 3, rows: both,
		code:    "incomplete_listing",
		message: "page 2 leads back to an earlier one", requests: 5},
	{name: "next page elsewhere", fault: unexpected("",
		oneBatch+`,"links":{"next":{"uri":"https://elsewhere.test/v1/x"}}}`), exit: 3, rows: both,
		code: "bad_response", message: "on another host", requests: 4},
	{name: "totals that do not add up", fault: unexpected("", `{"totalCount":2`+oneBatch[len(`{"totalCount":1`):]+"}"),
		exit: 3, rows: both,
		code: "incomplete_listing", message: "1 of 2 stated items came", requests: 4},
	{name: "an item without an id",
		fault: unexpected("", `{"items":[{"status":"new"},`+oneBatch[len(`{"totalCount":1,"items":[`):]+"}"), exit: 3,
		rows: both, code: "incomplete_listing", message: "1 of 2 items had no usable id", requests: 4},
	{name: "another customer's answer", exit: 3, rows: without, code: "answer_of_another_customer",
		message: "a link in it names customer",
		fault: unexpected("", `{"items":[{"id":"b","status":"new"},{"id":"c","devicesLink":`+
			`{"uri":"/customers/47021739-3426-40bf-9601-61b4b6d7c793/x"}}]}`),
		requests: 4},
	{name: "total below the items", fault: unexpected("", `{"totalCount":0`+oneBatch[len(`{"totalCount":1`):]+"}"),
		rows: both, requests: 4},
	{name: "nothing left", fault: unexpected("", `{"totalCount":0,"items":[]}`), exit: 3, rows: without,
		code:    "mass_removal_held",
		message: "next complete listing", requests: 4},
}

// refusals are final, but for a 401, which another token may help.
var refusals = []apiFailure{
	{name: "400", fault: status(400), exit: 3, rows: without, code: "800002", message: "400 Bad Request", requests: 4},
	{name: "401 once", fault: partnercentertest.Fault{Path: ofFirst, Status: 401, Times: 1}, rows: both, requests: 6,
		retries: 1,
		waits:   []time.Duration{0}},
	{name: "401 of one customer for ever", fault: status(401), exit: 3, rows: without, code: "400",
		message:  "check that the application is registered",
		requests: 6, retries: 1, waits: []time.Duration{0}},
	{name: "401 of everything for ever", fault: partnercentertest.Fault{Path: "/v1/", Status: 401}, exit: 1, rows: none,
		code:    "400",
		message: "401 Unauthorized", enumeration: "401 Unauthorized", requests: 6, retries: 1,
		waits: []time.Duration{0}},
	{name: "401 from the middle of the run on", fault: partnercentertest.Fault{Path: "/v1/", Skip: 1, Status: 401},
		exit: 1, rows: none, code: "400",
		message: "401 Unauthorized", requests: 6, retries: 1, waits: []time.Duration{0}},
	{name: "401 for want of MFA", fault: partnercentertest.Fault{Path: ofFirst, Status: 401, Code: "900421"}, exit: 3,
		rows: without, code: "900421",
		message: "multi-factor authentication", requests: 6, retries: 1, waits: []time.Duration{0}},
	{name: "403", fault: partnercentertest.Fault{Path: ofFirst, Status: 403, Code: "20002"}, exit: 3, rows: without,
		code:    "20002",
		message: "exclude_customers", requests: 4},
	{name: "404", fault: status(404), exit: 3, rows: without, code: "1000", message: "check the customer id",
		requests: 4},
	{name: "404 of all customers", fault: partnercentertest.Fault{Path: "deviceBatches", Status: 404}, exit: 1,
		rows: none, code: "1000",
		message: "404 Not Found", requests: 4},
}

// signIns fail before anything can be read.
var signIns = []apiFailure{
	{name: "sign-in refused", fault: partnercentertest.Fault{Path: "oauth2", Status: 401, Code: "invalid_client",
		Description: "AADSTS7000222: expired"},
		exit: 1, rows: none, code: "AADSTS7000222", message: "has expired", enumeration: "AADSTS7000222", requests: 1},
	{name: "sign-in throttled once", fault: partnercentertest.Fault{Path: "oauth2", Status: 429, RetryAfter: "9",
		Times: 1}, rows: both,
		requests: 5, retries: 1, waits: []time.Duration{9 * time.Second}},
	{name: "sign-in answered in HTML once", fault: partnercentertest.Fault{Path: "oauth2", Status: 503, Body: "<html>",
		Times: 1}, rows: both,
		requests: 5, retries: 1, waits: backOff[:1]},
	{name: "sign-in breaks off once", fault: partnercentertest.Fault{Path: "oauth2", ResetBody: true, Times: 1},
		rows:     both,
		requests: 5, retries: 1, waits: backOff[:1]},
}

// unreachable is nobody there at all, neither the API nor the authority.
var unreachable = []apiFailure{
	{name: "connection refused", dead: true, exit: 1, rows: none, code: "connection", message: "connection refused",
		enumeration: "connection refused",
		// of one request for a token, whose end is that of all who wait for it
		requests: 4, retries: 3, waits: backOff},
}

// enumerations fail while the customers can be read: those known are.
var enumerations = []apiFailure{
	{name: "customers refused", fault: partnercentertest.Fault{Path: "/customers$", Status: 403}, exit: 3, rows: both,
		enumeration: "listing the customers of partner contoso", requests: 4},
	{name: "customers in HTML", fault: partnercentertest.Fault{Path: "/customers$", Body: "<html>"}, exit: 3,
		rows:        both,
		enumeration: "bad_response", requests: 4},
	{name: "customers fewer than stated", fault: partnercentertest.Fault{Path: "/customers$",
		Body: `{"totalCount":2,"items":[]}`}, exit: 3,
		rows: both, enumeration: "0 of 2 stated items came", requests: 4},
	{name: "customer without a UUID",
		fault: partnercentertest.Fault{Path: "/customers$", Body: `{"items":[{"id":"contoso"}]}`}, exit: 3,
		rows: both, enumeration: "1 of 1 items had no usable id", requests: 4},
	{name: "customers all gone", fault: partnercentertest.Fault{Path: "/customers$",
		Body: `{"totalCount":0,"items":[]}`}, exit: 1,
		rows: none, enumeration: "no_customers: the partner has no customers to read", requests: 2},
	{name: "customers throttled", fault: partnercentertest.Fault{Path: "/customers$", Status: 429, RetryAfter: "299"},
		exit: 3, rows: both,
		enumeration: "429 Too Many Requests", requests: 7, retries: 3, waits: threeTimes(299 * time.Second)},
}
