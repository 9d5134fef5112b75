package main

import (
	"fmt"
	"io"
	gosync "sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"partnersync/store/cron"
	"partnersync/sync"
)

// progress shows how far a long pass is: as a bar on a terminal, as a line every ten seconds elsewhere. What is written
// to it, such as a line of the log, goes to the same stream without tearing the bar.
type progress struct {
	out      io.Writer
	show     bool
	terminal bool // out is one

	mu       gosync.Mutex
	bar      *progressbar.ProgressBar // nil: none is shown
	partners map[string]sync.Progress
	what     string    // is being read
	pace     pace      // of that
	said     time.Time // when the last line was written
}

const sayEvery = 10 * time.Second

func newProgress(out io.Writer, show bool) *progress {
	return &progress{out: out, show: show, terminal: onTerminal(out), partners: map[string]sync.Progress{}, said: time.Now()}
}

// Write writes to the stream, above the bar.
func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar == nil {
		return p.out.Write(b)
	}
	if err := p.bar.Clear(); err != nil {
		return 0, err
	}
	n, err := p.out.Write(b)
	p.bar.RenderBlank()
	return n, err
}

// report takes in how far one partner's pass is.
func (p *progress) report(now sync.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.show {
		return
	}
	_, known := p.partners[now.Partner]
	p.partners[now.Partner] = now
	what, done, total := p.phase()
	switch {
	case what != p.what:
		p.what, p.pace = what, pace{already: done}
	case !known: // what it has in hand was done in an earlier attempt
		p.pace.already += count(now, what)
	}
	words := p.pace.words(time.Now(), done, total)
	switch {
	case p.terminal:
		p.draw(done, max(1, total), what+words)
	case time.Since(p.said) >= sayEvery:
		p.said = time.Now()
		fmt.Fprintf(p.out, "%s of %d of %d customers read%s\n", what, done, total, words)
	}
}

// What a pass reads, one after the other.
const (
	readingLists   = "batches and policies"
	readingDevices = "devices"
)

// phase tells what is being read, and of how many of the customers that has been done.
func (p *progress) phase() (what string, done, total int) {
	for _, what = range []string{readingLists, readingDevices} {
		done, total = 0, 0
		for _, each := range p.partners {
			done, total = done+count(each, what), total+each.Total
		}
		if done < total {
			break
		}
	}
	return what, done, total
}

func count(p sync.Progress, what string) int {
	if what == readingDevices {
		return p.Done
	}
	return p.Listed
}

// draw shows the bar. Customers of another partner may come when all were done, and a bar once finished stays so. Rate and
// time left are ours: the bar's would count what an interrupted backfill has done before.
func (p *progress) draw(done, total int, words string) {
	if p.bar == nil || p.bar.IsFinished() {
		p.bar = progressbar.NewOptions(total,
			progressbar.OptionSetWriter(p.out), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(false),
			progressbar.OptionShowDescriptionAtLineEnd(), progressbar.OptionClearOnFinish(),
		)
	}
	p.bar.ChangeMax(total)
	p.bar.Describe(words)
	p.bar.Set(done)
}

// finish takes the bar away.
func (p *progress) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.bar.Clear()
		p.bar = nil
	}
}

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

// roughly is an estimated duration, in whole minutes if it is longer than one.
func roughly(d time.Duration) string {
	if d > time.Minute {
		d = d.Round(time.Minute)
	}
	return cron.FormatDuration(max(d, time.Second))
}
