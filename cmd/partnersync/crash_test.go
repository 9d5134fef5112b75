//go:build unix

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func init() { programs["panics"] = panics }

// panics is a program that crashes by itself.
func panics() {
	crashBySignal()
	panic("of its own")
}

// TestCrash_endsBySignal lets the built program crash: exit code 2 would tell whoever supervises it that its
// configuration is wrong.
func TestCrash_endsBySignal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, program string
		signal        os.Signal // nil: it crashes by itself
		want          syscall.Signal
	}{
		{"SIGABRT, as a watchdog's", "partnersync", syscall.SIGABRT, syscall.SIGABRT},
		{"SIGQUIT", "partnersync", syscall.SIGQUIT, syscall.SIGABRT},
		{"SIGKILL", "partnersync", syscall.SIGKILL, syscall.SIGKILL},
		{"a panic", "panics", nil, syscall.SIGABRT},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProgram(t, withoutServers()["DATABASE_URL"])
			p.addConfig("listen: \"\"\n")
			log, err := os.Create(filepath.Join(p.dir, "log"))
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			// A core dump would be written if the program allowed it.
			cmd := exec.CommandContext(t.Context(), "sh", "-c", `ulimit -c "$(ulimit -H -c)"; exec "$@"`, "sh",
				tt.program, "--config", p.config)
			cmd.Dir, cmd.Env, cmd.Stderr = p.dir, p.env.list(), log
			d := &daemon{t: t, cmd: cmd, log: log.Name()}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if tt.signal != nil {
				d.logged(1, "partnersync starts")
				if err := cmd.Process.Signal(tt.signal); err != nil {
					t.Error(err)
				}
			}
			e, ok := errors.AsType[*exec.ExitError](cmd.Wait())
			if !ok {
				t.Fatalf("it ended well\n%s", d.text())
			}
			status := e.Sys().(syscall.WaitStatus)
			if !status.Signaled() || status.Signal() != tt.want || status.CoreDump() {
				t.Errorf("it ended by %v, want %v and no core dump\n%s", e, tt.want, d.text())
			}
			if trace := strings.Contains(d.text(), "goroutine "); trace == (tt.want == syscall.SIGKILL) {
				t.Errorf("a trace of goroutines: %v", trace)
			}
		})
	}
}
