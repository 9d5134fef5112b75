package main

import (
	"fmt"
	"time"
)

const (
	paceWindow  = time.Minute // over which the rate is taken
	paceSamples = time.Second // apart
	paceLeast   = 3 * time.Second
)

// pace is how fast customers are done. Its zero value is ready to use.
type pace struct {
	already int // done before it began
	samples []paceSample
}

// paceSample is how many were done by a time, since it began.
type paceSample struct {
	at   time.Time
	done int
}

// words takes in how many are done now, and tells the rate of the last minute and the time left at that; "" until there is
// enough to tell from.
func (p *pace) words(now time.Time, done, total int) string {
	since := done - p.already
	if len(p.samples) == 0 {
		p.samples = append(p.samples, paceSample{at: now})
	}
	if last := p.samples[len(p.samples)-1]; now.Sub(last.at) >= paceSamples {
		p.samples = append(p.samples, paceSample{now, since})
	}
	for len(p.samples) > 2 && now.Sub(p.samples[1].at) >= paceWindow {
		p.samples = p.samples[1:]
	}
	first := p.samples[0]
	took := now.Sub(first.at)
	rate := float64(since-first.done) / took.Seconds()
	if took < paceLeast || rate <= 0 {
		return ""
	}
	words := fmt.Sprintf(", %.1f/s", rate)
	if rate < 1 {
		words = fmt.Sprintf(", %.0f/min", 60*rate)
	}
	if left := total - done; left > 0 {
		words += ", " + roughly(time.Duration(float64(left)/rate*float64(time.Second))) + " left"
	}
	return words
}

// roughly is a duration as one would say it.
func roughly(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(1, d/time.Second))
	case d < time.Hour:
		return fmt.Sprintf("%dm", (d+time.Minute/2)/time.Minute)
	}
	d = d.Round(time.Minute)
	return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
}
