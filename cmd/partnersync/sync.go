package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/pflag"

	"partnersync/cmd/partnersync/config"
	"partnersync/store"
	"partnersync/sync"
)

// syncFlags are the flags of the command without a name.
type syncFlags struct {
	once, backfill, dryRun, summary, json, restart bool
	partners, customers                            []string
	since                                          string
}

func (f *syncFlags) define(flags *pflag.FlagSet) {
	flags.BoolVar(&f.once, "once", false, "make one pass of each partner, then exit")
	flags.BoolVar(&f.backfill, "backfill", false,
		"read everything anew in one full pass, then exit; resumes an unfinished one")
	flags.BoolVar(&f.dryRun, "dry-run", false, "with --once or --backfill: print what would change, and write nothing")
	flags.BoolVar(&f.summary, "summary", false,
		"with --dry-run: print only how many rows would change, and which customers fail")
	flags.BoolVar(&f.json, "json", false, "with --once or --backfill: print the summary as JSON")
	flags.StringArrayVar(&f.partners, "partner", nil, "with --once or --backfill: only this partner (repeatable)")
	flags.StringArrayVar(&f.customers, "customer", nil,
		"with --once or --backfill: only the customer with this id (repeatable)")
	flags.StringVar(&f.since, "since", "",
		"with --backfill: re-read devices only of batches created since this date (UTC) or RFC 3339 time")
	flags.BoolVar(&f.restart, "restart", false,
		"with --backfill: begin anew even if an unfinished backfill could be resumed")
}

// request returns the pass that the flags ask for; its Kind is "" for the daemon.
func (f syncFlags) request() (q sync.Request, err error) {
	q = sync.Request{Partners: distinct(f.partners), Restart: f.restart}
	switch {
	case f.once && f.backfill:
		return q, errors.New("--once and --backfill exclude each other")
	case f.once:
		q.Kind = store.Once
	case f.backfill:
		q.Kind = store.Backfill
	case f.dryRun || f.json || f.partners != nil || f.customers != nil:
		return q, errors.New("--dry-run, --json, --partner and --customer go with --once or --backfill")
	}
	switch {
	case !f.backfill && (f.since != "" || f.restart):
		return q, errors.New("--since and --restart go with --backfill")
	case f.dryRun && f.json:
		return q, errors.New("--dry-run and --json exclude each other")
	case f.summary && !f.dryRun:
		return q, errors.New("--summary goes with --dry-run")
	}
	if q.Customers, err = customerIDs(f.customers); err != nil {
		return q, err
	}
	if f.since != "" {
		q.Since, err = parseDate("--since", f.since)
	}
	return q, err
}

// customerIDs reads the values of --customer.
func customerIDs(values []string) (ids []string, err error) {
	for _, id := range values {
		parsed, err := uuid.Parse(id)
		if err != nil {
			return nil, fmt.Errorf("--customer %q: a customer's id is its tenant's GUID", id)
		}
		ids = append(ids, parsed.String())
	}
	return distinct(ids), nil
}

// distinct returns the values once each, sorted: a backfill with the same ones resumes, however they were given.
func distinct(values []string) []string {
	values = slices.Clone(values)
	slices.Sort(values)
	return slices.Compact(values)
}

// parseDate reads the value of a flag: a date in UTC, or a time.
func parseDate(flag, s string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf(
		"%s %q: write a date such as 2026-01-31, which is UTC, or a time such as 2026-01-31T18:00:00Z", flag, s)
}

// sync is the command without a name: the daemon, one pass, or what one would do.
func (a *app) sync(ctx context.Context) error {
	q, err := a.flags.request()
	if err != nil {
		return fails(exitUsage, err)
	}
	bar := newProgress(a.stderr, q.Kind == store.Backfill && !a.flags.dryRun)
	log, err := a.logger(bar)
	if err != nil {
		return err
	}
	c, err := a.loadConfig(log, nil)
	if err != nil {
		return err
	}
	logDatabase(c.Database, log)
	if q.Kind == "" {
		return a.daemon(ctx, c, log)
	}
	for _, name := range q.Partners {
		if !slices.ContainsFunc(c.Partners, func(p config.Partner) bool { return p.Name == name }) {
			return fails(exitUsage, fmt.Errorf("--partner %q: %w", name, sync.ErrUnknownPartner))
		}
	}
	return useDatabase(ctx, c, log, func(ctx context.Context, db *database) error { return a.pass(ctx, db, q, bar) })
}

// pass makes the one pass asked for, or says what it would do.
func (a *app) pass(ctx context.Context, db *database, q sync.Request, bar *progress) error {
	r, err := a.newRunner(db.config, nil, db.log)
	if err != nil {
		return fails(exitUsage, err)
	}
	connect(r, db.newStore())
	if a.flags.dryRun {
		return a.dryRun(ctx, r, db, q)
	}
	if err := db.prepare(ctx); err != nil {
		return err
	}
	r.Progress = bar.report
	runs, err := r.Once(ctx, q)
	bar.finish()
	drain(ctx, newSender(db.config, r.Store, nil, db.log), db.log)
	code := exitCode(runs, err, ctx.Err() != nil)
	if ctx.Err() != nil {
		err = errInterrupted
		if q.Kind == store.Backfill {
			err = fmt.Errorf("%w; the same command within 24 hours goes on where this one stopped", errInterrupted)
		}
	}
	if len(runs) > 0 {
		if err := a.summarize(ctx, db, runs, code); err != nil {
			db.log.Warn("the summary is not complete", "err", err)
		}
	}
	if code == exitOK {
		return nil
	}
	return &exitError{code: code, err: err}
}

// errInterrupted is the error of a command that a signal has stopped.
var errInterrupted = errors.New("interrupted")

// exitCode is the exit code of a pass: success if all runs are complete, failure if all failed or the database could
// not be used, wrong usage if the request names a partner or customer that does not exist, and partial for anything in
// between.
func exitCode(runs []store.Run, err error, interrupted bool) int {
	switch {
	case errors.Is(err, sync.ErrUnknownPartner), errors.Is(err, sync.ErrUnknownCustomer):
		return exitUsage
	case interrupted:
		return exitPartial
	case err != nil:
		return exitFailed
	}
	complete, failed := 0, 0
	for _, run := range runs {
		switch run.State {
		case store.Complete:
			complete++
		case store.Failed:
			failed++
		}
	}
	switch len(runs) {
	case complete:
		return exitOK
	case failed:
		return exitFailed
	}
	return exitPartial
}
