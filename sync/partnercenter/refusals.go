package partnercenter

import (
	"os"
	"sync"
	"time"
)

const (
	refusalHold    = 30 * time.Second // a first refusal holds so long, so that not each of many customers asks again
	maxRefusalHold = 15 * time.Minute // a later one at most so long
)

// refusals are the consecutive refusals of a sign-in. They are not shared with other replicas, which may have other
// files, and a new process tries at once.
type refusals struct {
	mu    sync.Mutex
	n     int // in a row
	err   *Error
	ofAPI bool // err is the API's, which may concern nobody but the customer of that request
	at    time.Time
	until time.Time
	files []os.FileInfo // of the secrets, as they were before the request that was refused

	lastAccepted time.Time // when the API last accepted a token
}

// add adds a refusal, which holds twice as long as the one before. One that is not the authority's or the API's own
// answer, such as a missing file, does not count towards that.
func (r *refusals) add(e *Error, ofAPI bool, files []os.FileInfo) {
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
	r.err, r.ofAPI, r.at, r.until, r.files = e, ofAPI, now, now.Add(hold), files
}

// accepted notes that the API has accepted a token. The first time, this ends the refusals before.
func (r *refusals) accepted(first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastAccepted = time.Now()
	if first {
		r.reset()
	}
}

func (r *refusals) reset() {
	r.n, r.err, r.ofAPI, r.at, r.until, r.files = 0, nil, false, time.Time{}, time.Time{}, nil
}

// PassEnded ends a refusal of the API if it has accepted a token since the pass began that ends now: then it has
// refused one customer's requests, and not the sign-in, and nobody else need wait.
func (s *TokenSource) PassEnded(began time.Time) {
	r := &s.refusals
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ofAPI && !r.lastAccepted.Before(began) {
		r.reset()
	}
}

// Refused returns the error with which the authority has refused the sign-in, or the API its tokens, and until when it
// is useless to try again; nil if the next try may succeed. The time grows with each refusal, from 30 seconds to 15
// minutes, and ends when the file of the secret, of the certificate or of the federated token is replaced.
func (s *TokenSource) Refused() (until time.Time, err error) {
	r := &s.refusals
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil || !time.Now().Before(r.until) {
		return time.Time{}, nil
	}
	if replaced(r.files, s.fileInfos()) {
		r.reset()
		return time.Time{}, nil
	}
	return r.until, r.err
}

// fileInfos describes the files of the secrets as they are now; nil for one that cannot be read.
func (s *TokenSource) fileInfos() []os.FileInfo {
	infos := make([]os.FileInfo, len(s.files))
	for i, path := range s.files {
		if info, err := os.Stat(path); err == nil {
			infos[i] = info
		}
	}
	return infos
}

// replaced reports whether one of the files that are there now is not the one before. The time of its change may well
// be older: a file keeps it when it is moved into place.
func replaced(before, now []os.FileInfo) bool {
	for i, info := range now {
		if info == nil || i >= len(before) {
			continue
		}
		old := before[i]
		if old == nil || !os.SameFile(old, info) || !old.ModTime().Equal(info.ModTime()) || old.Size() != info.Size() {
			return true
		}
	}
	return false
}

// SignedIn ends the refusals before that time, at which a user signed in.
func (s *TokenSource) SignedIn(at time.Time) {
	r := &s.refusals
	r.mu.Lock()
	defer r.mu.Unlock()
	if at.After(r.at) {
		r.reset()
	}
}
