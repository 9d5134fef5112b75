package sync

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"partnersync/store"
)

const (
	claimBatch = 100         // customers claimed, and results recorded, together
	claimAhead = 50          // customers that are claimed while others are worked on; other replicas want some too
	pollEvery  = time.Second // for customers that another replica holds
)

// pass is this process's part in one run.
type pass struct {
	*Runner
	partner   Partner
	selection selection
	run       store.Run
	id        uuid.UUID // of this process's part, from which correlation ids are made
	log       *slog.Logger
	issues    dataIssues
	listSlots chan struct{} // has an element for each device list being read

	newestTick time.Time // when this process opened the run or joined it
	allListed  bool      // the batches and policies of all the run's customers have been tried; it stays so
	// deviceDeadline is the tick at which the remaining device lists are left to the next pass; zero: there is none.
	deviceDeadline time.Time

	listed, done int // customers, as in Progress
}

// selection is which of a partner's customers a run is about. The zero value is all of them.
type selection struct {
	customers []store.Customer // nil: those of the enumeration
	partial   bool             // the run was restricted on the command line, and so marks no customer removed
}

// pass opens a run or joins it, and works on it until every customer is done, by this replica or another. If ctx is
// done first, the run is left, and the error is ctx's. cutShort: the next tick came and ended the reading of device
// lists.
func (r *Runner) pass(
	ctx context.Context, partner Partner, request store.RunRequest, selected selection,
) (run store.Run, cutShort bool, err error) {
	var p *pass
	err = r.underLease(ctx, func(ctx context.Context) error {
		opened, err := r.openRun(ctx, request)
		if err != nil {
			return err
		}
		p = r.newPass(partner, opened, request.Due, selected)
		return r.atPace(ctx, partner, p.work)
	})
	if p == nil {
		return store.Run{}, false, err
	}
	// A scheduled run that the database interrupted stays open: the next attempt goes on with it.
	if err != nil && (ctx.Err() != nil || p.run.Kind != store.Scheduled) {
		err = errors.Join(err, p.leave(ctx))
	}
	p.report(err)
	return p.run, p.pastDeadline(), err
}

// openRun opens a run or joins it, after any other run of the same kind that is under way has ended.
func (r *Runner) openRun(ctx context.Context, request store.RunRequest) (opened store.Opened, err error) {
	for waiting := false; ; waiting = true {
		if opened, err = r.Store.OpenRun(ctx, request); !errors.Is(err, store.ErrUnderway) {
			return opened, err
		}
		if !waiting {
			r.logger().Info("waiting for another run of this kind to end",
				"partner", request.Partner, "kind", request.Kind)
		}
		if err := wait(ctx, pollEvery); err != nil {
			return opened, err
		}
	}
}

func (r *Runner) newPass(partner Partner, opened store.Opened, newestTick time.Time, selected selection) *pass {
	run := opened.Run
	p := &pass{
		Runner: r, partner: partner, selection: selected, run: run, id: uuid.New(), newestTick: newestTick,
		log:       r.logger().With("partner", partner.Name, "run_id", run.ID),
		listSlots: make(chan struct{}, partner.concurrency()),
	}
	p.log.Debug("pass begun", "kind", run.Kind, "scheduled_for", run.ScheduledFor, "joined", opened.Joined)
	if opened.Resumed {
		p.log.Info("backfill resumed",
			"started_at", run.StartedAt, "customers_done", run.CustomersOK+run.CustomersFailed)
	}
	return p
}

// work finds out who the run's customers are, and then goes over them in rounds until nothing is left to do: first over
// their batches and policies and, once those of all customers have been tried, over the device lists that are due.
func (p *pass) work(ctx context.Context) error {
	if err := p.enumerate(ctx); err != nil {
		return err
	}
	p.done = p.run.CustomersOK + p.run.CustomersFailed
	p.listed = p.done
	p.progress()
	if err := p.setDeadlineOfEarlierRun(ctx); err != nil {
		return err
	}
	for {
		customers, err := p.round(ctx, claimAhead, p.claimCustomers, p.syncCustomer)
		if err != nil {
			return err
		}
		withDevices, err := p.deviceRound(ctx)
		if err != nil {
			return err
		}
		if p.run, err = p.Store.FinishRun(ctx, p.run, p.pastDeadline()); err != nil || p.run.State != store.Running {
			return err
		}
		if customers+withDevices > 0 {
			continue
		}
		// Other replicas hold the rest, unless the answer to a claim was lost: then it is this worker that holds a
		// customer, and knows nothing of it.
		released, err := p.Store.ReleaseClaims(ctx, p.partner.Name)
		if err != nil {
			return err
		}
		if released > 0 {
			p.log.Warn("claims released that nobody worked on", "claims", released)
			continue
		}
		if err := wait(ctx, pollEvery); err != nil {
			return err
		}
	}
}

