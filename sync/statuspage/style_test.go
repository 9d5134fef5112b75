package statuspage

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/store/report"
)

// luminance is WCAG's relative luminance of a colour such as #12876a.
func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

// What is drawn has to stand out from the card that it is on (WCAG 1.4.11), in light and dark.
func TestStyle_statusesStandOut(t *testing.T) {
	t.Parallel()
	css, err := staticDir.ReadFile("static/style.css")
	if err != nil {
		t.Fatal(err)
	}
	light, dark, found := strings.Cut(string(css), "prefers-color-scheme: dark")
	if !found {
		t.Fatal("there are no colours for the dark")
	}
	for scheme, text := range map[string]string{"light": light, "dark": dark} {
		colours := map[string]string{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6})`).FindAllStringSubmatch(text, -1) {
			colours[m[1]] = m[2]
		}
		for _, name := range []string{"finished", "processing", "queued", "errors", "other", "gone"} {
			a, b := luminance(t, colours[name]), luminance(t, colours["card"])
			if contrast := (max(a, b) + 0.05) / (min(a, b) + 0.05); contrast < 3 {
				t.Errorf("%s: --%s has a contrast of %.2f on the card, want 3", scheme, name, contrast)
			}
		}
	}
}

// What went wrong is told by height and in words, not by colour alone (WCAG 1.4.1).
func TestStrip_tellsApartWhatWentWrong(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	slots := []report.PassSlot{
		{Partner: "contoso", Slot: 0, Passes: 1},
		{Partner: "contoso", Slot: 1, Passes: 2, Failed: 1},
		{Partner: "contoso", Slot: 2, Passes: 1, Partial: 1},
		{Partner: "contoso", Slot: 3, Passes: 1, Abandoned: 1},
		{Partner: "contoso", Slot: 4, Passes: 1, Running: 1},
	}
	s := newStrips(slots, since)[0]
	heights := map[int]string{}
	for _, m := range s.Marks[:6] {
		if before := heights[m.Height]; before != "" {
			t.Errorf("%s is as high as %s", m.Class, before)
		}
		heights[m.Height] = m.Class
	}
	var got []string
	for _, u := range s.Wrong {
		got = append(got, u.At.Format("15:04 ")+u.Words)
	}
	if diff := cmp.Diff([]string{"12:45 1 abandoned", "12:30 1 partial", "12:15 1 failed"},
		got); diff != "" || s.MoreWrong != 0 {
		t.Errorf("and %d more (-want +got)\n%s", s.MoreWrong, diff)
	}
	slots = nil
	for i := range 10 {
		slots = append(slots, report.PassSlot{Partner: "contoso", Slot: i, Passes: 1, Failed: 1})
	}
	if s := newStrips(slots, since)[0]; len(s.Wrong) != shownWrong || s.MoreWrong != 10-shownWrong ||
		s.Wrong[0].At.Hour() != 14 {
		t.Errorf("%d and %d more: %+v", len(s.Wrong), s.MoreWrong, s.Wrong)
	}
}
