package sync

import (
	"context"
	"time"
)

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
