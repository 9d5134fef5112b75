package statuspage

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"partnersync/store/cron"
	"partnersync/store/report"
)

// batchesView is how the batches stand, prepared for the template.
type batchesView struct {
	report.Batches
	Total, Unfinished int64
	Legend            []series
	Columns           []column // of the chart, one a day
	Ticks             []int64  // of its vertical axis, from the top down
	AgeBars           []ageBar
}

// series is one status in the chart.
type series struct {
	Status string
	Now    int64 // batches
}

// column is a day of the chart.
type column struct {
	X     int // from 0 on
	Day   time.Time
	Parts []part // from the bottom up
	Total int64
	Title string
}

// part is the batches of one status on one day. Y and Height are in thousandths of the chart's height, from the top.
type part struct {
	Status    string
	Batches   int64
	Y, Height float64
}

// ageBar is a group of unfinished batches by age.
type ageBar struct {
	Label   string
	Batches int
	Percent float64 // of the largest group
}

func newBatchesView(b report.Batches) *batchesView {
	v := &batchesView{Batches: b, Columns: columns(b)}
	today := v.Columns[len(v.Columns)-1]
	v.Total = today.Total
	for _, p := range today.Parts {
		v.Legend = append(v.Legend, series{p.Status, p.Batches})
	}
	most := int64(0)
	for _, c := range v.Columns {
		most = max(most, c.Total)
	}
	top := niceTop(most)
	v.Ticks = []int64{top, top / 2, 0}
	for i := range v.Columns {
		v.Columns[i].stack(top)
	}
	v.ages()
	return v
}

// columns puts the numbers at the end of each day into a column, but for days that were pruned.
func columns(b report.Batches) []column {
	type key struct {
		day    time.Time
		status string
	}
	batches := map[key]int64{}
	for _, d := range b.Days {
		batches[key{d.Day, d.Status}] = d.Batches
	}
	days := make([]column, shownDays)
	for n := range days {
		c := column{X: n, Day: b.FirstDay.AddDate(0, 0, n)}
		for _, status := range stackOrder {
			p := part{Status: status, Batches: batches[key{c.Day, status}]}
			c.Parts = append(c.Parts, p)
			c.Total += p.Batches
		}
		c.Title = c.describe()
		days[n] = c
	}
	return slices.DeleteFunc(days, func(c column) bool { return c.Day.Before(b.KnownDay) })
}

// MiddleDay is the day in the middle of the chart.
func (v *batchesView) MiddleDay() time.Time { return v.FirstDay.AddDate(0, 0, shownDays/2-1) }

// stackOrder is the order of a column's parts from the bottom up, final statuses below those that still change.
var stackOrder = []string{"finished", "finished_with_errors", "processing", "queued", "other"}

func (c *column) describe() string {
	words := []string{}
	for _, p := range c.Parts {
		if p.Batches > 0 {
			words = append(words, fmt.Sprintf("%s %s", count(p.Batches), p.Status))
		}
	}
	if len(words) == 0 {
		words = []string{"no batches"}
	}
	return c.Day.Format("2 January") + ": " + list(words)
}

// stack places the parts on top of each other.
func (c *column) stack(top int64) {
	y := 1000.0
	for i := range c.Parts {
		p := &c.Parts[i]
		p.Height = 1000 * float64(p.Batches) / float64(top)
		y -= p.Height
		p.Y = y
	}
}

// niceTop returns the least round and even number that is not below n, and at least 2.
func niceTop(n int64) int64 {
	if n <= 2 {
		return 2
	}
	unit := int64(math.Pow10(int(math.Log10(float64(n)))))
	for _, times := range []int64{1, 2, 4, 6, 8, 10} {
		if top := times * unit; top >= n && top%2 == 0 {
			return top
		}
	}
	return 20 * unit
}

// ages makes the bars of the unfinished batches.
func (v *batchesView) ages() {
	most := 1
	for _, a := range v.Ages {
		v.Unfinished += int64(a.Batches)
		most = max(most, a.Batches)
	}
	for i, a := range v.Ages {
		bar := ageBar{Batches: a.Batches, Percent: 100 * float64(a.Batches) / float64(most)}
		switch {
		case a.From == nil:
			bar.Label = "unknown age"
		case i+1 < len(v.Ages) && v.Ages[i+1].From != nil && *a.From == 0:
			bar.Label = "under " + cron.FormatDuration(*v.Ages[i+1].From)
		case i+1 < len(v.Ages) && v.Ages[i+1].From != nil:
			bar.Label = strings.ReplaceAll(cron.FormatDuration(*a.From)+" to "+cron.FormatDuration(*v.Ages[i+1].From), " ", "\u00a0")
		default:
			bar.Label = "over " + cron.FormatDuration(*a.From)
		}
		if a.From != nil || a.Batches > 0 {
			v.AgeBars = append(v.AgeBars, bar)
		}
	}
}