// setDeadlineOfEarlierRun sees to it that a worker that comes at a tick, and joins the run of an earlier one, does not
// keep that run going with the device lists which this tick leaves to a run of its own.
func (p *pass) setDeadlineOfEarlierRun(ctx context.Context) error {
	if p.run.Kind != store.Scheduled || !p.run.ScheduledFor.Before(p.newestTick) {
		return nil
	}
	var err error
	if p.allListed, err = p.Store.Listed(ctx, p.run); p.allListed {
		p.deviceDeadline = p.newestTick
	}
	return err
}

// deviceRound is the round over the device lists, if it is time for them. It returns how many customers had any.
func (p *pass) deviceRound(ctx context.Context) (customers int, err error) {
	if p.run.Devices == nil {
		return 0, nil
	}
	if !p.allListed {
		if p.allListed, err = p.Store.Listed(ctx, p.run); !p.allListed || err != nil {
			return 0, err
		}
		p.listed = p.run.CustomersTotal
	}
	if p.run.Kind == store.Scheduled && p.deviceDeadline.IsZero() {
		// The tick after now, so that device lists get their turn even if the others took longer than a tick.
		p.deviceDeadline = p.partner.Schedule.Next(p.now())
	}
	return p.round(ctx, 0, p.claimDevices, p.syncDevices)
}

// pastDeadline reports whether device lists are left to the next pass by now.
func (p *pass) pastDeadline() bool {
	return !p.deviceDeadline.IsZero() && !p.now().Before(p.deviceDeadline)
}

// workFunc works on one claimed customer. What goes wrong with the customer is in the result; the error is what stops
// the pass: a database that cannot be used, a lost claim, or the end of the context.
type workFunc func(context.Context, store.Claim) (store.Result, error)

// round claims customers, works on as many at a time as the partner's concurrency says, and records the results, until
// no more can be claimed. It returns how many were. Up to ahead customers are claimed while all workers are busy.
//
// Claiming, working and recording go on at the same time, each passing on to the next what it has done. Each ends when
// the one before has; the first error ends all of them.
func (p *pass) round(
	ctx context.Context, ahead int, claim func(context.Context) iter.Seq2[store.Claim, error], work workFunc,
) (claimed int, err error) {
	claims, results := make(chan store.Claim, ahead), make(chan store.Result, claimBatch)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(claims)
		for c, err := range claim(ctx) {
			if err != nil {
				return err
			}
			claimed++
			select {
			case claims <- c:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	g.Go(func() error {
		defer close(results)
		workers, ctx := errgroup.WithContext(ctx)
		for range p.partner.concurrency() {
			workers.Go(func() error { return p.worker(ctx, claims, work, results) })
		}
		return workers.Wait()
	})
	g.Go(func() error { return p.recordResults(ctx, results) })
	err = g.Wait()
	return claimed, err
}

// worker works on one claimed customer after the other.
func (p *pass) worker(
	ctx context.Context, claims <-chan store.Claim, work workFunc, results chan<- store.Result,
) error {
	for c := range claims {
		result, err := work(ctx, c)
		if errors.Is(err, store.ErrClaimLost) {
			p.log.Warn("claim lost", "customer_id", c.CustomerID, "err", err)
			p.claimsLost(1)
			continue
		}
		if err != nil {
			return err
		}
		select {
		case results <- result:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// leave takes this process out of a run that it cannot bring to its end.
func (p *pass) leave(ctx context.Context) error {
	return p.lastWrite(ctx, func(ctx context.Context) error {
		left := p.Store.LeaveRun(ctx, p.run)
		if run, err := p.Store.ReadRun(ctx, p.run); err == nil {
			p.run = run
		}
		return left
	})
}
