package sync

import (
	"context"
	"errors"
	stdsync "sync"
	"time"

	"partnersync/store"
	"partnersync/store/cron"
)

// Run is the daemon: it makes a pass of each partner at each tick of its schedule, until ctx is done. It outlives every
// failure of the API and of the database, and returns nil.
func (r *Runner) Run(ctx context.Context) error {
	defer r.begin(ctx)()
	if err := r.Await(ctx, "start", r.start); err != nil {
		return nil // stopped while waiting
	}
	return r.asWorker(ctx, func(ctx context.Context) error {
		var g stdsync.WaitGroup
		for _, p := range r.Partners {
			g.Go(func() { r.followSchedule(ctx, p) })
		}
		g.Go(func() { r.removeOldRuns(ctx) })
		g.Wait()
		return nil
	})
}

// start writes the first heartbeat, and the settings by which the status page and partnersync status judge the passes.
func (r *Runner) start(ctx context.Context) error {
	settings := make([]store.PartnerSettings, len(r.Partners))
	for i, p := range r.Partners {
		settings[i] = store.PartnerSettings{
			Partner: p.Name, Schedule: p.Schedule.String(), Timezone: p.Schedule.Timezone(),
			RequestsPerMinute: p.RequestsPerMinute,
		}
	}
	if err := r.heartbeat(ctx); err != nil {
		return err
	}
	return r.Store.WritePartnerSettings(ctx, settings)
}

// followSchedule makes a pass at each tick of the partner's schedule. Ticks that fall while a pass goes on are skipped;
// but a pass that a tick cut short is followed at once by that of the newest tick.
func (r *Runner) followSchedule(ctx context.Context, p Partner) {
	signIn := newSignIn(r, p)
	last, cutShort := r.now(), false
	pass := func(t tick) {
		if signIn.refused(ctx) {
			last, cutShort = t.scheduledFor, false
			return
		}
		began := time.Now()
		last, cutShort = r.scheduledPass(ctx, p, t)
		signIn.passEnded(ctx, began)
	}
	signIn.warnOfExpiry(ctx)
	if r.RunOnStart {
		pass(tick{scheduledFor: last, newest: newestTick(p.Schedule, last)})
	}
	for {
		at := r.nextTick(p, last, cutShort)
		if r.waitUntil(ctx, at) != nil {
			return
		}
		signIn.warnOfExpiry(ctx)
		pass(tick{scheduledFor: at, newest: at})
	}
}

// nextTick returns the tick to make a pass at after the one that was for last: if a tick cut that pass short, the
// newest one that has come, otherwise the next one to come. Those in between are skipped.
func (r *Runner) nextTick(p Partner, last time.Time, cutShort bool) time.Time {
	now := r.now()
	newest, skipped := p.Schedule.Last(last, now)
	next := newestTick(p.Schedule, now)
	if !cutShort || next.IsZero() {
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

// now returns the time by the clock that the schedules go by, which is the database's: one of this process that is
// ahead would make ticks that all the others then take for done.
func (r *Runner) now() time.Time {
	if r.clock != nil {
		return r.clock()
	}
	return r.Store.Now()
}

// lookAtClockEvery is how long a timer goes unchecked: a machine that is suspended, or a clock that is set, would carry
// a longer one along.
const lookAtClockEvery = time.Minute

// waitUntil waits until a time has come by the clock of the schedules.
func (r *Runner) waitUntil(ctx context.Context, at time.Time) error {
	for {
		left := at.Sub(r.now())
		if left <= 0 {
			return ctx.Err()
		}
		if err := wait(ctx, min(left, lookAtClockEvery)); err != nil {
			return err
		}
	}
}

// tick is when a scheduled pass is for, and the newest tick that has come by then.
type tick struct{ scheduledFor, newest time.Time }

// newestTick returns the newest tick that is not after now, zero if there was none in the last week.
func newestTick(s cron.Schedule, now time.Time) time.Time {
	return s.Newest(now.Add(-7*24*time.Hour), now)
}

// scheduledPass makes the pass of a tick. While the database cannot be used, it waits, and a tick that comes in the
// meantime takes the place of the earlier one. It returns when the pass was for, and whether a tick cut it short.
func (r *Runner) scheduledPass(ctx context.Context, p Partner, t tick) (scheduledFor time.Time, cutShort bool) {
	tried, replaced := false, 0
	err := r.Await(ctx, p.Name, func(ctx context.Context) error {
		if at, skipped := p.Schedule.Last(t.scheduledFor, r.now()); tried && !at.IsZero() {
			t, replaced = tick{scheduledFor: at, newest: at}, replaced+skipped+1
		}
		tried = true
		var err error
		_, cutShort, err = r.pass(ctx, p, store.RunRequest{
			Partner: p.Name, Kind: store.Scheduled, ScheduledFor: t.scheduledFor, Due: t.newest,
			Devices: p.deviceReading(time.Time{}), Policies: p.Policies,
		}, selection{})
		if errors.Is(err, store.ErrTickDone) {
			r.logger().Debug("another replica has done this tick", "partner", p.Name, "scheduled_for", t.scheduledFor)
			return nil
		}
		return err
	})
	if err == nil && replaced > 0 {
		r.logger().Warn("ticks skipped while the database could not be used", "partner", p.Name, "skipped", replaced)
	}
	return t.scheduledFor, cutShort
}

// removeOldRunsEvery is how often the daemon removes old runs.
const removeOldRunsEvery = 24 * time.Hour

// removeOldRuns removes old runs, at once and then daily, until ctx is done. Every replica tries; those that one has
// removed are simply no longer there for the others.
func (r *Runner) removeOldRuns(ctx context.Context) {
	if r.KeepRuns <= 0 {
		return
	}
	for {
		removed, err := r.Store.PruneRuns(ctx, r.KeepRuns)
		if removed > 0 {
			r.logger().Info("old runs removed", "runs", removed, "older_than", r.KeepRuns)
		}
		if err != nil && ctx.Err() == nil {
			r.logger().Warn("old runs stay for another day", "err", err)
		}
		if r.waitUntil(ctx, r.now().Add(removeOldRunsEvery)) != nil {
			return
		}
	}
}
