package main

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	type at struct {
		after time.Duration
		done  int
	}
	for name, test := range map[string]struct {
		already int
		reports []at
		total   int
		want    string
	}{
		"too early to tell":           {0, []at{{0, 0}, {2 * time.Second, 50}}, 100, ""},
		"steady":                      {0, []at{{0, 0}, {10 * time.Second, 100}}, 1000, ", 10.0/s, 2m left"},
		"slow":                        {0, []at{{0, 0}, {60 * time.Second, 6}}, 1000, ", 6/min, 2h46m left"},
		"resumed":                     {5000, []at{{0, 5000}, {10 * time.Second, 5100}}, 5400, ", 10.0/s, 30s left"},
		"nothing moves":               {0, []at{{0, 0}, {10 * time.Second, 0}}, 100, ""},
		"only the last minute counts": {0, []at{{0, 0}, {time.Minute, 6000}, {2 * time.Minute, 6060}, {3 * time.Minute, 6120}}, 6180, ", 1.0/s, 1m left"},
		"all done":                    {0, []at{{0, 0}, {10 * time.Second, 100}}, 100, ", 10.0/s"},
	} {
		p := pace{already: test.already}
		var got string
		for _, r := range test.reports {
			got = p.words(began.Add(r.after), r.done, test.total)
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func TestRoughly(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "1s", 59 * time.Second: "59s", 100 * time.Second: "2m", 59*time.Minute + 40*time.Second: "60m", 90 * time.Minute: "1h30m", 30 * time.Hour: "30h00m",
	} {
		if got := roughly(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}
