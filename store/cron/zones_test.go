package cron

import (
	"archive/zip"
	"flag"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the machine may come without the time zones
)

var soak = flag.Bool("soak", false, "compare the ticks of all time zones, on all days")

// walked are schedules and, said independently of them, when the clock on the wall matches.
var walked = []struct {
	spec    string
	matches func(month time.Month, day int, weekday time.Weekday, hour, minute int) bool
}{
	{"* * * * *", func(_ time.Month, _ int, _ time.Weekday, _, _ int) bool { return true }},
	{"*/15 * * * *", func(_ time.Month, _ int, _ time.Weekday, _, minute int) bool { return minute%15 == 0 }},
	{"0 0 * * *", func(_ time.Month, _ int, _ time.Weekday, hour, minute int) bool { return hour == 0 && minute == 0 }},
	{"30 2 * * *", func(_ time.Month, _ int, _ time.Weekday, hour, minute int) bool { return hour == 2 && minute == 30 }},
	{"45 23 * 3-10 *", func(month time.Month, _ int, _ time.Weekday, hour, minute int) bool {
		return time.March <= month && month <= time.October && hour == 23 && minute == 45
	}},
	{"0 12 * * 0", func(_ time.Month, _ int, weekday time.Weekday, hour, minute int) bool {
		return weekday == time.Sunday && hour == 12 && minute == 0
	}},
	{"0 0 1 * 1", func(_ time.Month, day int, weekday time.Weekday, hour, minute int) bool {
		return (day == 1 || weekday == time.Monday) && hour == 0 && minute == 0
	}},
}

// walk compares the ticks in [from, to) with what the clock on the wall shows at each minute.
func walk(t *testing.T, loc *time.Location, from, to time.Time) {
	t.Helper()
	schedules, next := make([]Schedule, len(walked)), make([]time.Time, len(walked))
	for i, w := range walked {
		s, err := Parse(w.spec, loc)
		if err != nil {
			t.Fatal(err)
		}
		schedules[i], next[i] = s, s.Next(from.Add(-time.Nanosecond))
	}
	for minute := from; minute.Before(to); minute = minute.Add(time.Minute) {
		wall := minute.In(loc)
		_, month, day := wall.Date()
		hour, min, _ := wall.Clock()
		for i, w := range walked {
			want := w.matches(month, day, wall.Weekday(), hour, min)
			if next[i].Equal(minute) != want {
				t.Fatalf("%s at %v: tick is %t, want %t; Next says %v", w.spec, wall, !want, want, next[i].In(loc))
			}
			if want {
				next[i] = schedules[i].Next(minute)
			}
		}
	}
}

// walkYears walks five years: all days, or the ends of three months, and eight days before each change of the clocks to
// two days after it.
func walkYears(t *testing.T, loc *time.Location, firstYear int, allDays bool) {
	t.Helper()
	begin, end := time.Date(firstYear, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(firstYear+5, 1, 1, 0, 0, 0, 0, time.UTC)
	if allDays {
		walk(t, loc, begin, end)
		return
	}
	for _, month := range []time.Month{time.February, time.July, time.December} {
		lastDay := time.Date(firstYear, month+1, 0, 0, 0, 0, 0, time.UTC)
		walk(t, loc, lastDay, lastDay.AddDate(0, 0, 2))
	}
	for day := begin; day.Before(end); day = day.AddDate(0, 0, 1) {
		_, before := day.In(loc).Zone()
		_, after := day.AddDate(0, 0, 1).In(loc).Zone()
		if before != after {
			walk(t, loc, day.AddDate(0, 0, -8), day.AddDate(0, 0, 3))
		}
	}
}

func TestSchedule_ticksWhenTheClockOnTheWallMatches(t *testing.T) {
	t.Parallel()
	zones := []struct {
		name      string
		firstYear int
		why       string
	}{
		{"Africa/Cairo", 2023, "from midnight to 01:00, and back from midnight to 23:00 of the day before"},
		{"Africa/Casablanca", 2024, "an hour back for Ramadan"},
		{"America/Asuncion", 2020, "as Cairo, until it stopped changing"},
		{"America/Havana", 2024, "from midnight to 01:00, and back from 01:00 to midnight"},
		{"America/Santiago", 2024, "as Cairo, in the southern hemisphere"},
		{"America/St_Johns", 2007, "back from 00:01 to 23:01, so that a day is in two pieces"},
		{"Asia/Beirut", 2024, "as Cairo"},
		{"Asia/Gaza", 2024, "several changes a year"},
		{"Asia/Pyongyang", 2014, "half an hour back, and three years later forth"},
		{"Asia/Tehran", 2019, "from midnight to 01:00, until it stopped changing"},
		{"Atlantic/Azores", 2024, "as Havana"},
		{"Australia/Lord_Howe", 2024, "half an hour"},
		{"Europe/Berlin", 2096, "far ahead"},
		{"Pacific/Apia", 2009, "no 30 December 2011"},
		{"Antarctica/Troll", 2024, "two hours"},
		{"UTC", 2024, "never"},
	}
	for _, zone := range zones {
		t.Run(zone.name, func(t *testing.T) {
			t.Parallel()
			loc, err := time.LoadLocation(zone.name)
			if err != nil {
				t.Fatal(err)
			}
			walkYears(t, loc, zone.firstYear, *soak)
		})
	}
	if *soak {
		for name, data := range allZones(t) {
			t.Run("all zones/"+name, func(t *testing.T) {
				t.Parallel()
				loc, err := time.LoadLocationFromTZData(name, data)
				if err != nil {
					t.Fatal(err)
				}
				walkYears(t, loc, 2007, false)
				walkYears(t, loc, 2026, true)
			})
		}
	}
}

// allZones returns the time zones that come with Go, those of several names once.
func allZones(t *testing.T) map[string][]byte {
	t.Helper()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	archive, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	zones, seen := map[string][]byte{}, map[string]bool{}
	for _, file := range archive.File {
		r, err := file.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 0 && !seen[string(data)] { // a folder has none
			zones[file.Name], seen[string(data)] = data, true
		}
	}
	return zones
}
