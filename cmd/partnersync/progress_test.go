package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/sync"
)

func TestProgress_offATerminalIsALineEveryTenSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newProgress(&out, true)
		for second := range 25 {
			p.report(sync.Progress{Partner: "contoso", Listed: second, Total: 100})
			p.report(sync.Progress{Partner: "fabrikam", Listed: 1, Total: 10})
			<-time.After(time.Second)
		}
		p.finish()
		want := "batches and policies of 11 of 110 customers read, 1.0/s, 2 min left\n" +
			"batches and policies of 21 of 110 customers read, 1.0/s, 1 min left\n"
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

func TestProgress_countsTheDevicesAnewOnceAllIsListed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newProgress(&out, true)
		p.report(sync.Progress{Partner: "contoso", Listed: 900, Done: 900, Total: 1000}) // resumed
		<-time.After(10 * time.Second)
		p.report(sync.Progress{Partner: "contoso", Listed: 950, Done: 910, Total: 1000})
		<-time.After(5 * time.Second)
		p.report(sync.Progress{Partner: "contoso", Listed: 1000, Done: 910, Total: 1000})
		<-time.After(10 * time.Second)
		p.report(sync.Progress{Partner: "contoso", Listed: 1000, Done: 940, Total: 1000})
		p.finish()
		want := "batches and policies of 950 of 1000 customers read, 5.0/s, 10 s left\n" +
			"devices of 940 of 1000 customers read, 3.0/s, 20 s left\n"
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

func TestProgress_movesWithinALargeCustomer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newProgress(&out, true)
		p.terminal = true
		for lists := range 5 {
			p.report(sync.Progress{
				Partner: "contoso", Listed: 2, Done: 1, Total: 2, DeviceLists: lists, Within: float64(lists) / 1000,
			})
			<-time.After(time.Second)
		}
		for _, want := range []string{
			"50%", "(1/2) devices", "devices, 1 device list", "devices, 4 device lists, 17 min left",
		} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%q was not shown: %q", want, out.String())
			}
		}
		p.report(sync.Progress{Partner: "contoso", Listed: 2, Done: 1, Total: 2, DeviceLists: 900, Within: 0.9})
		if !strings.Contains(out.String(), "95%") {
			t.Errorf("the bar has not moved: %q", out.String())
		}
	})
}

func TestProgress_onATerminalIsABarBelowTheLog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := newProgress(&out, true)
	p.terminal = true
	fmt.Fprintln(p, "before the first report")
	if got := out.String(); got != "before the first report\n" {
		t.Errorf("before the first report there is %q", got)
	}
	p.report(sync.Progress{Partner: "contoso", Listed: 3, Total: 10})
	fmt.Fprintln(p, "a line of the log")
	p.report(sync.Progress{Partner: "contoso", Listed: 10, Done: 10, Total: 10})
	p.report(sync.Progress{Partner: "fabrikam", Listed: 1, Total: 20})
	p.finish()
	fmt.Fprintln(p, "after the end")
	screen := terminal(out.String())
	for _, want := range []string{"before the first report", "a line of the log", "after the end"} {
		if !strings.Contains("\n"+screen, "\n"+want+"\n") {
			t.Errorf("there is no line of %q on\n%s", want, screen)
		}
	}
	for _, want := range []string{"(3/10", "(11/30"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s was not shown: %q", want, out.String())
		}
	}
	if strings.Contains(screen, "backfill") {
		t.Errorf("the bar is there still:\n%s", screen)
	}
}

// terminal returns what a terminal shows in the end of what was written to it.
func terminal(written string) string {
	var screen []string
	for line := range strings.SplitSeq(written, "\n") {
		var cells []rune
		for part := range strings.SplitSeq(line, "\r") {
			over := []rune(part)
			cells = append(over, cells[min(len(over), len(cells)):]...)
		}
		screen = append(screen, strings.TrimRight(string(cells), " "))
	}
	return strings.Join(screen, "\n")
}

func TestProgress_isNotShownUnlessAskedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newProgress(&out, false)
		<-time.After(time.Hour)
		p.report(sync.Progress{Partner: "contoso", Done: 3, Total: 10})
		p.finish()
		if out.Len() > 0 {
			t.Errorf("got %q", out.String())
		}
	})
}

func TestPace(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	type at struct {
		after time.Duration
		done  float64
	}
	for name, test := range map[string]struct {
		already float64
		reports []at
		total   int
		want    string
	}{
		"too early to tell": {0, []at{{0, 0}, {2 * time.Second, 50}}, 100, ""},
		"steady":            {0, []at{{0, 0}, {10 * time.Second, 100}}, 1000, ", 10.0/s, 2 min left"},
		"slow":              {0, []at{{0, 0}, {60 * time.Second, 6}}, 1000, ", 6/min, 2 h 46 min left"},
		"very slow":         {0, []at{{0, 0}, {60 * time.Second, 0.5}}, 10, ", 19 min left"},
		"resumed":           {5000, []at{{0, 5000}, {10 * time.Second, 5100}}, 5400, ", 10.0/s, 30 s left"},
		"nothing moves":     {0, []at{{0, 0}, {10 * time.Second, 0}}, 100, ""},
		"only the last minute counts": {0, []at{{0, 0}, {time.Minute, 6000}, {2 * time.Minute, 6060},
			{3 * time.Minute, 6120}}, 6180, ", 1.0/s, 1 min left"},
		"all done": {0, []at{{0, 0}, {10 * time.Second, 100}}, 100, ", 10.0/s"},
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
		0: "1 s", 59 * time.Second: "59 s", 100 * time.Second: "2 min", 59*time.Minute + 40*time.Second: "1 h",
		90 * time.Minute: "1 h 30 min", 30 * time.Hour: "1 d 6 h",
	} {
		if got := roughly(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}
