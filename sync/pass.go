package sync

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"partnersync/store"
)

const (
	claimBatch = 50          // customers claimed together; other replicas want some too
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
	failures  failures
	listSlots chan struct{} // has an element for each device list being read

	// tick is the next one after the run began, at which claiming stops; what has not come at cutOff is left to the
	// next pass. Zero: the run follows no schedule.
	tick, cutOff time.Time

	listed, done int // customers, as in Progress
	deviceLists  deviceListsProgress
	more         bool // another round may find something to do
}

// selection is which of a partner's customers a run is about. The zero value is all of them.
type selection struct {
	customers []store.Customer // nil: those of the enumeration
	partial   bool             // the run was restricted on the command line, and so marks no customer removed
}

// pass opens a run or joins it, and works on it until every customer is done, by this replica or another. If ctx is
// done first, the run is left, and the error is ctx's. cutShort: the next tick came and ended the pass.
func (r *Runner) pass(
	ctx context.Context, partner Partner, request store.RunRequest, selected selection,
) (run store.Run, cutShort bool, err error) {
	var p *pass
	err = r.underLease(ctx, func(ctx context.Context) error {
		opened, err := r.openRun(ctx, request)
		if err != nil {
			return err
		}
		p = r.newPass(partner, opened, selected)
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
	return p.run, p.tickCame(), err
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

// longestGrace is how long after the next tick what has been asked for is waited for, or an eighth of the time between
// ticks if that is less.
const longestGrace = 10 * time.Second

func (r *Runner) newPass(partner Partner, opened store.Opened, selected selection) *pass {
	run := opened.Run
	partner.Concurrency = max(1, partner.Concurrency)
	p := &pass{
		Runner: r, partner: partner, selection: selected, run: run, id: uuid.New(),
		log:       r.logger().With("partner", partner.Name, "run_id", run.ID),
		listSlots: make(chan struct{}, partner.Concurrency),
	}
	if run.Kind == store.Scheduled {
		begun := run.ScheduledFor // for all workers of the run the same, unless a clock that was ahead has left it
		if now := r.now(); now.Before(begun) {
			begun = now
		}
		p.tick = partner.Schedule.Next(begun)
		p.cutOff = p.tick.Add(min(longestGrace, partner.Schedule.Next(p.tick).Sub(p.tick)/8))
	}
	p.log.Debug("pass begun", "kind", run.Kind, "scheduled_for", run.ScheduledFor, "joined", opened.Joined)
	if opened.Resumed {
		p.log.Info("backfill resumed",
			"started_at", run.StartedAt, "customers_done", run.CustomersOK+run.CustomersFailed)
	}
	return p
}

// end returns when the run ends, as of now.
func (p *pass) end() store.RunEnd {
	switch now := p.now(); {
	case p.tick.IsZero() || now.Before(p.tick):
		return store.WhenDone
	case now.Before(p.cutOff):
		return store.AtTick
	}
	return store.AtCutOff
}

// tickCame reports whether the next tick has come, from which on no more is begun.
func (p *pass) tickCame() bool { return p.end() != store.WhenDone }

// work finds out who the run's customers are, and then goes over them in rounds until nothing is left to do, or the
// next tick has come.
func (p *pass) work(ctx context.Context) error {
	if err := p.enumerate(ctx); err != nil {
		return err
	}
	p.done = p.run.CustomersOK + p.run.CustomersFailed
	p.listed = p.done
	p.progress()
	for {
		p.more = false
		claimed, err := p.round(ctx)
		if err != nil {
			return err
		}
		if claimed > 0 && p.more && !p.tickCame() {
			continue
		}
		if p.run.Kind == store.Scheduled {
			p.run.Rate = p.partner.rate(p.now())
		}
		if p.run, err = p.Store.FinishRun(ctx, p.run, p.end()); err != nil || p.run.State != store.Running {
			return err
		}
		if claimed > 0 {
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
		if err := wait(ctx, p.untilNextLook()); err != nil {
			return err
		}
	}
}

// untilNextLook returns how long to wait for other replicas before the next look at what is left to do.
func (p *pass) untilNextLook() time.Duration {
	now, d := p.now(), pollEvery
	for _, at := range []time.Time{p.tick, p.cutOff} {
		if left := at.Sub(now); left > 0 {
			d = min(d, left)
		}
	}
	return d
}

// leave takes this process out of a run that it cannot bring to its end.
func (p *pass) leave(ctx context.Context) error {
	return p.lastWrite(ctx, func(ctx context.Context) (err error) {
		p.run, err = p.Store.LeaveRun(ctx, p.run)
		return err
	})
}
