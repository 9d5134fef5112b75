package cron

import (
	"fmt"
	"time"
)

// FormatDuration returns a duration for people, in at most two units, such as 59 s, 1 h 30 min or 3 d. It rounds down,
// and a negative duration is 0 s.
func FormatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(0, d)/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < day:
		return twoUnits(d, time.Hour, "h", time.Minute, "min")
	case d < 60*day:
		return twoUnits(d, day, "d", time.Hour, "h")
	}
	return fmt.Sprintf("%d d", d/day)
}

// twoUnits leaves the small unit out if there are ten or more of the large one.
func twoUnits(d, large time.Duration, largeName string, small time.Duration, smallName string) string {
	if n := d % large / small; n > 0 && d < 10*large {
		return fmt.Sprintf("%d %s %d %s", d/large, largeName, n, smallName)
	}
	return fmt.Sprintf("%d %s", d/large, largeName)
}
