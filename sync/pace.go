package sync

import (
	"context"
	"errors"
	"time"

	"partnersync/sync/partnercenter"
)

// share makes the partner's gate one with those of all replicas: places at the rate are reserved in the database, and
// pauses are kept there.
func (r *Runner) share(ctx context.Context, p Partner) {
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
	p.Gate.Reserve = func(ctx context.Context, n int, interval time.Duration) (got partnercenter.Reservation, err error) {
		if n == 0 {
			got.Pause, err = r.Store.PauseOf(ctx, p.Name)
		} else {
			got.Wait, got.Pause, err = r.Store.Reserve(ctx, p.Name, n, interval)
		}
		if err != nil {
			return got, &databaseError{err}
		}
		return got, nil
	}
}

// databaseError is the error of a request that was not made because the database could not be asked for its place. It is
// no failure of the customer whom the request was for, but stops the pass, as any other failure of the database does.
type databaseError struct{ cause error }

func (e *databaseError) Error() string { return e.cause.Error() }

func (e *databaseError) Unwrap() error { return e.cause }

// ofDatabase reports whether a list could not be read because the database could not be used.
func ofDatabase(err error) bool {
	_, ok := errors.AsType[*databaseError](err)
	return ok
}
