package main

import (
	"bytes"
	"os/exec"
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

func manualPage(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	if err := printManual(&out, everyCommand()[0]); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestManual_hasEveryCommandAndFlag(t *testing.T) {
	t.Parallel()
	page := manualPage(t)
	for _, c := range everyCommand() {
		if c.Hidden {
			continue
		}
		if !strings.Contains(page, ".B "+roff(c.UseLine())+"\n") {
			t.Errorf("there is no %s", c.UseLine())
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(page, `\-\-`+roff(f.Name)) && f.Name != "help" {
				t.Errorf("there is no --%s", f.Name)
			}
		})
	}
}

// TestManual_isGoodRoff has the page formatted by whichever formatters the machine has.
func TestManual_isGoodRoff(t *testing.T) {
	t.Parallel()
	page := manualPage(t)
	for _, formatter := range [][]string{{"groff", "-man", "-Tutf8", "-ww"}, {"mandoc", "-Tlint", "-Wwarning"}} {
		path, err := exec.LookPath(formatter[0])
		if err != nil {
			t.Logf("there is no %s", formatter[0])
			continue
		}
		cmd := exec.CommandContext(t.Context(), path, formatter[1:]...)
		cmd.Stdin = strings.NewReader(page)
		var out, complaints bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &complaints
		if err := cmd.Run(); err != nil || complaints.Len() > 0 {
			t.Errorf("%s: %v: %s", formatter[0], err, &complaints)
		}
		if formatter[0] == "groff" && !strings.Contains(out.String(), "partnersync --once --partner contoso\n") {
			t.Errorf("groff leaves the examples out")
		}
	}
}

func TestRoff_takesNothingForACommand(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"--yes":           `\-\-yes`,
		".TH\n'x \\f":     `\&.TH` + "\n" + `\(aqx \ef`,
		`a "b"`:           `a \(dqb\(dq`,
		"plain, as it is": "plain, as it is",
	} {
		if got := roff(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
