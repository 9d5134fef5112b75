package viewtest

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	stdsync "sync"
)

// listID is one list of the API.
type listID struct {
	customer string // "": the list of customers
	kind     string // customers, deviceBatches, policies or devices
	batch    string // of a list of devices
}

// answer is what the API answered to one request for a page of a list.
type answer struct {
	list      listID
	first     bool // the request was for the first page
	status    int
	body      []byte
	requestID string
}

// recorder keeps what a handler answers, in the order of the answers.
type recorder struct {
	http.Handler

	mu      stdsync.Mutex
	answers []answer
}

// ServeHTTP lets the handler answer, and keeps the answer before its last byte is sent.
func (rec *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	list, ok := listOf(r.URL)
	if !ok {
		rec.Handler.ServeHTTP(w, r)
		return
	}
	kept := &keptAnswer{header: http.Header{}, status: http.StatusOK}
	rec.Handler.ServeHTTP(kept, r)
	rec.mu.Lock()
	rec.answers = append(rec.answers, answer{
		list: list, first: r.Header.Get("MS-ContinuationToken") == "",
		status: kept.status, body: kept.body.Bytes(), requestID: kept.header.Get("MS-RequestId"),
	})
	rec.mu.Unlock()
	for name, values := range kept.header {
		w.Header()[name] = values
	}
	w.WriteHeader(kept.status)
	w.Write(kept.body.Bytes()) // an error is the client's
}

// take returns what has been answered since the last call.
func (rec *recorder) take() []answer {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	taken := rec.answers
	rec.answers = nil
	return taken
}

// listOf returns which list a URL is of.
func listOf(u *url.URL) (l listID, ok bool) {
	parts := strings.Split(strings.Trim(u.EscapedPath(), "/"), "/")
	for i := range parts {
		var err error
		if parts[i], err = url.PathUnescape(parts[i]); err != nil {
			return l, false
		}
	}
	switch {
	case len(parts) < 2 || parts[0] != "v1" || parts[1] != "customers":
		return l, false
	case len(parts) == 2:
		return listID{kind: "customers"}, true
	case len(parts) == 4:
		return listID{customer: strings.ToLower(parts[2]), kind: parts[3]}, true
	case len(parts) == 6:
		return listID{customer: strings.ToLower(parts[2]), kind: parts[5], batch: parts[4]}, true
	}
	return l, false
}

// keptAnswer is an answer that is not sent yet.
type keptAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header is that of the answer.
func (k *keptAnswer) Header() http.Header { return k.header }

// WriteHeader keeps the status.
func (k *keptAnswer) WriteHeader(status int) { k.status = status }

// Write keeps a part of the body.
func (k *keptAnswer) Write(p []byte) (int, error) { return k.body.Write(p) }
