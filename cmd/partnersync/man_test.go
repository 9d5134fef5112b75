package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// everyCommand is the program's command line, with hidden commands and without help.
func everyCommand() (all []*cobra.Command) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		all = append(all, c)
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newCommand(&app{lookupEnv: func(string) (string, bool) { return "", false }}))
	return all
}

func TestCommands_haveHelpWithExamples(t *testing.T) {
	t.Parallel()
	for _, c := range everyCommand() {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: short help %q", c.CommandPath(), c.Short)
		}
		if !strings.Contains(c.Example, "partnersync") {
			t.Errorf("%s has no example", c.CommandPath())
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s: --%s is not explained", c.CommandPath(), f.Name)
			}
		})
	}
}

// manualPages writes the manual pages and returns them by the name of their file.
func manualPages(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	var out bytes.Buffer
	if code := run(t.Context(), []string{"man", dir}, environment{}.lookup, strings.NewReader(""), &out,
		&out); code != exitOK {
		t.Fatalf("exit code %d: %s", code, &out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pages[filepath.Base(file)] = string(text)
	}
	return pages
}

func TestManual_hasEveryCommandAndFlag(t *testing.T) {
	t.Parallel()
	pages := manualPages(t)
	for _, c := range everyCommand() {
		if c.Hidden {
			continue
		}
		c.InitDefaultHelpFlag() // which is part of the synopsis
		name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
		page := pages[name]
		for _, want := range []string{`"partnersync ` + version() + `"`, ".SH SYNOPSIS\n\\fB" + c.UseLine() + "\\fP\n",
			c.Short} {
			if !strings.Contains(page, want) {
				t.Errorf("%s does not have %q", name, want)
			}
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(page, `--`+f.Name+`\fP`) {
				t.Errorf("%s does not have --%s", name, f.Name)
			}
		})
	}
}

// TestManual_isGoodRoff has the pages formatted by whichever formatters the machine has.
func TestManual_isGoodRoff(t *testing.T) {
	t.Parallel()
	for _, formatter := range [][]string{{"groff", "-man", "-Tutf8", "-ww"}, {"mandoc", "-Tlint", "-Wwarning"}} {
		path, err := exec.LookPath(formatter[0])
		if err != nil {
			t.Logf("there is no %s", formatter[0])
			continue
		}
		for name, page := range manualPages(t) {
			cmd := exec.CommandContext(t.Context(), path, formatter[1:]...)
			cmd.Stdin = strings.NewReader(page)
			var out, complaints bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &complaints
			if err := cmd.Run(); err != nil || complaints.Len() > 0 {
				t.Errorf("%s of %s: %v: %s", formatter[0], name, err, &complaints)
			}
			if formatter[0] == "groff" && name == "partnersync.1" &&
				!strings.Contains(out.String(), "partnersync --once --partner contoso\n") {
				t.Errorf("groff leaves the examples out")
			}
		}
	}
}
