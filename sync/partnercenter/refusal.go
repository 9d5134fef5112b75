package partnercenter

import (
	"os"
	"sync"
	"time"
)

const (
	refusalHold    = 30 * time.Second // a refusal stands so long, so that many customers do not ask the authority each
	maxRefusalHold = 15 * time.Minute // and so long, when there have been many
)

// refusals are the refusals of a sign-in, one after the other. They are kept by the process alone: another replica may
// have other files, and a new process tries at once.
type refusals struct {
	mu    sync.Mutex
	n     int // in a row
	err   *Error
	ofAPI bool // err is the API's, which may mean the customer of that request alone
	at    time.Time
	until time.Time

	lastTaken time.Time // when the API last took a token
}

// add notes one more, which stands twice as long as the one before. What is not the authority's or the API's own answer, a
// missing file for one, does not make it longer.
func (r *refusals) add(e *Error, ofAPI bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if now.Before(r.until) {
		return
	}
	hold := refusalHold
	if e.Status != 0 {
		hold = min(refusalHold<<min(r.n, 10), maxRefusalHold)
		r.n++
	}
	r.err, r.ofAPI, r.at, r.until = e, ofAPI, now, now.Add(hold)
}

// taken is told that the API has taken a token; the first time, nothing that was refused before stands any longer.
func (r *refusals) taken(first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastTaken = time.Now()
	if first {
		r.reset()
	}
}

func (r *refusals) reset() {
	r.n, r.err, r.ofAPI, r.at, r.until = 0, nil, false, time.Time{}, time.Time{}
}

// PassEnded is told that a pass over customers is over which began at that time. Where the API has taken a token in it,
// what it refused was one customer's request and not the sign-in, which nobody else shall wait for.
func (s *TokenSource) PassEnded(began time.Time) {
	r := &s.refusals
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ofAPI && !r.lastTaken.Before(began) {
		r.reset()
	}
}

// Refused returns the error with which the authority has refused the sign-in, or the API its tokens, and until when there
// is no use in trying again; nil if nothing speaks against trying. The time grows with each refusal, from 30 seconds to 15
// minutes, and ends when the file of the secret, of the certificate or of the federated token is replaced.
func (s *TokenSource) Refused() (until time.Time, err error) {
	r := &s.refusals
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil || !time.Now().Before(r.until) {
		return time.Time{}, nil
	}
	for _, path := range s.files {
		if info, err := os.Stat(path); err == nil && info.ModTime().After(r.at) {
			r.reset()
			return time.Time{}, nil
		}
	}
	return r.until, r.err
}

// SignedIn is told that a user signed in at that time: refusals before it stand no longer.
func (s *TokenSource) SignedIn(at time.Time) {
	r := &s.refusals
	r.mu.Lock()
	defer r.mu.Unlock()
	if at.After(r.at) {
		r.reset()
	}
}
