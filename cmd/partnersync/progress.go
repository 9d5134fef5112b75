package main

import (
	"fmt"
	"io"
	stdsync "sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"partnersync/store/cron"
	"partnersync/store/plural"
	"partnersync/sync"
)

// progress shows how far a long pass has got: as a bar on a terminal, as a line every ten seconds elsewhere. Other
// output to the same stream, such as the log, is written through it so that it does not tear the bar.
type progress struct {
	out      io.Writer
	show     bool
	terminal bool // out is one

	mu       stdsync.Mutex
	bar      *progressbar.ProgressBar // nil: none is shown
	partners map[string]sync.Progress
	what     string    // what is being read
	pace     pace      // of reading that
	printed  time.Time // when the last line was printed
}

const printEvery = 10 * time.Second

func newProgress(out io.Writer, show bool) *progress {
	return &progress{
		out: out, show: show, terminal: onTerminal(out), partners: map[string]sync.Progress{}, printed: time.Now(),
	}
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

// report updates how far one partner's pass has got.
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
	case !known: // what it begins with was done in an earlier attempt
		p.pace.already += count(now, what)
	}
	words := p.deviceLists() + p.pace.words(time.Now(), done, total)
	switch {
	case p.terminal:
		p.draw(done, max(1, total), what+words)
	case time.Since(p.printed) >= printEvery:
		p.printed = time.Now()
		fmt.Fprintf(p.out, "%s of %d of %s read%s\n", what, int(done), plural.Of(total, "customer", "customers"), words)
	}
}

// What a pass reads, one after the other.
const (
	readingLists   = "batches and policies"
	readingDevices = "devices"
)

// phase returns what is being read, and for how many of the customers that is done.
func (p *progress) phase() (what string, done float64, total int) {
	for _, what = range []string{readingLists, readingDevices} {
		done, total = 0, 0
		for _, each := range p.partners {
			done, total = done+count(each, what), total+each.Total
		}
		if done < float64(total) {
			break
		}
	}
	return what, done, total
}

// deviceLists is how many device lists were read, which grows within a large customer too.
func (p *progress) deviceLists() string {
	read := 0
	for _, each := range p.partners {
		read += each.DeviceLists
	}
	if read == 0 {
		return ""
	}
	return ", " + plural.Of(read, "device list", "device lists")
}

// count returns of how many customers that is read, with the parts of those of which it is being read.
func count(p sync.Progress, what string) float64 {
	if what == readingDevices {
		return min(float64(p.Done)+p.Within, float64(p.Total))
	}
	return float64(p.Listed)
}

// draw shows the bar. It needs a new one if the customers of another partner are added after the bar was full. The rate
// and the time left are not the bar's own, which would count what an interrupted backfill had done before.
func (p *progress) draw(done float64, total int, words string) {
	const parts = 1000 // of a customer
	if p.bar == nil || p.bar.IsFinished() {
		p.bar = progressbar.NewOptions(parts*total,
			progressbar.OptionSetWriter(p.out), progressbar.OptionSetPredictTime(false),
			progressbar.OptionShowDescriptionAtLineEnd(), progressbar.OptionClearOnFinish(),
		)
	}
	p.bar.ChangeMax(parts * total)
	p.bar.Describe(fmt.Sprintf("(%d/%d) %s", int(done), total, words))
	p.bar.Set(int(parts * done))
}

// finish removes the bar.
func (p *progress) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.bar.Clear()
		p.bar = nil
	}
}

const (
	paceWindow   = time.Minute     // over which the rate is measured
	paceInterval = time.Second     // between two samples
	paceMinimum  = 3 * time.Second // before a rate is shown
)

// pace measures how many customers are done per second. Its zero value is ready to use.
type pace struct {
	already float64 // done before the measurement began
	samples []paceSample
}

// paceSample is how many customers were done by a time, since the measurement began.
type paceSample struct {
	at   time.Time
	done float64
}

// words adds a sample and returns the rate of the last minute and the time left at that rate, or "" if it is too early
// to tell.
func (p *pace) words(now time.Time, done float64, total int) string {
	since := done - p.already
	if len(p.samples) == 0 {
		p.samples = append(p.samples, paceSample{at: now})
	}
	if last := p.samples[len(p.samples)-1]; now.Sub(last.at) >= paceInterval {
		p.samples = append(p.samples, paceSample{now, since})
	}
	for len(p.samples) > 2 && now.Sub(p.samples[1].at) >= paceWindow {
		p.samples = p.samples[1:]
	}
	first := p.samples[0]
	took := now.Sub(first.at)
	rate := (since - first.done) / took.Seconds()
	if took < paceMinimum || rate <= 0 {
		return ""
	}
	words := ""
	switch {
	case rate >= 1:
		words = fmt.Sprintf(", %.1f/s", rate)
	case 60*rate >= 1:
		words = fmt.Sprintf(", %.0f/min", 60*rate)
	}
	if left := float64(total) - done; left > 0 {
		words += ", " + roughly(time.Duration(left/rate*float64(time.Second))) + " left"
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
