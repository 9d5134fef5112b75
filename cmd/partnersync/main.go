// Partnersync keeps a PostgreSQL database in step with the device batches of a Microsoft partner's customers, and keeps
// their history. See README.md, or run partnersync --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"partnersync/store"
	"partnersync/store/sanitize"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailed  = 1 // every run failed, or the database could not be used
	exitUsage   = 2 // the command line or the configuration is wrong
	exitPartial = 3 // anything between success and failure
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.LookupEnv, os.Stdin, os.Stdout, os.Stderr))
}

// run is the program: it does what args say until that is done or ctx is, and returns the exit code.
func run(ctx context.Context, args []string, lookupEnv func(string) (string, bool), stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{lookupEnv: lookupEnv, stdin: stdin, stdout: stdout, stderr: stderr}
	return a.run(ctx, args)
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
	if !ok { // what cobra itself finds wrong is the command line
		e = &exitError{exitUsage, fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	}
	if e.err != nil {
		fmt.Fprintln(a.stderr, "partnersync:", sanitize.ForTerminal(explain(e.err)))
	}
	return e.code
}

// explain is the error as people read it: one of the database on one line, with what to do about it.
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

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d: %v", e.code, e.err) }

// fails returns err as the reason to end with the code, unless it brings its own; nil stays nil.
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

Environment:

    DATABASE_URL        the database, if the configuration has no database_url
    PARTNERSYNC_CONFIG  the configuration file, if there is no --config; the default is partnersync.yaml
    NO_COLOR            if set to anything, no colours on a terminal either`,
		Example: `  partnersync --config partnersync.yaml
  partnersync --once --partner contoso
  partnersync --once --json
  partnersync --backfill --since 2026-01-31
  partnersync --dry-run --once
  partnersync demo`,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return a.sync(cmd.Context()) },
	}
	root.PersistentFlags().StringVar(&a.configPath, "config", "", "configuration file (else PARTNERSYNC_CONFIG, else partnersync.yaml)")
	root.PersistentFlags().StringVar(&a.logLevel, "log-level", "info", "least level that is logged: debug, info, warn or error")
	f := root.Flags()
	f.BoolVar(&a.flags.once, "once", false, "make one pass of each partner, then exit")
	f.BoolVar(&a.flags.backfill, "backfill", false, "read everything anew in one full pass, then exit; resumes an unfinished one")
	f.BoolVar(&a.flags.dryRun, "dry-run", false, "with --once or --backfill: print what would change, and write nothing")
	f.BoolVar(&a.flags.json, "json", false, "with --once or --backfill: print the summary as JSON")
	f.StringArrayVar(&a.flags.partners, "partner", nil, "with --once or --backfill: only this partner (repeatable)")
	f.StringArrayVar(&a.flags.customers, "customer", nil, "with --once or --backfill: only the customer with this id (repeatable)")
	f.StringVar(&a.flags.since, "since", "", "with --backfill: re-read devices only of batches created since this date (UTC) or RFC 3339 time")
	f.BoolVar(&a.flags.restart, "restart", false, "with --backfill: begin anew even if an unfinished backfill could be resumed")
	root.AddCommand(newMigrateCommand(a), newDictionaryCommand(a), newPruneCommand(a), newDemoCommand(a), newVersionCommand(a))
	root.AddCommand(newLoginCommand(a), newLogoutCommand(a), newCheckCommand(a), newStatusCommand(a), newHealthCommand(a), newManCommand())
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
