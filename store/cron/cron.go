// Package cron says when the ticks of a schedule are: five cron fields in a time zone, or a fixed interval. It depends
// on no other package of ours, so that any may use it.
package cron

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule says when the ticks of a pass are, which are a second apart at
// least. [Parse] makes one; of the zero Schedule, only String may be called.
//
// In a time zone with summer time, the fields are compared with the clock on
// the wall: a tick in the hour that is left out in spring is left out with it,
// and one in the hour that comes twice in autumn comes twice.
type Schedule struct {
	spec  string
	loc   *time.Location
	ticks cron.Schedule
}

// Parse reads five cron fields (minute, hour, day of month, month, day
// of week), which are times in loc; a descriptor such as @hourly, likewise; or
// @every and a duration for [ParseDuration] of at least 1s, whose ticks are at
// the multiples of the duration since the Unix epoch, so that every replica has
// the same ones. A nil loc means UTC.
func Parse(spec string, loc *time.Location) (Schedule, error) {
	if loc == nil {
		loc = time.UTC
	}
	spec = strings.Join(strings.Fields(spec), " ")
	ticks, err := parseTicks(spec, loc)
	if err != nil {
		return Schedule{}, fmt.Errorf("reading schedule %q: %w", spec, err)
	}
	return Schedule{spec: spec, loc: loc, ticks: ticks}, nil
}

func parseTicks(spec string, loc *time.Location) (cron.Schedule, error) {
	first, rest, _ := strings.Cut(spec, " ")
	switch {
	case spec == "":
		return nil, errors.New(`it is empty; write five fields, such as "*/15 * * * *", or @hourly`)
	case strings.HasPrefix(spec, "TZ="), strings.HasPrefix(spec, "CRON_TZ="):
		return nil, errors.New("a time zone does not go here; use the timezone key")
	case first == "@reboot":
		return nil, errors.New("@reboot is no schedule; use the run_on_start key")
	case first == "@every":
		return parseEvery(rest)
	}
	return parseCron(spec, loc)
}

// parseCron refuses two kinds of spec that the library takes although they
// never tick: a field of nothing but commas, and a day that no month has.
func parseCron(spec string, loc *time.Location) (cron.Schedule, error) {
	parsed, err := cron.ParseStandard(spec)
	if err != nil {
		return nil, fmt.Errorf(`%w; write five fields, such as "*/15 * * * *", or @hourly`, err)
	}
	ticks := parsed.(*cron.SpecSchedule)
	for _, field := range []uint64{ticks.Minute, ticks.Hour, ticks.Dom, ticks.Month, ticks.Dow} {
		if field == 0 {
			return nil, errors.New("a field is an empty list; write * for any value")
		}
	}
	// The library looks five years ahead, and any day there is comes within
	// that of a leap year.
	leapYear := time.Date(2000, 1, 1, 0, 0, 0, 0, loc)
	if ticks.Next(leapYear).IsZero() {
		return nil, errors.New("it has no next time; no month it names has such a day")
	}
	return ticks, nil
}

// every is the cron.Schedule of @every: ticks at its multiples since the Unix
// epoch. The library's own counts from whenever it is asked.
type every time.Duration

func parseEvery(s string) (cron.Schedule, error) {
	d, err := ParseDuration(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("@every: %w", err)
	case d < time.Second:
		return nil, fmt.Errorf("@every %s: it is too short; write at least 1s", s)
	}
	return every(d), nil
}

func (e every) Next(after time.Time) time.Time {
	d := time.Duration(e)
	// Truncate counts from the zero time instead.
	epoch := time.Unix(0, 0)
	shift := epoch.Sub(epoch.Truncate(d))
	return after.Add(-shift).Truncate(d).Add(shift).Add(d)
}

// String returns the text the schedule was read from, "" for the zero Schedule.
func (s Schedule) String() string { return s.spec }

// Timezone returns the name of the time zone that the fields are times in.
func (s Schedule) Timezone() string { return s.loc.String() }

// Next returns the first tick after the given time, in UTC, or the zero time
// if the next five years have none.
func (s Schedule) Next(after time.Time) time.Time {
	next := s.ticks.Next(after.In(s.loc))
	if next.IsZero() {
		return time.Time{}
	}
	return next.UTC()
}

// Newest returns the newest tick in (after, now], or the zero time if there is
// none. It is cheap however long ago after is.
func (s Schedule) Newest(after, now time.Time) time.Time {
	due := func(from time.Time) bool {
		next := s.Next(from)
		return !next.IsZero() && !next.After(now)
	}
	if !due(after) {
		return time.Time{}
	}
	// Ticks are a second apart at least, so the newest is the first to follow
	// the latest whole second from which one is due.
	lo, hi := s.Next(after).Unix()-1, now.Unix()+1
	for lo+1 < hi {
		if mid := lo + (hi-lo)/2; due(time.Unix(mid, 0)) {
			lo = mid
		} else {
			hi = mid
		}
	}
	return s.Next(time.Unix(lo, 0))
}

// maxSkipped is where Last stops counting.
const maxSkipped = 10_000

// Last is Newest, and tells how many older ticks lie in (after, now] too,
// counted up to 10,000.
func (s Schedule) Last(after, now time.Time) (tick time.Time, skipped int) {
	tick = s.Newest(after, now)
	if tick.IsZero() {
		return tick, 0
	}
	for t := s.Next(after); t.Before(tick) && skipped < maxSkipped; t = s.Next(t) {
		skipped++
	}
	return tick, skipped
}

// Count returns how many ticks lie in (after, now], counted up to about 10,000.
func (s Schedule) Count(after, now time.Time) int {
	newest, older := s.Last(after, now)
	if newest.IsZero() {
		return 0
	}
	return older + 1
}

// Interval returns the shortest time between two consecutive ticks after now.
// It looks at the next hundred ticks and about a week ahead, but at two ticks
// at least.
func (s Schedule) Interval(now time.Time) time.Duration {
	const most, horizon = 100, 7 * 24 * time.Hour
	shortest := time.Duration(math.MaxInt64)
	tick := s.Next(now)
	for range most {
		next := s.Next(tick)
		if next.IsZero() {
			break
		}
		shortest = min(shortest, next.Sub(tick))
		if tick = next; tick.Sub(now) > horizon {
			break
		}
	}
	return shortest
}

// ParseDuration reads a duration as Go writes it, such as 90s or 1h30m, which
// may begin with whole days of 24 hours: 7d, 1d12h. It is never negative.
func ParseDuration(s string) (time.Duration, error) {
	const day = 24 * time.Hour
	var d time.Duration
	rest := s
	if days, after, found := strings.Cut(s, "d"); found {
		n, err := strconv.ParseUint(days, 10, 63)
		if err != nil || n > uint64(math.MaxInt64/day) {
			return 0, badDuration(s)
		}
		d, rest = time.Duration(n)*day, after
	}
	if rest != "" || s == "" {
		clock, err := time.ParseDuration(rest)
		if err != nil || clock < 0 || clock > math.MaxInt64-d {
			return 0, badDuration(s)
		}
		d += clock
	}
	return d, nil
}

func badDuration(s string) error {
	return fmt.Errorf("%q is no duration; write one such as 90s, 15m, 24h or 7d", s)
}
