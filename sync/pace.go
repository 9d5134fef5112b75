package sync

import (
	"context"
	"time"
)

// sharePauses lets the partner's other replicas know when the API asks this one to pause.
func (r *Runner) sharePauses(ctx context.Context, p Partner) {
	if p.Limiter == nil {
		return
	}
	p.Limiter.OnPause = func(d time.Duration) {
		r.logger().Warn("the API makes the partner wait", "partner", p.Name, "until", time.Now().Add(d))
		pause := func(ctx context.Context) error { return r.Store.Pause(ctx, p.Name, d) }
		if err := r.lastWrite(ctx, pause); err != nil {
			r.logger().Warn("pause not passed on to other replicas", "partner", p.Name, "err", err)
		}
	}
}

// readPaceEvery is how often the partner's share of the rate and its pause are read while requests may be made.
const readPaceEvery = time.Second

// atPace runs do, which makes requests for the partner, and meanwhile keeps the limiter up to date: with this worker's
// share of the partner's rate, and with pauses that the API has asked other replicas for.
func (r *Runner) atPace(ctx context.Context, p Partner, do func(context.Context) error) error {
	r.readPace(ctx, p) // before the first request
	return alongside(ctx, func(ctx context.Context) {
		for wait(ctx, readPaceEvery) == nil {
			r.readPace(ctx, p)
		}
	}, do)
}

// readPace updates the partner's limiter from the database. If that cannot be read, the limiter stays as it is.
func (r *Runner) readPace(ctx context.Context, p Partner) {
	pace, err := r.Store.Pace(ctx, p.Name)
	if err != nil {
		return
	}
	p.Limiter.Share(pace.Workers)
	p.Limiter.Pause(pace.Pause)
}
