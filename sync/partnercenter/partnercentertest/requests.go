package partnercentertest

import (
	"net/http"
	"slices"
	"time"
)

// Request is a request that the emulator got, and what it answered.
type Request struct {
	At     time.Time // when it was answered, by the time of this process and not by the emulator's clock
	Method string
	Path   string // unescaped
	Query  string // as received
	Header http.Header
	Status int // 0: no answer
	Bytes  int // of the body sent
}

// requestLog keeps the newest requests, up to limit and for a while twice as many.
type requestLog struct {
	limit    int
	requests []Request
}

// newest returns the requests that are to be kept.
func (l *requestLog) newest() []Request {
	return l.requests[max(0, len(l.requests)-l.limit):]
}

// Requests returns the newest requests, up to Options.LogSize, in the order of their answers, those to the token endpoint
// included. What their Authorization said is not kept.
func (e *Emulator) Requests() []Request {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.log.newest())
}

// record notes a request before its answer is sent.
func (e *Emulator) record(r *http.Request, status, bytes int) {
	header := r.Header.Clone()
	if header.Get("Authorization") != "" {
		header.Set("Authorization", "[redacted]")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	l := &e.log
	if len(l.requests) == 2*l.limit {
		l.requests = append(l.requests[:0], l.newest()...)
	}
	l.requests = append(l.requests, Request{
		At: time.Now(), Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery,
		Header: header, Status: status, Bytes: bytes,
	})
}
