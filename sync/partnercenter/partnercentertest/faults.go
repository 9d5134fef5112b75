package partnercentertest

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Fault is a failure: which requests it hits, and what happens to them.
type Fault struct {
	Method string  // "": any
	Path   string  // regular expression for the path, ignoring case, such as "/customers$"; "": any, the authority's too
	Skip   int     // how many matching requests to let through first
	Times  int     // how many requests to hit; 0: until it is removed
	Share  float64 // the share of requests to hit, at random; 0: all

	// Before is called when a request is hit, before it is answered: to change what the emulator holds between two
	// pages, or to block until a channel is closed.
	Before func()

	Hang      bool // no answer until the client disconnects or the fault is removed
	Reset     bool // the connection is reset before an answer; Go's transport then repeats a GET on a reused one
	ResetBody bool // the connection is reset after half of the body

	// Trickle, if set, sends the body a byte at a time at this interval, until the client disconnects or the fault is
	// removed.
	Trickle time.Duration

	// Status replaces the proper answer; 0 with a Body means 200, and 0 without one keeps the proper answer. A Body
	// is sent as it is. Without one, a status of 400 or more has the documented body, with Code and Description if
	// set, and others have an empty one. A 429 without Code is the gateway's, in its own form.
	Status      int
	Code        string
	Description string
	Body        string
	RetryAfter  string      // seconds or a date, sent as it is; "": no header
	Header      http.Header // set in the answer, replaced or not

	Edit func(body []byte) []byte // changes the answer's body, replaced or not
}

// fault is a fault in effect.
type fault struct {
	Fault
	path       *regexp.Regexp
	seen, hits int
	removed    chan struct{} // closed when the fault is removed
}

// Fail makes requests fail until f.Times of them have been hit, or until remove or ClearFaults is called. A request
// is hit by the oldest fault that matches it, and is not seen by later ones. Fail panics if f.Path is not a regular
// expression.
func (e *Emulator) Fail(f Fault) (remove func()) {
	added := &fault{Fault: f, path: regexp.MustCompile("(?i)" + f.Path), removed: make(chan struct{})}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = append(e.faults, added)
	return func() { e.removeFaults(func(f *fault) bool { return f == added }) }
}

// ClearFaults removes all faults and ends the requests that hang.
func (e *Emulator) ClearFaults() { e.removeFaults(func(*fault) bool { return true }) }

func (e *Emulator) removeFaults(which func(*fault) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = slices.DeleteFunc(e.faults, func(f *fault) bool {
		if !which(f) {
			return false
		}
		close(f.removed)
		return true
	})
}

// faultFor returns the fault that hits a request, or one that does nothing.
func (e *Emulator) faultFor(r *http.Request) *fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, f := range e.faults {
		if f.hit(r) {
			return f
		}
	}
	return &fault{}
}

// hit reports whether the fault hits a request, and counts it.
func (f *fault) hit(r *http.Request) bool {
	if f.Method != "" && f.Method != r.Method || !f.path.MatchString(r.URL.Path) {
		return false
	}
	f.seen++
	if f.seen <= f.Skip || f.Times > 0 && f.hits >= f.Times || f.Share > 0 && rand.Float64() >= f.Share {
		return false
	}
	f.hits++
	return true
}

// answerUnder returns the answer to a request that a fault has hit.
func (e *Emulator) answerUnder(f *fault, r *http.Request) answer {
	var a answer
	if f.Status == 0 && f.Body == "" {
		a = e.answer(r)
	} else {
		a = f.answer(r)
	}
	if f.RetryAfter != "" {
		a.header.Set("Retry-After", f.RetryAfter)
	}
	for name, values := range f.Header {
		a.header[http.CanonicalHeaderKey(name)] = values
	}
	if f.Edit != nil {
		a.body = f.Edit(bytes.Clone(a.body))
	}
	return a
}

// authorityFault returns an error of the authority's for a status: to try again, or a refusal.
func authorityFault(status int) (code, description string) {
	if status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500 {
		return "temporarily_unavailable", "AADSTS90033: A transient error has occurred. Please try again."
	}
	return "invalid_client", "AADSTS7000222: The provided client secret keys are expired."
}

// answer returns the answer that replaces the proper one.
func (f *fault) answer(r *http.Request) answer {
	status := cmp.Or(f.Status, http.StatusOK)
	_, isToken := authorityEndpoint(r.URL.Path)
	switch {
	case f.Body != "" || status < 400:
		return apiAnswer(r, status, []byte(f.Body))
	case isToken:
		code, description := authorityFault(status)
		return entraError(r, status, cmp.Or(f.Code, code), cmp.Or(f.Description, description))
	case status == http.StatusTooManyRequests && f.Code == "":
		return gatewayThrottle(f.RetryAfter)
	default:
		known := documentedFaults[status]
		return apiFault(r, status, cmp.Or(f.Code, known.code, strconv.Itoa(status)),
			cmp.Or(f.Description, known.description, http.StatusText(status), "Unknown"))
	}
}

// gatewayThrottle returns the 429 of the gateway in front of the API, which has no request ids and sends no byte
// order mark. The spaces are as documented.
func gatewayThrottle(retryAfter string) answer {
	message := "Rate limit is exceeded."
	if _, err := strconv.Atoi(retryAfter); err == nil {
		message += " Try again in " + retryAfter + " seconds."
	}
	return answer{
		status: http.StatusTooManyRequests,
		header: http.Header{"Content-Type": {"application/json"}},
		body:   fmt.Appendf(nil, `{ "statusCode": 429, "message": "%s" }`, message),
	}
}

// documentedFaults are the most general codes that "Partner Center REST error codes" has for a status.
var documentedFaults = map[int]struct{ code, description string }{
	http.StatusBadRequest:          {"800002", "Invalid request input"},
	http.StatusUnauthorized:        {"400", "Access denied"},
	http.StatusForbidden:           {"2032", "Access denied"},
	http.StatusNotFound:            {"1000", "Not found"},
	http.StatusInternalServerError: {"800003", "Unexpected service error"},
	http.StatusNotImplemented:      {"0", "Exception not defined"},
}

// hang leaves a request without an answer. The server notices that a client disconnects once the body is read.
func (f *fault) hang(r *http.Request) {
	io.Copy(io.Discard, r.Body)
	select {
	case <-r.Context().Done():
	case <-f.removed:
	}
	panic(http.ErrAbortHandler)
}

// trickle sends the body a byte at a time.
func (f *fault) trickle(w http.ResponseWriter, r *http.Request, body []byte) {
	ticker := time.NewTicker(f.Trickle)
	defer ticker.Stop()
	for len(body) > 0 {
		select {
		case <-ticker.C:
			w.Write(body[:1])
			http.NewResponseController(w).Flush()
			body = body[1:]
		case <-r.Context().Done():
			return
		case <-f.removed:
			panic(http.ErrAbortHandler)
		}
	}
}

// reset breaks off the connection, with a TCP reset if it is TCP.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil { // a test's own ResponseWriter, or HTTP/2
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}
