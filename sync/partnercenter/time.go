package partnercenter

import "time"

// parseTime reads a time as the API writes them: RFC 3339 with a fraction of any length and any offset, the same without
// a zone, which the API documentation says is UTC, or a date alone; also with a space for the T and in lower case. The
// result is in UTC.
func parseTime(text []byte) (t time.Time, ok bool) {
	const date, offset = len(time.DateOnly), len("01:00")
	if len(text) < date {
		return time.Time{}, false
	}
	var room [64]byte
	s := append(room[:0], text...)
	if clock := s[date:]; len(clock) == 0 {
		s = append(s, "T00:00:00Z"...)
	} else {
		switch clock[0] {
		case ' ', 't':
			clock[0] = 'T'
		}
		switch last := len(clock) - 1; {
		case clock[last] == 'Z' || clock[last] == 'z':
			clock[last] = 'Z'
		case last < offset || clock[last-offset] != '+' && clock[last-offset] != '-':
			s = append(s, 'Z')
		}
	}
	if t.UnmarshalText(s) == nil { // which is fast and strict
		return t.UTC(), true
	}
	t, err := time.Parse(time.RFC3339, string(s))
	return t.UTC(), err == nil
}
