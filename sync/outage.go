package sync

import (
	"context"
	"log/slog"
	stdsync "sync"
	"time"

	"partnersync/store"
)

const (
	maxRetryPause   = 4 * time.Second // between two attempts, so that work resumes soon after an outage of any length
	firstReminder   = time.Minute     // from when an outage is first logged to the next time, then twice as long each time
	maxReminderGap  = time.Hour
	separateOutages = 5 * time.Minute // outages that follow each other sooner are logged as one
	firstRetryPause = time.Second
)

// Wait is what the Runner cannot do, and waits for.
type Wait struct {
	Since  time.Time
	Reason string // the latest error, on one line
	Hint   string // what to do about it; "" if there is nothing to say in general
}

// outages keeps track of what is waiting for the database, for the log and for [Runner.Waiting]. The zero value is
// ready for use.
type outages struct {
	mu           stdsync.Mutex
	waits        map[string]Wait // by waiter: a partner, or the heartbeat
	logged       bool            // the log says that the database cannot be used, and has not said otherwise since
	loggedHints  map[string]bool // in this outage
	nextReminder time.Time
	reminderGap  time.Duration // from the next reminder to the one after it
	endedAt      time.Time     // when the last wait was over
}

// Waiting returns what the daemon is waiting for at the moment, and has been for longest, if anything: the database, or
// somebody to migrate it. It may be called at any time, from any goroutine.
func (r *Runner) Waiting() (w Wait, waiting bool) {
	r.outages.mu.Lock()
	defer r.outages.mu.Unlock()
	for _, each := range r.outages.waits {
		if !waiting || each.Since.Before(w.Since) {
			w, waiting = each, true
		}
	}
	return w, waiting
}

// Await calls do until it succeeds or ctx is done, with growing pauses. In the meantime Waiting says what is being
// waited for, and so does the log: when the wait begins, at growing intervals, and when it is over. The waiter is a
// name that tells one wait from another.
func (r *Runner) Await(ctx context.Context, waiter string, do func(context.Context) error) error {
	for pause := firstRetryPause; ; pause = min(2*pause, maxRetryPause) {
		err := do(ctx)
		if err == nil {
			r.databaseWorks(waiter)
			return nil
		}
		if ctx.Err() == nil {
			r.databaseFailed(waiter, err)
		}
		if wait(ctx, pause) != nil {
			r.outages.end(waiter)
			return err
		}
	}
}

// databaseFailed begins a wait or goes on with it, and logs that unless the log has said so recently.
func (r *Runner) databaseFailed(waiter string, err error) {
	w := Wait{Since: time.Now(), Reason: store.OneLine(err), Hint: store.Advice(err)}
	since, log := r.outages.begin(waiter, w)
	if !log {
		return
	}
	attrs := []any{"err", w.Reason, "since", since.UTC().Truncate(time.Second)}
	if w.Hint != "" {
		attrs = append(attrs, "hint", w.Hint)
	}
	r.logger().Log(context.Background(), slog.LevelError, "waiting for the database", attrs...)
}

// databaseWorks ends the wait of a waiter that can use the database, if it was in one.
func (r *Runner) databaseWorks(waiter string) {
	if since, ended := r.outages.end(waiter); ended {
		r.logger().Info("the database can be used again", "after", time.Since(since).Round(time.Second))
	}
}

// begin adds a wait, or updates the one that the waiter is in already. It returns when that began, and whether it is to
// be logged: at the beginning of an outage, when a reminder is due, and when there is something new to do about it.
func (o *outages) begin(waiter string, w Wait) (since time.Time, log bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := w.Since
	if len(o.waits) == 0 && now.Sub(o.endedAt) > separateOutages {
		o.waits, o.loggedHints, o.nextReminder, o.reminderGap = map[string]Wait{}, map[string]bool{}, now, firstReminder
	}
	if earlier, ok := o.waits[waiter]; ok {
		w.Since = earlier.Since
	}
	o.waits[waiter] = w
	reminding := !now.Before(o.nextReminder)
	if !reminding && o.loggedHints[w.Hint] {
		return w.Since, false
	}
	o.logged, o.loggedHints[w.Hint] = true, true
	if reminding {
		o.nextReminder, o.reminderGap = now.Add(o.reminderGap), min(2*o.reminderGap, maxReminderGap)
	}
	return w.Since, true
}

// end removes a wait. If it was the last one of an outage that has been logged, ended is true, and since is when it
// began.
func (o *outages) end(waiter string) (since time.Time, ended bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w, waiting := o.waits[waiter]
	if !waiting {
		return time.Time{}, false
	}
	delete(o.waits, waiter)
	if len(o.waits) > 0 {
		return time.Time{}, false
	}
	ended, o.logged, o.endedAt = o.logged, false, time.Now()
	return w.Since, ended
}
