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

// paceEvery is how often the pace of a partner's replicas is read while a pass makes requests.
const paceEvery = time.Second

// followPace keeps the partner's limiter to this process's share of the rate and to the pauses that other replicas were
// asked for, until the function that it returns is called.
func (w *pass) followPace(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	read := func() {
		if pace, err := w.Store.Pace(ctx, w.partner.Name); err == nil { // else the last one goes on; the pass itself fails soon
			w.partner.Limiter.Share(pace.Workers)
			w.partner.Limiter.Pause(pace.Pause)
		}
	}
	read()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for wait(ctx, paceEvery) == nil {
			read()
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
