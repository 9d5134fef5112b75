package sync

import (
	"context"
	"errors"
	"fmt"
	stdsync "sync"
	"time"
)

// errLeaseLapsed is why a pass is given up whose worker may have lost its claims to others.
var errLeaseLapsed = errors.New("no heartbeat could be written for longer than the lease")

// asWorker runs do while heartbeats keep this process on the list of workers, and takes it off the list afterwards.
func (r *Runner) asWorker(ctx context.Context, do func(context.Context) error) error {
	err := alongside(ctx, r.renewHeartbeat, do)
	if left := r.lastWrite(ctx, r.Store.Leave); left != nil {
		// The claims lapse with the lease.
		r.logger().Warn("the worker could not be taken off the list", "err", left)
	}
	return err
}

// slowestHeartbeat is the most time between two heartbeats, however long the lease: they tell of progress too.
const slowestHeartbeat = 15 * time.Second

// renewHeartbeat writes a heartbeat four times in each lease, or more often, until ctx is done.
func (r *Runner) renewHeartbeat(ctx context.Context) {
	const waiter = "heartbeat"
	defer r.outages.end(waiter)
	for wait(ctx, min(r.Store.Lease()/4, slowestHeartbeat)) == nil {
		switch err := r.heartbeat(ctx); {
		case err == nil:
			r.databaseWorks(waiter)
		case ctx.Err() == nil:
			r.databaseFailed(waiter, err)
		}
	}
}

// heartbeat says that the worker is alive. A server that does not answer is given up in good time for the next attempt.
func (r *Runner) heartbeat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(time.Second, r.Store.Lease()/4))
	defer cancel()
	sent := time.Now()
	if err := r.Store.Heartbeat(ctx); err != nil {
		return err
	}
	r.lastHeartbeat.Store(&sent)
	return nil
}

// untilLapse returns how long the claims hold without another heartbeat.
func (r *Runner) untilLapse() time.Duration {
	last := r.lastHeartbeat.Load()
	if last == nil {
		return 0
	}
	return time.Until(last.Add(r.Store.Lease()))
}

// underLease calls do, and cancels its context with errLeaseLapsed when the lease has lapsed. From then on others may
// take the claims over, and its writes are refused for those that they have; but where the network drops packets the
// server's answer may be long in coming, while others do the work already.
func (r *Runner) underLease(ctx context.Context, do func(context.Context) error) error {
	if r.untilLapse() <= 0 {
		if err := r.heartbeat(ctx); err != nil {
			return err
		}
	}
	leased, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := alongside(leased, func(ctx context.Context) {
		for wait(ctx, r.untilLapse()) == nil {
			if r.untilLapse() <= 0 {
				cancel(errLeaseLapsed)
			}
		}
	}, do)
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(leased), errLeaseLapsed) {
		return fmt.Errorf("%w, which is %s: the pass is given up", errLeaseLapsed, r.Store.Lease())
	}
	return err
}

// lastWriteTime is how long this process goes on writing after it has been stopped, all writes together.
const lastWriteTime = 5 * time.Second

// begin prepares for work until ctx is done. The function that it returns ends what it began.
func (r *Runner) begin(ctx context.Context) (end func() bool) {
	r.stoppedAt.Store(nil)
	for _, p := range r.Partners {
		if p.Limiter != nil {
			p.Limiter.OnPause = func(d time.Duration) { r.sharePause(ctx, p.Name, d) }
		}
	}
	return context.AfterFunc(ctx, func() {
		now := time.Now()
		r.stoppedAt.Store(&now)
	})
}

// lastWrite makes a write that must be tried even if ctx is done, in what is left of lastWriteTime then.
func (r *Runner) lastWrite(ctx context.Context, write func(context.Context) error) error {
	deadline := time.Now().Add(lastWriteTime)
	if stopped := r.stoppedAt.Load(); stopped != nil {
		deadline = stopped.Add(lastWriteTime)
	}
	return writeUntil(ctx, deadline, write)
}

// writeUntil makes a write that may go on after ctx is done, but not after the deadline.
func writeUntil(ctx context.Context, deadline time.Time, write func(context.Context) error) error {
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	return write(ctx)
}

// alongside runs background for as long as do takes, and returns when both have returned.
func alongside(ctx context.Context, background func(context.Context), do func(context.Context) error) error {
	backgroundCtx, stop := context.WithCancel(ctx)
	var g stdsync.WaitGroup
	g.Go(func() { background(backgroundCtx) })
	defer g.Wait()
	defer stop()
	return do(ctx)
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

// sharePause lets the partner's other replicas know that the API asks this one to pause.
func (r *Runner) sharePause(ctx context.Context, partner string, d time.Duration) {
	r.logger().Warn("the API makes the partner wait", "partner", partner, "until", time.Now().Add(d))
	pause := func(ctx context.Context) error { return r.Store.Pause(ctx, partner, d) }
	if err := r.lastWrite(ctx, pause); err != nil {
		r.logger().Warn("pause not passed on to other replicas", "partner", partner, "err", err)
	}
}

// readPaceEvery is how often the partner's share of the rate and its pause are read while requests may be made.
const readPaceEvery = time.Second

// atPace runs do, which makes requests for the partner, and meanwhile keeps the limiter up to date: with this worker's
// share of the partner's rate, and with pauses that the API has asked other replicas for. If they cannot be read, the
// limiter stays as it is.
func (r *Runner) atPace(ctx context.Context, p Partner, do func(context.Context) error) error {
	if p.Limiter == nil {
		return do(ctx)
	}
	readPace := func(ctx context.Context) {
		if pace, err := r.Store.Pace(ctx, p.Name); err == nil {
			p.Limiter.Share(pace.Workers)
			p.Limiter.Pause(pace.Pause)
		}
	}
	readPace(ctx) // before the first request
	return alongside(ctx, func(ctx context.Context) {
		for wait(ctx, readPaceEvery) == nil {
			readPace(ctx)
		}
	}, do)
}
