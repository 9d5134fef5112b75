package statuspage

import (
	"fmt"
	"sync"
	"time"
)

// settledAfter is how long a trouble must not have been met for the next one to be another.
const settledAfter = 5 * time.Minute

// troubles are when each was met last. It is safe for concurrent use; the zero value is ready.
type troubles struct {
	mu  sync.Mutex
	met map[string]time.Time
}

// begins notes that a trouble is met, and reports whether it is not one that goes on.
func (t *troubles) begins(what string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	last, known := t.met[what]
	if t.met == nil {
		t.met = map[string]time.Time{}
	}
	t.met[what] = now
	return !known || now.Sub(last) > settledAfter
}

// warn logs a trouble that is met whenever somebody asks, but only as it begins: pages that are watched ask every few
// seconds, and so does Prometheus. attrs tell troubles apart, and have few values.
func (s *Site) warn(msg string, err error, attrs ...any) {
	if s.troubles.begins(fmt.Sprint(msg, attrs)) {
		s.log.Warn(msg, append(attrs, "err", err)...)
	}
}
