package cron

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func mustParse(t *testing.T, spec, zone string) Schedule {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(spec, loc)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func at(t *testing.T, s string) time.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestParseSchedule_refusesWhatNeverOrWronglyTicks(t *testing.T) {
	t.Parallel()
	tests := []struct{ spec, want string }{
		{"", `reading schedule "": it is empty; write five fields, such as "*/15 * * * *", or @hourly`},
		{" \t", `reading schedule "": it is empty; write five fields, such as "*/15 * * * *", or @hourly`},
		{"TZ=UTC", `reading schedule "TZ=UTC": a time zone does not go here; use the timezone key`},
		{"CRON_TZ=Asia/Tokyo 0 6 * * *",
			`reading schedule "CRON_TZ=Asia/Tokyo 0 6 * * *": a time zone does not go here; use the timezone key`},
		{" TZ=UTC 0 6 * * *",
			`reading schedule "TZ=UTC 0 6 * * *": a time zone does not go here; use the timezone key`},
		{"@reboot", `reading schedule "@reboot": @reboot is no schedule; use the run_on_start key`},
		{"@fortnightly",
			`reading schedule "@fortnightly": unrecognized descriptor: @fortnightly; write five fields, such as "*/15 * * * *", or @hourly`},
		{"0 0 30 2 *", `reading schedule "0 0 30 2 *": it has no next time; no month it names has such a day`},
		{"0 0 31 4,6,9,11 *",
			`reading schedule "0 0 31 4,6,9,11 *": it has no next time; no month it names has such a day`},
		{", * * * *", `reading schedule ", * * * *": a field is an empty list; write * for any value`},
		{"* * * * * *",
			`reading schedule "* * * * * *": expected exactly 5 fields, found 6: [* * * * * *]; write five fields, such as "*/15 * * * *", or @hourly`},
		{"60 * * * *",
			`reading schedule "60 * * * *": end of range (60) above maximum (59): 60; write five fields, such as "*/15 * * * *", or @hourly`},
		{"*/0 * * * *",
			`reading schedule "*/0 * * * *": step of range should be a positive number: */0; write five fields, such as "*/15 * * * *", or @hourly`},
		{"@every", `reading schedule "@every": @every: "" is no duration; write one such as 90s, 15m, 24h or 7d`},
		{"@every soon",
			`reading schedule "@every soon": @every: "soon" is no duration; write one such as 90s, 15m, 24h or 7d`},
		{"@every -5m",
			`reading schedule "@every -5m": @every: "-5m" is no duration; write one such as 90s, 15m, 24h or 7d`},
		{"@every 0s", `reading schedule "@every 0s": @every 0s: it is too short; write at least 1s`},
		{"@every 100ms", `reading schedule "@every 100ms": @every 100ms: it is too short; write at least 1s`},
		{"@every 0.999999999s",
			`reading schedule "@every 0.999999999s": @every 0.999999999s: it is too short; write at least 1s`},
	}
	for _, tt := range tests {
		t.Run(tt.spec, func(t *testing.T) {
			t.Parallel()
			_, err := Parse(tt.spec, time.UTC)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestSchedule_nextTicks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, spec, zone, after string
		want                    []string
	}{
		{
			"five fields", "*/15 * * * *", "UTC", "2026-03-01T10:07:00Z",
			[]string{"2026-03-01T10:15:00Z", "2026-03-01T10:30:00Z", "2026-03-01T10:45:00Z"},
		},
		{
			"a tick is after the time, not at it", "@hourly", "UTC", "2026-03-01T10:00:00Z",
			[]string{"2026-03-01T11:00:00Z"},
		},
		{
			"a fraction of a second before the tick", "@hourly", "UTC", "2026-03-01T09:59:59.999999999Z",
			[]string{"2026-03-01T10:00:00Z"},
		},
		{
			"the fields are times of the zone", "30 6 * * mon", "Asia/Kolkata", "2026-03-01T00:00:00Z",
			[]string{"2026-03-02T01:00:00Z", "2026-03-09T01:00:00Z"},
		},
		{
			"white space does not matter", "  0\t6 * *  * ", "UTC", "2026-03-01T00:00:00Z",
			[]string{"2026-03-01T06:00:00Z"},
		},
		{
			"29 February", "0 0 29 2 *", "UTC", "2026-03-01T00:00:00Z",
			[]string{"2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"},
		},
		{
			"spring leaves out 02:30", "30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z",
			[]string{"2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z"},
		},
		{
			"autumn has 02:30 twice", "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z",
			[]string{"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"},
		},
		{
			"a quarter of an hour stays one through spring", "*/15 * * * *", "America/New_York", "2026-03-08T06:40:00Z",
			[]string{"2026-03-08T06:45:00Z", "2026-03-08T07:00:00Z", "2026-03-08T07:15:00Z"},
		},
		{
			"a quarter of an hour stays one through autumn", "*/15 * * * *", "America/New_York", "2026-11-01T05:40:00Z",
			[]string{"2026-11-01T05:45:00Z", "2026-11-01T06:00:00Z", "2026-11-01T06:15:00Z"},
		},
		{
			"noon moves with summer time", "0 12 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z",
			[]string{"2026-03-28T11:00:00Z", "2026-03-29T10:00:00Z"},
		},
		{
			"every is aligned to the epoch", "@every 7m", "Europe/Berlin", "1970-01-01T00:10:00.5Z",
			[]string{"1970-01-01T00:14:00Z", "1970-01-01T00:21:00Z"},
		},
		{
			"every before the epoch", "@every 10s", "UTC", "1969-12-31T23:59:55.5Z",
			[]string{"1970-01-01T00:00:00Z", "1970-01-01T00:00:10Z"},
		},
		{
			"every in days", "@every 1d12h", "UTC", "1970-01-01T00:00:00Z",
			[]string{"1970-01-02T12:00:00Z", "1970-01-04T00:00:00Z"},
		},
		{
			"every in fractions of a second", "@every 1500ms", "UTC", "1970-01-01T00:00:00Z",
			[]string{"1970-01-01T00:00:01.5Z", "1970-01-01T00:00:03Z", "1970-01-01T00:00:04.5Z"},
		},
		{
			"every in nanoseconds", "@every 1.000000001s", "UTC", "1970-01-01T00:00:01.000000001Z",
			[]string{"1970-01-01T00:00:02.000000002Z", "1970-01-01T00:00:03.000000003Z"},
		},
		{
			"every in fractions of a second before the epoch", "@every 1500ms", "UTC", "1969-12-31T23:59:57Z",
			[]string{"1969-12-31T23:59:58.5Z", "1970-01-01T00:00:00Z"},
		},
		{
			"every in fractions of a second, of today", "@every 7.7s", "UTC", "2026-03-01T10:00:00Z",
			[]string{"2026-03-01T10:00:04Z", "2026-03-01T10:00:11.7Z"}, // 1772359204 is 230176520 times 7.7
		},
		{
			"nothing within five years", "0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z",
			[]string{"0001-01-01T00:00:00Z"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := mustParse(t, tt.spec, tt.zone)
			var got []string
			for next := at(t, tt.after); len(got) < len(tt.want); {
				next = s.Next(next)
				got = append(got, next.Format(time.RFC3339Nano))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSchedule_everyIsTheSameForAllWhoAsk(t *testing.T) {
	t.Parallel()
	s := mustParse(t, "@every 15m", "UTC")
	want := at(t, "2026-03-01T10:15:00Z")
	for after := at(t, "2026-03-01T10:00:00Z"); after.Before(want); after = after.Add(17 * time.Second) {
		if got := s.Next(after); !got.Equal(want) {
			t.Errorf("after %v: got %v, want %v", after, got, want)
		}
	}
}

func TestParseSchedule_withoutZoneMeansUTC(t *testing.T) {
	t.Parallel()
	s, err := Parse("0 6 * * *", nil)
	if err != nil {
		t.Fatal(err)
	}
	after := at(t, "2026-03-01T00:00:00+05:30")
	if got, want := s.Next(after), at(t, "2026-03-01T06:00:00Z"); !got.Equal(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSchedule_printsAsWritten(t *testing.T) {
	t.Parallel()
	if got, want := mustParse(t, " @every  5m", "UTC").String(), "@every 5m"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSchedule_lastTick(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, spec, after, now string
		want                   string
		skipped                int
	}{
		{"none yet", "@hourly", "2026-03-01T10:00:00Z", "2026-03-01T10:59:59Z", "0001-01-01T00:00:00Z", 0},
		{"now counts", "@hourly", "2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z", "2026-03-01T11:00:00Z", 0},
		{"after does not count", "@hourly", "2026-03-01T11:00:00Z", "2026-03-01T11:00:00.5Z", "0001-01-01T00:00:00Z",
			0},
		{"one behind", "@hourly", "2026-03-01T10:00:00Z", "2026-03-01T11:30:00.25Z", "2026-03-01T11:00:00Z", 0},
		{"two behind", "@hourly", "2026-03-01T10:00:00Z", "2026-03-01T12:30:00Z", "2026-03-01T12:00:00Z", 1},
		{"within a second", "@every 1s", "2026-03-01T10:00:00.9Z", "2026-03-01T10:00:01.1Z", "2026-03-01T10:00:01Z", 0},
		{"a fraction of a second ago", "@every 1500ms", "1970-01-01T00:00:00Z", "1970-01-01T00:00:01.6Z",
			"1970-01-01T00:00:01.5Z", 0},
		{"a fraction of a second ahead", "@every 1500ms", "1970-01-01T00:00:00Z", "1970-01-01T00:00:01.4Z",
			"0001-01-01T00:00:00Z", 0},
		{"fractions behind", "@every 1500ms", "1970-01-01T00:00:01.5Z", "1970-01-01T00:00:07.5Z",
			"1970-01-01T00:00:07.5Z", 3},
		{"just over a second", "@every 1.1s", "1970-01-01T00:00:00Z", "1970-01-01T00:00:02.3Z",
			"1970-01-01T00:00:02.2Z", 1},
		{"never before, in fractions", "@every 1500ms", "0001-01-01T00:00:00Z", "1970-01-01T00:00:02Z",
			"1970-01-01T00:00:01.5Z", 10_000},
		{"a burst long ago", "* 3 1 1 *", "2026-01-01T00:00:00Z", "2026-12-31T23:59:59Z", "2026-01-01T03:59:00Z", 59},
		{"years behind", "@daily", "2016-01-01T00:00:00Z", "2026-01-01T12:00:00Z", "2026-01-01T00:00:00Z", 3652},
		{"more than it counts", "@every 1s", "2016-01-01T00:00:00Z", "2026-01-01T12:00:00Z", "2026-01-01T12:00:00Z",
			10_000},
		{"never before", "@every 1d", "0001-01-01T00:00:00Z", "2026-01-01T12:00:00Z", "2026-01-01T00:00:00Z", 10_000},
		{"now is before after", "@hourly", "2026-03-01T10:00:00Z", "2026-03-01T08:00:00Z", "0001-01-01T00:00:00Z", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tick, skipped := mustParse(t, tt.spec, "UTC").Last(at(t, tt.after), at(t, tt.now))
			if got := tick.Format(time.RFC3339Nano); got != tt.want || skipped != tt.skipped {
				t.Errorf("got %s and %d skipped, want %s and %d", got, skipped, tt.want, tt.skipped)
			}
		})
	}
}

func TestSchedule_interval(t *testing.T) {
	t.Parallel()
	tests := []struct {
		spec string
		want time.Duration
	}{
		{"*/15 * * * *", 15 * time.Minute},
		{"@hourly", time.Hour},
		{"0 9,12 * * *", 3 * time.Hour},
		{"0 9,17 * * mon", 8 * time.Hour},
		{"@weekly", 7 * 24 * time.Hour},
		{"@every 90s", 90 * time.Second},
		{"@every 1500ms", 1500 * time.Millisecond},
		{"@every 30d", 30 * 24 * time.Hour},
		{"@yearly", 365 * 24 * time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.spec, func(t *testing.T) {
			t.Parallel()
			got := mustParse(t, tt.spec, "UTC").Interval(at(t, "2026-04-01T10:07:00Z"))
			if got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	tests := []struct {
		in   string
		want time.Duration
		ok   bool
	}{
		{"90s", 90 * time.Second, true},
		{"1h30m", 90 * time.Minute, true},
		{"0", 0, true},
		{"0d", 0, true},
		{"7d", 7 * day, true},
		{"1d12h", 36 * time.Hour, true},
		{"1d0.5h", day + 30*time.Minute, true},
		{"106751d", 106751 * day, true},
		{"106752d", 0, false},
		{"106751d23h47m17s", 0, false},
		{"99999999999999999999d", 0, false},
		{"", 0, false},
		{"d", 0, false},
		{"15", 0, false},
		{"1.5d", 0, false},
		{"1h1d", 0, false},
		{"1d1d", 0, false},
		{"-1d", 0, false},
		{"-5m", 0, false},
		{"1d-5m", 0, false},
		{"1 d", 0, false},
		{"1D", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			t.Parallel()
			got, err := ParseDuration(tt.in)
			if got != tt.want || (err == nil) != tt.ok {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, spec := range []string{
		"*/15 * * * *", "0 0 29 2 *", "0 0 30 2 *", "30 2 * * sun", "@daily", "@every 7m", "@every 1d", "@every -5m",
		"@every 1.5s", "@every 2562047h", "TZ=", "CRON_TZ=UTC", "TZ=UTC 0 0 * * *", ", , , , ,", "? ? ? ? ?", "1-5/2,7 0-23 */31 jan-dec mon",
	} {
		f.Add(spec, int64(1_773_000_000))
	}
	zones := []*time.Location{nil, time.Local}
	for _, zone := range []string{"Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu"} {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			f.Fatal(err)
		}
		zones = append(zones, loc)
	}
	f.Fuzz(func(t *testing.T, spec string, unix int64) {
		after := time.Unix(unix%4_000_000_000, 0)
		for _, loc := range zones {
			s, err := Parse(spec, loc)
			if err != nil {
				if strings.Contains(err.Error(), "\n") {
					t.Errorf("error of several lines: %v", err)
				}
				continue
			}
			checkTicks(t, s, after)
		}
	})
}

// checkTicks holds Next, Last and Interval against each other.
func checkTicks(t *testing.T, s Schedule, after time.Time) {
	t.Helper()
	next := s.Next(after)
	if next.IsZero() {
		return
	}
	if !next.After(after) {
		t.Errorf("%v in %v: the tick after %v is %v", s, s.loc, after, next)
	}
	if tick, skipped := s.Last(after, next); !tick.Equal(next) || skipped != 0 {
		t.Errorf("%v in %v: the last tick in (%v, %v] is %v, %d skipped", s, s.loc, after, next, tick, skipped)
	}
	if tick, _ := s.Last(after, next.Add(-time.Nanosecond)); !tick.IsZero() {
		t.Errorf("%v in %v: tick %v before the first, %v", s, s.loc, tick, next)
	}
	if got := s.Interval(after); got < time.Second {
		t.Errorf("%v in %v: interval %v", s, s.loc, got)
	}
}
