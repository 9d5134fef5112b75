//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"partnersync/store/storetest"
	"partnersync/sync/partnercenter/partnercentertest"
)

// TestOnce_peakMemoryIsBounded runs the program as it is shipped: the tests' own binary is built for the race detector.
func TestOnce_peakMemoryIsBounded(t *testing.T) {
	t.Parallel()
	const customers, batches, limit = 50, 2000, 64 << 20
	const keys = "    requests_per_minute: 0\n    devices: false\n    policies: false\n"
	w := newWorld(t, storetest.Empty(t).URL, keys, partnercentertest.Options{})
	for i := range customers {
		w.api.AddCustomer(partnercentertest.Customer{ID: customerID(i)})
		for b := range batches {
			w.api.PutBatch(customerID(i), partnercentertest.Batch{ID: fmt.Sprint("batch ", b), Status: "finished",
				DevicesCount: b})
		}
	}
	program := build(t, w.dir)
	for _, pass := range []struct{ name, flag, want string }{
		{"first", "--once", "100000 inserted"},
		{"unchanged", "--once", "100000 unchanged"},
		{"compared", "--backfill", "100000 unchanged"},
	} {
		cmd := exec.CommandContext(t.Context(), "peak", program, pass.flag, "--config", w.config)
		cmd.Env = w.env.list()
		output, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(output), pass.want) {
			t.Fatalf("%s pass: %v, want %s\n%s", pass.name, err, pass.want, output)
		}
		lines := strings.Split(strings.TrimSpace(string(output)), "\n")
		peak, err := strconv.Atoi(lines[len(lines)-1])
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s pass over %d batches: peak of %.1f MiB", pass.name, customers*batches, float64(peak)/(1<<20))
		if peak > limit {
			t.Errorf("%s pass: peak of %d bytes, want at most %d", pass.name, peak, limit)
		}
	}
}

func init() { programs["peak"] = peak }

// peak runs a program and prints its peak of resident memory in bytes, in a line of its own. It is a command, since
// Linux counts what a process was before exec: the test that grew large would be measured with the program it starts.
func peak() {
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	most := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
	if runtime.GOOS != "darwin" { // there it is in bytes
		most *= 1024
	}
	fmt.Println(most)
}
