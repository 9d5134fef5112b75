// Partnersync keeps a PostgreSQL database in step with the device batches of a Microsoft partner's customers, and keeps
// their history. See README.md, or run partnersync --help.
//
// Each command has a file of its own name. The command without a name is in sync.go, and goes on in daemon.go, or with
// --dry-run in dryrun.go. What commands share: app.go (logger and configuration), database.go, runner.go (partners and
// what makes their passes) and terminal.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"partnersync/store"
	"partnersync/store/sanitize"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailed  = 1 // every run failed, the database could not be used, or another command failed
	exitUsage   = 2 // the command line or the configuration is wrong
	exitPartial = 3 // anything between success and failure
)

func main() {
	crashBySignal()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.LookupEnv, os.Stdin, os.Stdout, os.Stderr))
}

// crashBySignal has a crash (a panic, a fatal error of Go's, SIGABRT, SIGQUIT) end the program by a signal. Go would
// have it exit with 2, which is the code of a wrong configuration: whoever supervises would not start it again. A core
// dump would hold secrets, so there is none.
func crashBySignal() {
	debug.SetTraceback("crash")
	withoutCoreDump()
}

// run is the program: it does what args say, until ctx is done at the latest, and returns the exit code.
func run(
	ctx context.Context, args []string, lookupEnv func(string) (string, bool),
	stdin io.Reader, stdout, stderr io.Writer,
) int {
	a := &app{lookupEnv: withoutLineBreaks(lookupEnv), stdin: stdin, stdout: stdout, stderr: stderr}
	return a.run(ctx, args)
}

// withoutLineBreaks leaves out those at the end of the environment's values: what comes from a file often has one.
func withoutLineBreaks(lookupEnv func(string) (string, bool)) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, set := lookupEnv(name)
		return strings.TrimRight(value, "\r\n"), set
	}
}

// run does what args say, and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := newCommand(a)
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	e, ok := errors.AsType[*exitError](err)
	if !ok { // an error of cobra's own: the command line is wrong
		e = &exitError{exitUsage, fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	}
	if e.err != nil {
		fmt.Fprintln(a.stderr, "partnersync:", sanitize.ForTerminal(explain(e.err)))
	}
	return e.code
}

// explain is the text of an error for people; for one of the database, on one line and with what to do about it.
func explain(err error) string {
	hint := store.Advice(err)
	if hint == "" {
		return err.Error()
	}
	return store.OneLine(err) + "; " + hint
}

// exitError ends the program with the code, and with a message if err is set.
type exitError struct {
	code int
	err  error
}

// Error gives the exit code, and why.
func (e *exitError) Error() string { return fmt.Sprintf("exit code %d: %v", e.code, e.err) }

// fails returns err as the reason to exit with the code, unless it is an exitError already; nil stays nil.
func fails(code int, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*exitError); ok {
		return e
	}
	return &exitError{code: code, err: err}
}

// newCommand returns the command line of the program.
func newCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "partnersync",
		Short: "Keep a Microsoft partner's device batches, with their history, in PostgreSQL",
		Long: `Partnersync reads the device batches (Windows Autopilot) of a Microsoft partner's customers from the
Partner Center API and keeps them in PostgreSQL, with every earlier version.

Without --once or --backfill it is a daemon that makes a pass at each tick of its schedule.

Exit codes:

    0  every customer of every partner was synced; of the daemon: a signal stopped it
    1  every run failed, the database could not be used, or a command other than a pass failed
    2  the command line or the configuration is wrong
    3  anything between success and failure, and an interrupted pass

A crash ends it by a signal, and leaves no core dump.

Environment:

    DATABASE_URL        the database, if there is no --database-url; it goes before the configuration's
    PARTNERSYNC_CONFIG  the configuration file, if there is no --config; else it is partnersync.yaml in the
                        working directory, or /etc/partnersync/partnersync.yaml
    NO_COLOR            if set to anything, no colours on a terminal either`,
		Example: `  partnersync --config partnersync.yaml
  partnersync --once --partner contoso
  partnersync --once --json
  partnersync --backfill --since 2026-01-31
  partnersync --dry-run --once
  partnersync demo`,
		Args:          cobra.NoArgs,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return a.sync(cmd.Context()) },
	}
	root.SetVersionTemplate("partnersync {{.Version}}\n")
	p := root.PersistentFlags()
	p.StringVar(&a.configPath, "config", "",
		"configuration file (else PARTNERSYNC_CONFIG, ./partnersync.yaml, /etc/partnersync/partnersync.yaml)")
	p.Func("database-url", "`URL` of the database (else DATABASE_URL, database_url in the configuration); "+
		"others on this machine can see a password in it", func(url string) error {
		a.databaseURL = &url
		return nil
	})
	p.StringVar(&a.logLevel, "log-level", "info", "lowest level that is logged: debug, info, warn or error")
	a.flags.define(root.Flags())
	root.AddCommand(
		newCheckCommand(a), newDemoCommand(a), newDictionaryCommand(a), newHealthCommand(a), newLoginCommand(a),
		newLogoutCommand(a), newManCommand(), newMigrateCommand(a), newPruneCommand(a), newStatusCommand(a),
		newVersionCommand(a),
	)
	a.complete(root)
	return root
}

func newVersionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  partnersync version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.stdout, "partnersync", version())
			return err
		},
	}
}

// version returns the module's version, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(12, len(s.Value))]
		}
	}
	return "devel"
}
