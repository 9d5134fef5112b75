package sync

import (
	"context"
	"time"
)

// lastWriteTime is how long this process goes on writing after it has been stopped, all writes together.
const lastWriteTime = 5 * time.Second

// begin prepares for work until ctx is done. The function that it returns ends what it began.
func (r *Runner) begin(ctx context.Context) (end func() bool) {
	r.stoppedAt.Store(nil)
	for _, p := range r.Partners {
		r.sharePauses(ctx, p)
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
