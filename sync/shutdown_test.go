package sync

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestLastWrite_allHaveFiveSecondsTogetherAfterTheStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &Runner{}
		ctx, stop := context.WithCancel(t.Context())
		defer r.begin(ctx)()
		hang := func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		_ = wait(ctx, time.Minute)
		stop()
		synctest.Wait()
		stopped := time.Now()
		for range 3 {
			if err := r.lastWrite(ctx, hang); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
		}
		if took := time.Since(stopped); took != lastWriteTime {
			t.Errorf("the writes took %v together, want %v", took, lastWriteTime)
		}
		// Another pass of the same Runner begins anew.
		defer r.begin(t.Context())()
		if err := r.lastWrite(t.Context(), func(ctx context.Context) error { return ctx.Err() }); err != nil {
			t.Error(err)
		}
	})
}
