package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"partnersync/store/storetest"
)

// BenchmarkProgram runs the program with --once and measures its whole time, including its start, and its peak of
// memory.
func BenchmarkProgram(b *testing.B) {
	program := build(b, b.TempDir())
	peaks := map[int]map[string]float64{} // MiB, by customers and pass
	for _, s := range []size{wholeSize, {1, 50_000, 0}, {1000, 20, 0}, {20_000, 20, 0}} {
		b.Run(s.String(), func(b *testing.B) {
			on := newBench(b, shortened(s), defaultWorkers)
			p := &programBench{bench: on, program: program, config: on.configuration(), peaks: map[string]float64{}}
			b.Run("first", p.first)
			b.Run("unchanged", p.unchanged)
			peaks[s.Customers] = p.peaks
		})
	}
	for pass, most := range peaks[20_000] {
		if least, ran := peaks[1000][pass]; ran && !testing.Short() {
			if more := most - least; more > 10 {
				b.Errorf("%s pass: %.1f MiB more for 20,000 customers than for 1,000, want at most 10", pass, more)
			}
		}
	}
}

// programBench is a benchmark of the program.
type programBench struct {
	*bench
	program, config string
	peaks           map[string]float64 // MiB, by pass
}

// configuration writes the configuration of a pass like those of the other benchmarks.
func (b *bench) configuration() string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "partnersync.yaml")
	const settings = "    requests_per_minute: 0\n    concurrency: %d\n    devices: false\n    policies: false\n"
	partner := fmt.Sprintf(settings, b.concurrency)
	if err := os.WriteFile(path, []byte("listen: \"\"\n"+defaultConfig+partner), 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

// environment returns the program's environment.
func (p *programBench) environment() []string {
	return append(os.Environ(), "DATABASE_URL="+p.db.url(), "API_URL="+p.api.url, "CLIENT_SECRET=emulator-secret")
}

// run makes a pass and returns how long it took and the peak of memory in MiB.
func (p *programBench) run(want string) (took time.Duration, peak float64) {
	p.Helper()
	cmd := exec.CommandContext(p.Context(), "peak", p.program, "--once", "--config", p.config)
	cmd.Env = p.environment()
	began := time.Now()
	output, err := cmd.CombinedOutput()
	took = time.Since(began)
	if err != nil || !strings.Contains(string(output), want) {
		p.Fatalf("%v, want %s\n%s", err, want, output)
	}
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	bytes, err := strconv.Atoi(lines[len(lines)-1])
	if err != nil {
		p.Fatal(err)
	}
	return took, float64(bytes) / (1 << 20)
}

func (p *programBench) first(b *testing.B) {
	p.passes(b, "first", func() (took, limit time.Duration, peak float64) {
		limit = p.fetched()
		p.fresh()
		limit += p.db.copied(b, p.size, p.connections)
		took, peak = p.run(fmt.Sprintf("%d inserted", p.rows()))
		return took, limit, peak
	})
}

func (p *programBench) unchanged(b *testing.B) {
	p.TB = b
	p.load()
	p.db.settle(b)
	p.passes(b, "unchanged", func() (took, limit time.Duration, peak float64) {
		limit = p.fetched()
		took, peak = p.run(fmt.Sprintf("%d unchanged", p.rows()))
		return took, limit, peak
	})
}

// passes runs the program repeatedly and compares the medians with the targets.
func (p *programBench) passes(b *testing.B, pass string, run func() (took, limit time.Duration, peak float64)) {
	p.TB = b
	var times, ratios, peaks []float64
	for b.Loop() {
		took, limit, peak := run()
		times = append(times, float64(took.Microseconds())/1000)
		ratios = append(ratios, float64(took)/float64(limit))
		peaks = append(peaks, peak)
	}
	p.peaks[pass] = median(peaks)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(times), "ms")
	b.ReportMetric(median(ratios), "x/limit")
	b.ReportMetric(float64(p.rows())/median(times)*1000, "rows/s")
	b.ReportMetric(median(peaks), "peak-MiB")
	switch {
	case testing.Short():
	case p.size == wholeSize:
		p.atMost("MiB at the peak", median(peaks), 50)
		if pass == "first" {
			p.atMost("times fetch and copy", median(ratios), 2)
		}
	case p.Customers == 1:
		_, bytes := p.fetch.all(b, p.size, p.concurrency)
		body := float64(bytes) / (1 << 20)
		b.ReportMetric(body, "body-MiB")
		p.atMost("times the list's body in memory at the peak", median(peaks)/body, 4)
	}
}

// BenchmarkIdle measures the processor time of a daemon that waits for its next tick.
func BenchmarkIdle(b *testing.B) {
	const window = 10 * time.Second
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		b.Skip("allowed: processor time is read from /proc")
	}
	on := newBench(b, size{Customers: 20, Batches: 20}, defaultWorkers)
	p := &programBench{bench: on, program: build(b, b.TempDir()), config: on.configuration()}
	cmd := exec.CommandContext(b.Context(), p.program, "--config", p.config)
	cmd.Env = p.environment()
	var output strings.Builder
	cmd.Stderr = &output
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil && b.Context().Err() == nil {
			b.Errorf("the daemon: %v\n%s", err, output.String())
		}
	})
	p.awaitRun(b)
	var used []time.Duration
	for b.Loop() {
		before := processorTime(b, cmd.Process.Pid)
		<-time.After(window)
		used = append(used, processorTime(b, cmd.Process.Pid)-before)
	}
	b.ReportMetric(0, "ns/op")
	percent := 100 * median(used).Seconds() / window.Seconds()
	b.ReportMetric(percent, "%CPU")
	p.atMost("% of a processor", percent, 0.5)
}

// awaitRun waits until a run is complete.
func (p *programBench) awaitRun(b *testing.B) {
	b.Helper()
	storetest.Eventually(b, func() (string, bool) {
		const query = "SELECT count(*) FROM partner_center.sync_runs WHERE state = 'complete'"
		var n int
		err := p.pools[0].QueryRow(b.Context(), query).Scan(&n)
		return fmt.Sprintf("%d runs are complete (%v)", n, err), n > 0
	})
}

// processorTime returns the processor time that a process has used so far, which Linux counts in hundredths of a
// second.
func processorTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // after the program's name; the state is the third field
	fields := strings.Fields(rest)
	var ticks time.Duration
	for _, field := range fields[11:13] { // utime and stime
		n, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		ticks += time.Duration(n)
	}
	return ticks * 10 * time.Millisecond
}
