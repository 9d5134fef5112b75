package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"partnersync/migrations"
	"partnersync/store"
	"partnersync/sync"
)

// syncFlags are the flags of the command without a name.
type syncFlags struct {
	once, backfill, dryRun, json, restart bool
	partners, customers                   []string
	since                                 string
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

// distinct returns the values once each, sorted: a backfill is resumed by the same ones, however often they were given.
func distinct(values []string) []string {
	values = slices.Clone(values)
	slices.Sort(values)
	return slices.Compact(values)
}

// parseDate reads a flag's date in UTC, or its time.
func parseDate(flag, s string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s %q: write a date such as 2026-01-31, which is UTC, or a time such as 2026-01-31T18:00:00Z", flag, s)
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
		return fails(exitUsage, err)
	}
	c, err := a.config(log, loadConfig)
	if err != nil {
		return err
	}
	if q.Kind == "" {
		return a.daemon(ctx, c, log)
	}
	for _, name := range q.Partners {
		if !slices.ContainsFunc(c.Partners, func(p partnerConfig) bool { return p.Name == name }) {
			return fails(exitUsage, fmt.Errorf("--partner %q: %w", name, sync.ErrUnknownPartner))
		}
	}
	db, err := openDatabase(ctx, c, log)
	if err != nil {
		return fails(exitFailed, err)
	}
	err = a.pass(ctx, c, db, q, bar, log)
	if closed := db.close(); closed != nil {
		log.Warn("closing the database failed", "err", closed)
	}
	return err
}

// pass makes the one pass asked for, or says what it would do.
func (a *app) pass(ctx context.Context, c *config, db *database, q sync.Request, bar *progress, log *slog.Logger) error {
	r, err := newRunner(c, nil, log)
	if err != nil {
		return fails(exitUsage, err)
	}
	connect(r, newStore(c, db))
	if a.flags.dryRun {
		return a.dryRun(ctx, r, db, q)
	}
	if err := prepare(ctx, db.Pool, c, log); err != nil {
		return fails(exitFailed, err)
	}
	r.Progress = bar.report
	runs, err := r.Once(ctx, q)
	bar.finish()
	drain(ctx, newSender(c, r.Store, nil, log), log)
	code := exitCode(runs, err, ctx.Err() != nil)
	if ctx.Err() != nil {
		err = errInterrupted
		if q.Kind == store.Backfill {
			err = fmt.Errorf("%w; the same command within 24 hours goes on where this one stopped", errInterrupted)
		}
	}
	if len(runs) > 0 {
		if err := a.summarize(ctx, db, runs, code); err != nil {
			log.Warn("the summary is not complete", "err", err)
		}
	}
	if code == exitOK {
		return nil
	}
	return &exitError{code: code, err: err}
}

// errInterrupted is the reason to end of what a signal has stopped.
var errInterrupted = errors.New("interrupted")

// exitCode judges the runs by design: 0 if all are complete, 1 if all failed or the database could not be used, 2 for a
// request that names what is not there, 3 for anything between.
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

// dryRun prints what the pass would change.
func (a *app) dryRun(ctx context.Context, r *sync.Runner, db *database, q sync.Request) error {
	state, err := migrations.Read(ctx, db.Pool)
	switch {
	case err == nil && state.Ahead():
		err = aheadError(state)
	case err == nil && state.Behind() && state.Version > 0: // a missing schema counts as empty
		err = fmt.Errorf("the schema has version %d, this release needs %d, and a dry run migrates nothing: %w", state.Version, state.Newest, errNotMigrated)
	}
	if err != nil {
		return fails(exitFailed, err)
	}
	p := &plans{out: a.stdout, colours: a.palette(a.stdout)}
	err = r.DryRun(ctx, q, p.add)
	code := exitCode(nil, err, ctx.Err() != nil)
	switch {
	case ctx.Err() != nil:
		err = errInterrupted
	case err == nil:
		code = p.print()
	}
	if code == exitOK {
		return nil
	}
	return &exitError{code: code, err: err}
}
