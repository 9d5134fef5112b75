// Package sync brings what the Partner Center API says of a partner's customers into the database: a pass over all of
// them, on a schedule or once.
//
// The way of the data: a tick opens a run in the [store.Store]; the pass claims customers there; the
// [partnercenter.Client] lists each one's device batches; they are converted to rows; the store merges them in one
// transaction a list. Nothing is kept here between passes, so that any number of replicas may run the same
// configuration.
//
//	r := &sync.Runner{Store: s, Partners: partners, RunOnStart: true}
//	err := r.Run(ctx)                                     // the daemon, until ctx is done
//	runs, err := r.Once(ctx, sync.Request{Kind: store.Once}) // one pass of each partner
package sync

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"partnersync/store"
	"partnersync/sync/partnercenter"
)

// Partner is one partner, and how its customers are read.
type Partner struct {
	Name     string
	Client   *partnercenter.Client
	Gate     *partnercenter.Gate // the client's; pauses of other replicas are passed on to it. nil: none are
	Schedule Schedule
	// Tokens are the client's; while its sign-in is refused, the daemon makes no pass. nil: it makes them all the same.
	Tokens *partnercenter.TokenSource
	// Users keeps the token of the user on whose behalf the partner is read; nil: there is none.
	Users *UserTokens
	// Expiry tells when what the partner signs in with ends; nil: never, as far as is known.
	Expiry func(context.Context) (Expiry, error)
	// Customers are the ids (lower case) of the customers to read; nil: the API is asked for all of them.
	Customers   []string
	Exclude     []string // ids of customers to leave out
	Concurrency int      // customers, or device lists, read at the same time; 0: 1
	// Policies and Devices say whether configuration policies and the devices of batches are read too.
	Policies, Devices bool
	DevicesRefresh    time.Duration // after so long an unchanged batch's devices are read again
}

// Runner carries out passes.
type Runner struct {
	Store      *store.Store
	Partners   []Partner
	RunOnStart bool         // the daemon does not wait for the first tick
	Logger     *slog.Logger // nil: discard
	// Progress, if set, is told of each partner's pass as its customers are done.
	Progress func(Progress)
	// OnRun, if set, is called at the end of each run. Calls for different partners may overlap.
	OnRun func(store.Run)
}

// Progress is how far a pass is.
type Progress struct {
	Partner     string
	Done, Total int // customers
}

func (r *Runner) logger() *slog.Logger {
	if r.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return r.Logger
}

// Run is the daemon: it makes a pass of each partner at each tick of its schedule, until ctx is done. It outlives every
// failure of the API and of the database, and returns nil.
func (r *Runner) Run(ctx context.Context) error {
	err := r.untilItWorks(ctx, "waiting for the database", func() error { return r.Store.Heartbeat(ctx) })
	if err != nil {
		return nil // stopped while waiting
	}
	return r.asWorker(ctx, func(ctx context.Context) error {
		var g errgroup.Group
		for _, p := range r.Partners {
			g.Go(func() error {
				r.follow(ctx, p)
				return nil
			})
		}
		return g.Wait()
	})
}

// asWorker runs do while heartbeats keep this process on the list of workers, and takes it off afterwards.
func (r *Runner) asWorker(ctx context.Context, do func(context.Context) error) error {
	ctx, done := withFarewell(ctx)
	defer done()
	for _, p := range r.Partners {
		r.sharePauses(ctx, p)
	}
	beating, stop := context.WithCancel(ctx)
	var heart errgroup.Group
	heart.Go(func() error {
		r.beat(beating)
		return nil
	})
	err := do(ctx)
	stop()
	heart.Wait()
	if left := detached(ctx, r.Store.Leave); left != nil {
		// The claims lapse with the lease.
		r.logger().Warn("the worker could not be taken off the list", "err", left)
	}
	return err
}

// beat keeps the worker's claims alive.
func (r *Runner) beat(ctx context.Context) {
	for wait(ctx, r.Store.Lease()/4) == nil {
		if err := r.Store.Heartbeat(ctx); err != nil && ctx.Err() == nil {
			r.logger().Warn("heartbeat failed", "err", err)
		}
	}
}

