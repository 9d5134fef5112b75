package sync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// errSilent is why a pass stops whose worker may have lost its claims to others.
var errSilent = errors.New("no heartbeat could be written for longer than the lease")

// heartbeat says that the worker lives. A server that does not answer is given up in good time for the next try.
func (r *Runner) heartbeat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(time.Second, r.Store.Lease()/4))
	defer cancel()
	sent := time.Now()
	if err := r.Store.Heartbeat(ctx); err != nil {
		return err
	}
	r.lastBeat.Store(&sent)
	return nil
}

// beat keeps the worker's claims alive.
func (r *Runner) beat(ctx context.Context) {
	const who = "heartbeat"
	defer r.outages.update(func(o outage) outage { return o.without(who) })
	for wait(ctx, r.Store.Lease()/4) == nil {
		switch err := r.heartbeat(ctx); {
		case err == nil:
			r.works(who)
		case ctx.Err() == nil:
			r.fails(who, err)
		}
	}
}

// lapsesIn returns how long the claims hold without another heartbeat.
func (r *Runner) lapsesIn() time.Duration {
	last := r.lastBeat.Load()
	if last == nil {
		return 0
	}
	return time.Until(last.Add(r.Store.Lease()))
}

// whileAlive calls do, and ends its context when the claims have lapsed. What do would still write is fenced, but an
// answer of the server may be long in coming where the network drops packets, and others do the work by now. The error
// is errSilent then.
func (r *Runner) whileAlive(ctx context.Context, do func(context.Context) error) error {
	if r.lapsesIn() <= 0 {
		if err := r.heartbeat(ctx); err != nil {
			return err
		}
	}
	alive, die := context.WithCancelCause(ctx)
	var watch errgroup.Group
	watch.Go(func() error {
		for wait(alive, r.lapsesIn()) == nil {
			if r.lapsesIn() <= 0 {
				die(errSilent)
			}
		}
		return nil
	})
	err := do(alive)
	if ctx.Err() == nil && errors.Is(context.Cause(alive), errSilent) && err != nil {
		err = fmt.Errorf("%w, which is %s: the pass is given up", errSilent, r.Store.Lease())
	}
	die(nil)
	_ = watch.Wait() // it has no error
	return err
}
