package sync

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"partnersync/store"
)

const (
	claimsAtOnce = 100         // customers claimed, and results recorded, together
	flushEvery   = time.Second // results wait no longer than this to be recorded
	pollEvery    = time.Second // for customers that another replica holds
)

// pass is this process's part in one run.
type pass struct {
	*Runner
	partner Partner
	run     store.Run
	// restricted: the run was narrowed down on the command line, and so marks no customer removed.
	restricted bool
	log        *slog.Logger
	done       int // customers of the run that are done
	misfits    misfits
}

// pass opens or joins a run and works on it until every customer is done, by this replica or another. given are the
// customers of a run that was restricted to them. If ctx ends first, the run is left and the error is ctx's.
func (r *Runner) pass(ctx context.Context, p Partner, ask store.RunRequest, given []store.Customer) (store.Run, error) {
	opened, err := r.Store.OpenRun(ctx, ask)
	if err != nil {
		return store.Run{}, err
	}
	w := &pass{Runner: r, partner: p, run: opened.Run, restricted: ask.Filter != ""}
	w.log = r.logger().With("partner", p.Name, "run_id", w.run.ID)
	w.log.Debug("pass begun", "kind", w.run.Kind, "scheduled_for", w.run.ScheduledFor, "joined", opened.Joined)
	if opened.Resumed {
		w.log.Info("backfill resumed", "started_at", w.run.StartedAt, "customers_done", w.run.CustomersOK+w.run.CustomersFailed)
	}
	run, err := w.work(ctx, given)
	// A scheduled run that the database interrupted stays open: the next try goes on with it.
	if err != nil && (ctx.Err() != nil || ask.Kind != store.Scheduled) {
		leave := func(ctx context.Context) error { return r.Store.LeaveRun(ctx, w.run) }
		if left := detached(ctx, leave); left != nil {
			err = errors.Join(err, left)
		}
		if now, readErr := r.readRun(ctx, w.run); readErr == nil {
			run = now
		}
	}
	w.report(run, err)
	return run, err
}

func (r *Runner) readRun(ctx context.Context, run store.Run) (now store.Run, err error) {
	err = detached(ctx, func(ctx context.Context) error {
		now, err = r.Store.ReadRun(ctx, run)
		return err
	})
	return now, err
}

// work settles the customers and then goes over them until none is left.
func (w *pass) work(ctx context.Context, given []store.Customer) (store.Run, error) {
	if err := w.settle(ctx, given); err != nil {
		return w.run, err
	}
	run, err := w.Store.ReadRun(ctx, w.run)
	if err != nil {
		return w.run, err
	}
	w.run = run
	w.done = run.CustomersOK + run.CustomersFailed
	w.progress()
	for {
		worked, err := w.round(ctx)
		if err != nil {
			return w.run, err
		}
		if w.run, err = w.Store.FinishRun(ctx, w.run); err != nil || w.run.State != store.Running {
			return w.run, err
		}
		if worked == 0 {
			if err := wait(ctx, pollEvery); err != nil {
				return w.run, err
			}
		}
	}
}

// round works on all customers that can be claimed now, and returns how many those were.
func (w *pass) round(ctx context.Context) (worked int, err error) {
	claims, results := make(chan store.Claim), make(chan store.Result)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		defer close(claims)
		worked, err = w.claim(ctx, claims)
		return err
	})
	g.Go(func() error {
		defer close(results)
		return w.customers(ctx, claims, results)
	})
	g.Go(func() error { return w.record(ctx, results) })
	err = g.Wait()
	return worked, err
}

// claim hands out customers until no more can be had.
func (w *pass) claim(ctx context.Context, out chan<- store.Claim) (claimed int, err error) {
	after := ""
	for {
		if err := w.heedPause(ctx); err != nil {
			return claimed, err
		}
		claims, err := w.Store.ClaimCustomers(ctx, w.run, after, claimsAtOnce)
		if err != nil {
			return claimed, err
		}
		for _, c := range claims {
			select {
			case out <- c:
			case <-ctx.Done():
				return claimed, ctx.Err()
			}
			after = c.CustomerID
		}
		claimed += len(claims)
		if len(claims) < claimsAtOnce {
			return claimed, nil
		}
	}
}

