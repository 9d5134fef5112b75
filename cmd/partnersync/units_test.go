package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// unitLines returns the lines of a unit's section [Service], without comments.
func unitLines(t *testing.T, unit string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/systemd/" + unit)
	if err != nil {
		t.Fatal(err)
	}
	_, service, _ := strings.Cut(string(text), "[Service]\n")
	service, _, _ = strings.Cut(service, "\n[")
	for line := range strings.Lines(service) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestUnits_restartWhatCrashes reads what systemd makes of the program's exit codes: it starts again whatever ends but
// a wrong configuration, and keeps no core dump.
func TestUnits_restartWhatCrashes(t *testing.T) {
	t.Parallel()
	lines := unitLines(t, "partnersync.service")
	prevent := "RestartPreventExitStatus=" + strconv.Itoa(exitUsage)
	for _, want := range []string{"Restart=always", prevent, "LimitCORE=0"} {
		if !slices.Contains(lines, want) {
			t.Errorf("partnersync.service has no %s", want)
		}
	}
	if lines := unitLines(t, "partnersync-once.service"); !slices.Contains(lines, "LimitCORE=0") {
		t.Error("partnersync-once.service keeps core dumps")
	}
}

// TestAsService_runsAsTheServiceDoes runs partnersync-as-service with stand-ins for systemd's programs, which need one
// that runs: it hands on the service's own lines, in their order, and the arguments.
func TestAsService_runsAsTheServiceDoes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dropIn := "\n# /etc/systemd/system/partnersync.service.d/x.conf\n" +
		"[Service]\nMemoryMax=1G\nRestart=no\n[Unit]\nAfter=x\n"
	for name, script := range map[string]string{
		"id":          "echo 0",
		"systemctl":   `cat "$UNIT" && printf '%s' "$DROP_IN"`,
		"systemd-run": `printf '%s\n' "$@"`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "../../deploy/systemd/partnersync-as-service", "check", "two words")
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "DROP_IN="+dropIn,
		"UNIT=../../deploy/systemd/partnersync.service")
	got, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"--quiet", "--collect", "--wait", "--pty", "--pipe"}
	for _, line := range append(unitLines(t, "partnersync.service"), "MemoryMax=1G") {
		key, _, _ := strings.Cut(line, "=")
		switch key {
		case "Type", "ExecStart", "Restart", "RestartSec", "RestartPreventExitStatus", "WatchdogSec":
		default:
			want = append(want, "--property="+line)
		}
	}
	want = append(want, "--", "/usr/bin/partnersync", "check", "two words")
	if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(string(got)), "\n")); diff != "" {
		t.Errorf("systemd-run gets: (-want +got)\n%s", diff)
	}
}
