package sync

import (
	"context"
	"time"
)

// forgetEvery is how often the daemon removes old runs.
const forgetEvery = 24 * time.Hour

// forgetRuns removes old runs, at once and then daily, until ctx is done. Every replica tries; what one has removed is
// nothing to the others.
func (r *Runner) forgetRuns(ctx context.Context) {
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
		if wait(ctx, forgetEvery) != nil {
			return
		}
	}
}
