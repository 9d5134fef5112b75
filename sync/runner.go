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
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"partnersync/store"
	"partnersync/store/cron"
	"partnersync/sync/partnercenter"
)

// Partner is one partner, and how its customers are read.
type Partner struct {
	Name     string
	Client   *partnercenter.Client
	Limiter  *partnercenter.Limiter // the client's; a Runner that makes passes shares its pauses with other replicas. nil: nothing is shared
	Schedule cron.Schedule
	// Tokens are the client's; while its sign-in is refused, the daemon makes no pass. nil: it makes them all the same.
	Tokens *partnercenter.TokenSource
	// Users keeps the token of the user on whose behalf the partner is read; nil: there is none.
	Users *UserTokens
	// Expiries tell when what the partner signs in with ends, each of one thing; none: never, as far as is known.
	Expiries []func(context.Context) (Expiry, error)
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
	RunOnStart bool          // the daemon does not wait for the first tick
	KeepRuns   time.Duration // the daemon removes runs that ended longer ago; 0: none
	Logger     *slog.Logger  // nil: discard
	// Progress, if set, is told of each partner's pass as its customers are done.
	Progress func(Progress)
	// OnRun, if set, is called at the end of each run. Calls for different partners may overlap.
	OnRun func(store.Run)
	// OnClaimsLost, if set, is told how many of a partner's claims another worker has taken over. Calls may overlap.
	OnClaimsLost func(partner string, claims int)

	outages  outages
	lastBeat atomic.Pointer[time.Time] // when the last heartbeat that was written was sent
}

// Progress is how far a pass is. It reads the batches and policies of all customers first, and then the devices of those
// who have some to be read.
type Progress struct {
	Partner string
	Listed  int // customers whose batches and policies have been tried
	Done    int // customers that nothing is left to do for
	Total   int // customers
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
	ctx, done := r.begin(ctx)
	defer done()
	if err := r.Await(ctx, "start", r.start); err != nil {
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
		g.Go(func() error {
			r.forgetRuns(ctx)
			return nil
		})
		return g.Wait()
	})
}

// start writes the first heartbeat, and the settings by which the status page and partnersync status judge the passes.
func (r *Runner) start(ctx context.Context) error {
	settings := make([]store.PartnerSettings, len(r.Partners))
	for i, p := range r.Partners {
		settings[i] = store.PartnerSettings{Partner: p.Name, Schedule: p.Schedule.String(), Timezone: p.Schedule.Timezone()}
	}
	if err := r.heartbeat(ctx); err != nil {
		return err
	}
	return r.Store.WritePartnerSettings(ctx, settings)
}

// begin gives ctx its farewell and lets the partners' requests share their pauses with other replicas.
func (r *Runner) begin(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, done := withFarewell(ctx)
	for _, p := range r.Partners {
		r.sharePauses(ctx, p)
	}
	return ctx, done
}

// asWorker runs do while heartbeats keep this process on the list of workers, and takes it off afterwards.
func (r *Runner) asWorker(ctx context.Context, do func(context.Context) error) error {
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

// follow makes a pass at each tick of the partner's schedule. Ticks that fall while one goes on are skipped, but for the
// one that ends its reading of devices.
func (r *Runner) follow(ctx context.Context, p Partner) {
	last, ended := time.Now(), false
	signIns := &signIns{Runner: r, partner: p}
	if paused := signIns.paused(ctx); r.RunOnStart && !paused {
		began := last
		last, ended = r.tick(ctx, p, tick{scheduledFor: last, due: newestTick(p.Schedule, last)})
		signIns.note(ctx, began)
	}
	for {
		at := r.next(p, last, ended)
		if wait(ctx, time.Until(at)) != nil {
			return
		}
		if signIns.paused(ctx) {
			last, ended = at, false
		} else {
			began := time.Now()
			last, ended = r.tick(ctx, p, tick{scheduledFor: at, due: at})
			signIns.note(ctx, began)
		}
	}
}

// next returns the tick to make after a pass that was for last: the newest one that has come if the pass was ended by a
// tick, else the first one to come. Those in between are skipped.
func (r *Runner) next(p Partner, last time.Time, ended bool) time.Time {
	now := time.Now()
	newest, skipped := p.Schedule.Last(last, now)
	next := newestTick(p.Schedule, now)
	if !ended {
		next = p.Schedule.Next(now)
		if !newest.IsZero() {
			skipped++
		}
	}
	if skipped > 0 {
		r.logger().Warn("ticks skipped while a pass went on", "partner", p.Name, "skipped", skipped, "next", next)
	}
	return next
}

// tick is when a scheduled pass is for, and the newest tick that has come.
type tick struct{ scheduledFor, due time.Time }

// newestTick returns the newest tick not after now, zero if there was none in the last week.
func newestTick(s cron.Schedule, now time.Time) time.Time {
	return s.Newest(now.Add(-7*24*time.Hour), now)
}

// tick makes one scheduled pass, and returns when that was for, and whether a tick ended it: while the database cannot be
// used, it waits, and the ticks that come meanwhile replace this one.
func (r *Runner) tick(ctx context.Context, p Partner, t tick) (last time.Time, ended bool) {
	tried, replaced := false, 0
	err := r.Await(ctx, p.Name, func(ctx context.Context) error {
		if at, skipped := p.Schedule.Last(t.scheduledFor, time.Now()); tried && !at.IsZero() {
			t, replaced = tick{scheduledFor: at, due: at}, replaced+skipped+1
		}
		tried = true
		var err error
		_, ended, err = r.pass(ctx, p, store.RunRequest{
			Partner: p.Name, Kind: store.Scheduled, ScheduledFor: t.scheduledFor, Due: t.due, Devices: p.deviceReading(time.Time{}),
		}, nil, false)
		if errors.Is(err, store.ErrTickDone) {
			r.logger().Debug("another replica has done this tick", "partner", p.Name, "scheduled_for", t.scheduledFor)
			return nil
		}
		return err
	})
	if err == nil && replaced > 0 {
		r.logger().Warn("ticks skipped while the database could not be used", "partner", p.Name, "skipped", replaced)
	}
	return t.scheduledFor, ended
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
