package sync

import (
	"context"
	"log/slog"
	"maps"
	"sync/atomic"
	"time"

	"partnersync/store"
)

const (
	retryMost    = 4 * time.Second // the longest pause between two tries: the sync resumes so soon after any outage
	remindFirst  = time.Minute     // after so long, an outage is logged again, then at twice the interval each time
	remindMost   = time.Hour
	settledAfter = 5 * time.Minute // an outage that begins sooner after another is part of it for the log
)

// Wait is what the Runner cannot do, and waits for.
type Wait struct {
	Since  time.Time
	Reason string // the newest error, on one line
	Hint   string // what to do about it; "" if there is nothing to say in general
}

// outages keeps account of who waits for the database, for the log and for [Runner.Waiting]. The zero value is ready.
type outages struct{ state atomic.Pointer[outage] }

// outage is one state of that account. It is not changed but replaced.
type outage struct {
	waiting map[string]Wait // by who waits
	told    bool            // the log's last word is that the database cannot be used
	hints   map[string]bool // logged in this outage
	remind  time.Time       // when the log says so again
	gap     time.Duration   // from then to the next time
	ended   time.Time       // when nobody waited any more
}

// Waiting returns what the daemon waits for at the moment, if it does: the database, or somebody who migrates it. It may
// be called at any time, from any goroutine.
func (r *Runner) Waiting() (w Wait, waiting bool) {
	for _, each := range r.outages.load().waiting {
		if !waiting || each.Since.Before(w.Since) {
			w, waiting = each, true
		}
	}
	return w, waiting
}

// Await calls do until it succeeds or ctx is done, with growing pauses. Meanwhile Waiting tells what is waited for, on
// behalf of who, and so does the log: when it begins, at growing intervals, and when it is over.
func (r *Runner) Await(ctx context.Context, who string, do func(context.Context) error) error {
	for pause := time.Second; ; pause = min(2*pause, retryMost) {
		err := do(ctx)
		if err == nil {
			r.works(who)
			return nil
		}
		if ctx.Err() == nil {
			r.fails(who, err)
		}
		if wait(ctx, pause) != nil {
			r.outages.update(func(o outage) outage { return o.without(who) })
			return err
		}
	}
}

// fails notes that who cannot use the database.
func (r *Runner) fails(who string, err error) {
	now := time.Now()
	reason, hint := store.OneLine(err), store.Advice(err)
	before, after := r.outages.update(func(o outage) outage { return o.failed(who, Wait{now, reason, hint}) })
	if after.remind != before.remind || len(after.hints) > len(before.hints) {
		attrs := []any{"err", reason, "since", after.waiting[who].Since.UTC().Truncate(time.Second)}
		if hint != "" {
			attrs = append(attrs, "hint", hint)
		}
		r.logger().Log(context.Background(), slog.LevelError, "waiting for the database", attrs...)
	}
}

// works notes that who can use the database.
func (r *Runner) works(who string) {
	before, after := r.outages.update(func(o outage) outage { return o.without(who) })
	if before.told && !after.told {
		r.logger().Info("the database can be used again", "after", time.Since(before.since()).Round(time.Second))
	}
}

func (o *outages) load() outage {
	if state := o.state.Load(); state != nil {
		return *state
	}
	return outage{}
}

// update replaces the state by what change makes of it. Of concurrent updates each sees the result of the one before.
func (o *outages) update(change func(outage) outage) (before, after outage) {
	for {
		state := o.state.Load()
		before = outage{}
		if state != nil {
			before = *state
		}
		after = change(before)
		if o.state.CompareAndSwap(state, &after) {
			return before, after
		}
	}
}

// failed is the state after who has failed. It is for the log if remind or hints have changed.
func (o outage) failed(who string, w Wait) outage {
	now := w.Since
	if len(o.waiting) == 0 && now.Sub(o.ended) > settledAfter {
		o = outage{remind: now, gap: remindFirst}
	}
	if earlier, ok := o.waiting[who]; ok {
		w.Since = earlier.Since
	}
	o.waiting = with(o.waiting, who, w)
	if now.Before(o.remind) && o.hints[w.Hint] {
		return o
	}
	o.told, o.hints = true, with(o.hints, w.Hint, true)
	if !now.Before(o.remind) {
		o.remind, o.gap = now.Add(o.gap), min(2*o.gap, remindMost)
	}
	return o
}

// without is the state after who waits no more. It is for the log if told has changed.
func (o outage) without(who string) outage {
	if _, ok := o.waiting[who]; !ok {
		return o
	}
	o.waiting = maps.Clone(o.waiting)
	if delete(o.waiting, who); len(o.waiting) == 0 {
		o.told, o.ended = false, time.Now()
	}
	return o
}

// since is when the longest wait began.
func (o outage) since() (first time.Time) {
	for _, w := range o.waiting {
		if first.IsZero() || w.Since.Before(first) {
			first = w.Since
		}
	}
	return first
}

// with returns a copy of m with one more entry.
func with[K comparable, V any](m map[K]V, key K, value V) map[K]V {
	if m = maps.Clone(m); m == nil {
		m = map[K]V{}
	}
	m[key] = value
	return m
}
