package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newManCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "man",
		Short:   "Print the manual page",
		Long:    "Man prints the manual page of the program and all its commands, for man.",
		Example: "  partnersync man | man -l -\n  partnersync man > /usr/local/share/man/man1/partnersync.1",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return fails(exitFailed, printManual(a.stdout, cmd.Root()))
		},
	}
}

// manualEnd are the sections that do not come from the commands.
const manualEnd = `.SH "EXIT STATUS"
.TP
.B 0
Every customer of every partner was synced; of the daemon: it was stopped by a signal.
.TP
.B 1
Every run failed, the database could not be used, or a command other than a pass failed.
.TP
.B 2
The command line or the configuration is wrong.
.TP
.B 3
Anything between; also an interrupted pass.
.SH ENVIRONMENT
.TP
.B DATABASE_URL
The database, where the configuration has no database_url.
.TP
.B PARTNERSYNC_CONFIG
The configuration file, without \-\-config.
.TP
.B NO_COLOR
Set to anything: no colours on a terminal either.
.SH FILES
.TP
.I partnersync.yaml
The configuration, where neither \-\-config nor PARTNERSYNC_CONFIG names another.
`

// printManual prints a manual page, section 1, in the macros of man(7), which groff and mandoc know. Cobra's own generator
// makes a page for each command, and takes a Markdown renderer and a YAML library along.
func printManual(out io.Writer, root *cobra.Command) error {
	m := &manual{}
	m.printf(".TH PARTNERSYNC 1 \"\" \"partnersync %s\" \"User Commands\"\n", roff(version()))
	m.printf(".SH NAME\n%s \\- %s\n.SH SYNOPSIS\n", root.Name(), roff(root.Short))
	for i, cmd := range commands(root) {
		if i > 0 {
			m.printf(".br\n")
		}
		m.printf(".B %s\n", roff(cmd.UseLine()))
	}
	m.printf(".SH DESCRIPTION\n")
	m.text(root.Long)
	m.printf(".SH OPTIONS\n")
	m.options(root.LocalFlags())
	m.printf(".SH COMMANDS\n")
	for _, cmd := range commands(root)[1:] {
		m.printf(".SS \"%s\"\n", roff(strings.TrimPrefix(cmd.CommandPath(), root.Name()+" ")))
		m.text(cmp.Or(cmd.Long, cmd.Short+"."))
		m.options(cmd.LocalNonPersistentFlags())
	}
	m.printf("%s.SH EXAMPLES\n", manualEnd)
	for _, cmd := range commands(root) {
		m.examples(cmd.Example)
	}
	_, err := io.WriteString(out, m.String())
	if err != nil {
		return fmt.Errorf("printing the manual page: %w", err)
	}
	return nil
}

// commands returns the command and all below it that can be run and are not hidden, but for help.
func commands(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, c := range cmd.Commands() {
		if !c.Hidden && c.Name() != "help" {
			all = append(all, commands(c)...)
		}
	}
	return all
}

// manual is a page being written.
type manual struct{ strings.Builder }

func (m *manual) printf(format string, args ...any) { fmt.Fprintf(m, format, args...) }

// text writes paragraphs, which an empty line parts.
func (m *manual) text(s string) {
	for i, paragraph := range strings.Split(strings.TrimSpace(s), "\n\n") {
		if i > 0 {
			m.printf(".PP\n")
		}
		m.printf("%s\n", roff(paragraph))
	}
}

func (m *manual) options(flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		m.printf(".TP\n.B \\-\\-%s", roff(f.Name))
		if kind, _ := pflag.UnquoteUsage(f); kind != "" {
			m.printf(" %s", roff(strings.TrimSuffix(kind, "Array")))
		}
		m.printf("\n%s", roff(f.Usage))
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "[]" {
			m.printf(" (default %s)", roff(f.DefValue))
		}
		m.printf("\n")
	})
}

func (m *manual) examples(text string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	m.printf(".PP\n.nf\n%s\n.fi\n", roff(strings.TrimRight(text, "\n")))
}

// roff writes text so that the formatter takes it as it is.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, `"`, `\(dq`, "…", `\&...`, "'", `\(aq`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
