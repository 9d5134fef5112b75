package sync

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"partnersync/store"
)

const (
	claimsAtOnce = 100         // customers claimed, and results recorded, together
	claimsAhead  = 50          // customers that are claimed and wait at least to be worked on
	pollEvery    = time.Second // for customers that another replica holds
)

// pass is this process's part in one run.
type pass struct {
	*Runner
	partner Partner
	run     store.Run
	// restricted: the run was narrowed down on the command line, and so marks no customer removed.
	restricted bool
	// until is the tick at which device lists that are not read yet are left to the next pass; zero: never.
	until   time.Time
	due     time.Time // the newest tick that had come when this process opened or joined the run
	log     *slog.Logger
	done    int           // customers of the run that are done
	listed  int           // customers of the run whose lists but those of devices are done with
	slots   chan struct{} // one for each device list being read
	id      uuid.UUID     // of this try, from which the correlation ids are made
	misfits misfits
}

// pass opens or joins a run and works on it until every customer is done, by this replica or another. given are the
// customers of a run that was restricted to them. If ctx ends first, the run is left and the error is ctx's. ended: the
// next tick has come, and with it the end of the reading of devices.
func (r *Runner) pass(
	ctx context.Context, p Partner, ask store.RunRequest, given []store.Customer, restricted bool,
) (run store.Run, ended bool, err error) {
	var opened store.Opened
	err = r.whileAlive(ctx, func(ctx context.Context) error {
		opened, err = r.open(ctx, ask)
		return err
	})
	if err != nil {
		return store.Run{}, false, err
	}
	w := &pass{Runner: r, partner: p, run: opened.Run, due: ask.Due, restricted: restricted}
	w.slots, w.id = make(chan struct{}, w.concurrency()), uuid.New()
	w.log = r.logger().With("partner", p.Name, "run_id", w.run.ID)
	w.log.Debug("pass begun", "kind", w.run.Kind, "scheduled_for", w.run.ScheduledFor, "joined", opened.Joined)
	if opened.Resumed {
		w.log.Info("backfill resumed", "started_at", w.run.StartedAt, "customers_done", w.run.CustomersOK+w.run.CustomersFailed)
	}
	err = r.whileAlive(ctx, func(ctx context.Context) error {
		run, err = w.work(ctx, given)
		return err
	})
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
	return run, w.late(), err
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
	defer w.followPace(ctx)()
	if err := w.settle(ctx, given); err != nil {
		return w.run, err
	}
	w.done = w.run.CustomersOK + w.run.CustomersFailed
	w.listed = w.done
	w.progress()
	if err := w.joined(ctx); err != nil {
		return w.run, err
	}
	for {
		worked, err := w.round(ctx, claimsAhead, w.claimCustomers, w.customer)
		if err != nil {
			return w.run, err
		}
		w.listed = w.run.CustomersTotal
		if w.run.Kind == store.Scheduled && w.until.IsZero() {
			// From here on, so that device lists get their turn even if the others take longer than a tick.
			w.until = w.partner.Schedule.Next(time.Now())
		}
		ofDevices := 0
		if listed, err := w.Store.Listed(ctx, w.run); err != nil {
			return w.run, err
		} else if listed {
			if ofDevices, err = w.round(ctx, 0, w.claimDevices, w.devices); err != nil {
				return w.run, err
			}
		}
		if w.run, err = w.Store.FinishRun(ctx, w.run, w.late()); err != nil || w.run.State != store.Running {
			return w.run, err
		}
		if worked+ofDevices == 0 {
			if err := wait(ctx, pollEvery); err != nil {
				return w.run, err
			}
		}
	}
}

// joined sees to it that who comes at a tick into the run of an earlier one does not keep it going with the device lists
// that this tick leaves to its own run.
func (w *pass) joined(ctx context.Context) error {
	if w.run.Kind != store.Scheduled || !w.run.ScheduledFor.Before(w.due) {
		return nil
	}
	listed, err := w.Store.Listed(ctx, w.run)
	if listed {
		w.until = w.due
	}
	return err
}

// late reports whether it is time for the next pass.
func (w *pass) late() bool { return !w.until.IsZero() && !time.Now().Before(w.until) }

// round works on all customers that can be claimed now, and returns how many those were. While so many of them wait to be
// worked on, the next ones are claimed: no earlier, since other replicas want some too. Nor does the work wait until results are
// recorded.
func (w *pass) round(
	ctx context.Context, ahead int, claim func(context.Context, chan<- store.Claim) (int, error),
	work func(context.Context, store.Claim) (store.Result, error),
) (worked int, err error) {
	claims, results := make(chan store.Claim, ahead), make(chan store.Result, claimsAtOnce)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		defer close(claims)
		worked, err = claim(ctx, claims)
		return err
	})
	g.Go(func() error {
		defer close(results)
		return w.workers(ctx, claims, work, results)
	})
	g.Go(func() error { return w.record(ctx, results) })
	err = g.Wait()
	return worked, err
}

// claimCustomers hands out the customers whose batches and policies are to be listed, until no more can be had.
func (w *pass) claimCustomers(ctx context.Context, out chan<- store.Claim) (claimed int, err error) {
	after := ""
	return w.claimAll(ctx, out, claimsAtOnce, func() (claims []store.Claim, err error) {
		claims, err = w.Store.ClaimCustomers(ctx, w.run, after, claimsAtOnce)
		if len(claims) > 0 {
			after = claims[len(claims)-1].CustomerID
		}
		return claims, err
	})
}

// claimDevices hands out the customers who have device lists to be read, until no more can be had or the next pass is due.
// There are only as many at a time as are worked on, since one may take long.
func (w *pass) claimDevices(ctx context.Context, out chan<- store.Claim) (claimed int, err error) {
	return w.claimAll(ctx, out, w.concurrency(), func() ([]store.Claim, error) {
		if w.late() {
			return nil, nil
		}
		return w.Store.ClaimDevices(ctx, w.run, w.concurrency())
	})
}

// claimAll hands out what claim returns, limit at a time, until there are no more.
func (w *pass) claimAll(
	ctx context.Context, out chan<- store.Claim, limit int, claim func() ([]store.Claim, error),
) (claimed int, err error) {
	for more := true; more; {
		claims, err := claim()
		if err != nil || len(claims) == 0 {
			return claimed, err
		}
		more = len(claims) == limit
		for _, c := range claims {
			select {
			case out <- c:
			case <-ctx.Done():
				return claimed, ctx.Err()
			}
		}
		claimed += len(claims)
	}
	return claimed, nil
}

func (w *pass) concurrency() int { return max(1, w.partner.Concurrency) }

// workers work on as many customers at a time as the partner's concurrency says.
func (w *pass) workers(
	ctx context.Context, in <-chan store.Claim, work func(context.Context, store.Claim) (store.Result, error), out chan<- store.Result,
) error {
	g, ctx := errgroup.WithContext(ctx)
	for range w.concurrency() {
		g.Go(func() error {
			for c := range in {
				result, err := work(ctx, c)
				if errors.Is(err, store.ErrClaimLost) {
					w.log.Warn("customer was taken over by another worker", "customer_id", c.CustomerID)
					w.lost(1)
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
