package partnercenter

import (
	"strings"
	"time"
)

// parseTime reads a time as the API writes them: RFC 3339 with a fraction of any length and any offset, the same without
// a zone, which the API documentation says is UTC, or a date alone; also with a space for the T and in lower case. The
// result is in UTC.
func parseTime(s string) (t time.Time, ok bool) {
	const date = len(time.DateOnly)
	if len(s) < date {
		return time.Time{}, false
	}
	day, clock := s[:date], strings.ToUpper(s[date:])
	layout := time.RFC3339
	switch {
	case clock == "":
		layout = time.DateOnly
	case clock[0] == ' ':
		clock = "T" + clock[1:]
	}
	zone := ""
	if clock != "" && !strings.ContainsAny(clock, "Z+-") {
		zone = "Z"
	}
	t, err := time.Parse(layout, day+clock+zone)
	return t.UTC(), err == nil
}
