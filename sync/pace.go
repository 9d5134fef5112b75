package sync

import (
	"context"
	"time"
)

// sharePauses passes the pauses that the API asks this process for on to the partner's other replicas.
func (r *Runner) sharePauses(ctx context.Context, p Partner) {
	if p.Limiter == nil {
		return
	}
	p.Limiter.OnPause = func(d time.Duration) {
		r.logger().Warn("the API makes the partner wait", "partner", p.Name, "until", time.Now().Add(d))
		pause := func(ctx context.Context) error { return r.Store.Pause(ctx, p.Name, d) }
		if err := detached(ctx, pause); err != nil {
			r.logger().Warn("pause not passed on to other replicas", "partner", p.Name, "err", err)
		}
	}
}
