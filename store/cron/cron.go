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
// Five fields tick at exactly the minutes at which the zone's clock on the wall
// matches them. A minute that the clock skips in spring has no tick, and one
// that comes twice in autumn has two.
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
	ticks := (*fields)(parsed.(*cron.SpecSchedule))
	for _, field := range []uint64{ticks.Minute, ticks.Hour, ticks.Dom, ticks.Month, ticks.Dow} {
		if field == 0 {
			return nil, errors.New("a field is an empty list; write * for any value")
		}
	}
	// A leap year has every day there is.
	leapYear := time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)
	if _, found := ticks.firstMatch(leapYear, leapYear.AddDate(1, 0, 0)); !found {
		return nil, errors.New("it has no next time; no month it names has such a day")
	}
	return ticks, nil
}

// fields is the cron.Schedule of five fields, in the zone of the time that Next
// is given. The library's own skips ticks in zones whose clocks change at
// midnight or by half an hour.
type fields cron.SpecSchedule

// Next goes from one change of the zone's offset to the next. In between, the
// clock on the wall runs like one of UTC, without gaps or repetitions.
func (f *fields) Next(after time.Time) time.Time {
	limit := time.Date(after.Year()+6, time.January, 1, 0, 0, 0, 0, after.Location())
	for from := after.Add(1); from.Before(limit); {
		end := offsetEnd(from, limit)
		_, seconds := from.Zone()
		offset := time.Duration(seconds) * time.Second
		if wall, found := f.firstMatch(from.UTC().Add(offset), end.UTC().Add(offset)); found {
			return wall.Add(-offset)
		}
		from = end
	}
	return time.Time{}
}

// offsetEnd returns a time after t, limit at the latest, up to which the zone's
// offset is that of t.
func offsetEnd(t, limit time.Time) time.Time {
	const day = 24 * time.Hour
	_, end := t.ZoneBounds()
	switch {
	case end.IsZero() || end.After(limit): // zero: the offset never changes again
		return limit
	case !end.After(t): // on the last day of a leap year, ZoneBounds may say the day's beginning
		return t.Truncate(day).Add(day)
	}
	return end
}

// firstMatch returns the first whole minute in [from, end) that matches the
// fields. Both times are what the clock on the wall shows, written as UTC.
func (f *fields) firstMatch(from, end time.Time) (wall time.Time, found bool) {
	t := from.Add(time.Minute - 1).Truncate(time.Minute)
	for t.Before(end) {
		year, month, day := t.Date()
		switch {
		case f.Month>>month&1 == 0:
			t = time.Date(year, month+1, 1, 0, 0, 0, 0, time.UTC)
		case !f.matchesDay(t):
			t = time.Date(year, month, day+1, 0, 0, 0, 0, time.UTC)
		case f.Hour>>t.Hour()&1 == 0:
			t = t.Truncate(time.Hour).Add(time.Hour)
		case f.Minute>>t.Minute()&1 == 0:
			t = t.Add(time.Minute)
		default:
			return t, true
		}
	}
	return time.Time{}, false
}

// matchesDay follows the rule of Vixie cron: if the day of month or the day of
// week is *, both must match, and otherwise either.
func (f *fields) matchesDay(t time.Time) bool {
	const star = 1 << 63 // set by the library's parser
	dayOfMonth, dayOfWeek := f.Dom>>t.Day()&1 != 0, f.Dow>>t.Weekday()&1 != 0
	if (f.Dom|f.Dow)&star != 0 {
		return dayOfMonth && dayOfWeek
	}
	return dayOfMonth || dayOfWeek
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

// Next returns the first tick after a time. Ticks are multiples of the duration since 1970.
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