// sharePauses tells the other replicas when the API makes this one wait.
func (r *Runner) sharePauses(ctx context.Context, p Partner) {
	if p.Gate == nil {
		return
	}
	p.Gate.OnPause = func(until time.Time) {
		r.logger().Warn("the API makes the partner wait", "partner", p.Name, "until", until)
		pause := func(ctx context.Context) error { return r.Store.Pause(ctx, p.Name, time.Until(until)) }
		if err := detached(ctx, pause); err != nil {
			r.logger().Warn("pause not passed on to other replicas", "partner", p.Name, "err", err)
		}
	}
}

// follow makes a pass at each tick of the partner's schedule. Ticks that fall while one goes on are skipped.
func (r *Runner) follow(ctx context.Context, p Partner) {
	last := time.Now()
	signIns := &signIns{Runner: r, partner: p}
	if paused := signIns.paused(ctx); r.RunOnStart && !paused {
		r.tick(ctx, p, tick{scheduledFor: last, due: newestTick(p.Schedule, last)})
	}
	for {
		now := time.Now()
		if missed, skipped := p.Schedule.Last(last, now); !missed.IsZero() {
			r.logger().Warn("ticks skipped while a pass went on", "partner", p.Name, "skipped", skipped+1, "newest", missed)
		}
		at := p.Schedule.Next(now)
		if wait(ctx, time.Until(at)) != nil {
			return
		}
		if !signIns.paused(ctx) {
			r.tick(ctx, p, tick{scheduledFor: at, due: at})
		}
		last = at
	}
}

// tick is when a scheduled pass is for, and the newest tick that has come.
type tick struct{ scheduledFor, due time.Time }

// newestTick returns the newest tick not after now, zero if there was none in the last week.
func newestTick(s Schedule, now time.Time) time.Time {
	at, _ := s.Last(now.Add(-7*24*time.Hour), now)
	return at
}

// tick makes one scheduled pass. While the database cannot be used it tries again, until the next tick replaces this one.
func (r *Runner) tick(ctx context.Context, p Partner, t tick) {
	next, cancel := context.WithDeadline(ctx, p.Schedule.Next(time.Now()))
	defer cancel()
	err := r.untilItWorks(next, "pass interrupted, trying again", func() error {
		_, err := r.pass(ctx, p, store.RunRequest{
			Partner: p.Name, Kind: store.Scheduled, ScheduledFor: t.scheduledFor, Due: t.due, Devices: p.deviceReading(time.Time{}),
		}, nil)
		if errors.Is(err, store.ErrTickDone) {
			r.logger().Debug("another replica has done this tick", "partner", p.Name, "scheduled_for", t.scheduledFor)
			return nil
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		r.logger().Error("pass given up until the next tick", "partner", p.Name, "err", err)
	}
}

// untilItWorks calls do until it succeeds or ctx is done, with growing pauses. It logs each reason once.
func (r *Runner) untilItWorks(ctx context.Context, message string, do func() error) error {
	reason := ""
	for pause := time.Second; ; pause = min(2*pause, 30*time.Second) {
		err := do()
		if err == nil || ctx.Err() != nil {
			return err
		}
		if reason != err.Error() {
			reason = err.Error()
			r.logger().Warn(message, "err", err)
		}
		if wait(ctx, pause) != nil {
			return err
		}
	}
}

// deviceReading says which device lists a pass reads; nil: none.
func (p Partner) deviceReading(since time.Time) *store.DeviceReading {
	if !p.Devices {
		return nil
	}
	return &store.DeviceReading{Refresh: p.DevicesRefresh, Since: since}
}

// wait returns nil after d, or the error of ctx if that is done first.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// farewell is the context key of what remains to be written once the context is done: five seconds for all of it.
type farewell struct{}

// withFarewell gives ctx its farewell.
func withFarewell(ctx context.Context) (context.Context, context.CancelFunc) {
	after, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(5*time.Second, cancel) })
	return context.WithValue(ctx, farewell{}, after), func() {
		stop()
		cancel()
	}
}

// detached runs what must still be written when ctx is done, in the time that its farewell leaves.
func detached(ctx context.Context, do func(context.Context) error) error {
	after, ok := ctx.Value(farewell{}).(context.Context)
	if !ok {
		after = context.WithoutCancel(ctx)
	}
	after, cancel := context.WithTimeout(after, 5*time.Second)
	defer cancel()
	return do(after)
}