// customers works on as many customers at a time as the partner's concurrency says.
func (w *pass) customers(ctx context.Context, in <-chan store.Claim, out chan<- store.Result) error {
	g, ctx := errgroup.WithContext(ctx)
	for range max(1, w.partner.Concurrency) {
		g.Go(func() error {
			for c := range in {
				result, err := w.customer(ctx, c)
				if errors.Is(err, store.ErrClaimLost) {
					w.log.Warn("customer was taken over by another worker", "customer_id", c.CustomerID)
					continue
				}
				if err != nil {
					return err
				}
				select {
				case out <- result:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return ctx.Err()
		})
	}
	return g.Wait()
}

// record writes results together: as soon as there are many, and within a second.
func (w *pass) record(ctx context.Context, in <-chan store.Result) error {
	var pending []store.Result
	flush := func(ctx context.Context) error {
		lost, err := w.Store.RecordResults(ctx, w.run, pending)
		if lost > 0 {
			w.log.Warn("customers were taken over by another worker", "customers", lost)
		}
		w.done += len(pending) - lost
		pending = pending[:0]
		w.progress()
		return err
	}
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case result, open := <-in:
			if !open {
				return flush(ctx)
			}
			if pending = append(pending, result); len(pending) < claimsAtOnce {
				continue
			}
		case <-ticker.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), detached(ctx, flush)) // what is done is done
		}
		if err := flush(ctx); err != nil {
			return err
		}
	}
}

func (w *pass) progress() {
	if w.Progress != nil {
		w.Progress(Progress{Partner: w.partner.Name, Done: w.done, Total: w.run.CustomersTotal})
	}
}

// heedPause makes this replica wait too when the API has made another one wait.
func (w *pass) heedPause(ctx context.Context) error {
	if w.partner.Gate == nil {
		return nil
	}
	left, err := w.Store.PauseOf(ctx, w.partner.Name)
	if err != nil {
		return err
	}
	if left > 0 {
		w.partner.Gate.Pause(time.Now().Add(left))
	}
	return nil
}

// report tells how the pass ended: in one line of the log, and by OnRun.
func (w *pass) report(run store.Run, err error) {
	w.misfits.report(w.log)
	if err != nil {
		w.log.Debug("pass left", "state", run.State, "err", err)
		return
	}
	level := slog.LevelInfo
	attrs := []any{
		"kind", run.Kind, "state", run.State, "customers_ok", run.CustomersOK, "customers_failed", run.CustomersFailed,
		"inserted", run.Inserted, "changed", run.Changed, "removed", run.Removed, "unchanged", run.Unchanged,
		"requests", run.Requests, "retries", run.Retries,
	}
	if run.FinishedAt != nil {
		attrs = append(attrs, "took", run.FinishedAt.Sub(run.StartedAt).Round(time.Millisecond))
	}
	if run.Error != nil {
		level, attrs = slog.LevelError, append(attrs, "err", *run.Error)
	}
	w.log.Log(context.Background(), level, "pass finished", attrs...)
	if w.OnRun != nil {
		w.OnRun(run)
	}
}

// misfits counts what could not be stored as it was received.
type misfits struct{ values, replaced, ids, skipped, duplicates atomic.Int64 }

func (m *misfits) report(log *slog.Logger) {
	if m.values.Load()+m.replaced.Load()+m.ids.Load()+m.skipped.Load()+m.duplicates.Load() == 0 {
		return
	}
	log.Warn("some data could not be stored as received",
		"values_kept_in_extra", m.values.Load(), "invalid_unicode_replaced", m.replaced.Load(), "ids_altered", m.ids.Load(),
		"items_without_id", m.skipped.Load(), "items_with_an_id_seen_before", m.duplicates.Load())
}
