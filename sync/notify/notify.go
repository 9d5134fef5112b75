// Package notify sends the events in the store's outbox to webhooks: as signed CloudEvents, or as messages that Teams,
// Slack or another chat takes.
//
// The daemon sends with [Sender.Run] for as long as it runs, a single pass with [Sender.Drain] at its end. Each
// event is sent at least once: again and again, for a day at most, until the receiver answers with a 2xx status.
// The events of a batch, of a customer or of a partner arrive in order. Any number of processes may send from one
// outbox.
package notify

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	stdsync "sync"
	"time"

	"golang.org/x/sync/errgroup"

	"partnersync/store/outbox"
	"partnersync/sync/partnercenter"
)

// Results for [Sender.OnResult].
const (
	Sent    = "sent"
	Failed  = "failed"   // there will be another attempt
	Refused = "refused"  // the receiver is gone for good (410)
	GivenUp = "given_up" // it could not be sent for a day
)

// Endpoint is a webhook.
type Endpoint struct {
	Name string // as in the outbox
	// URL is a secret, since whoever knows that of a chat may write there.
	URL partnercenter.Secret
	// Keys sign the events, in the form that [ParseKey] reads; several while one is being replaced. None: no
	// signature.
	Keys   []partnercenter.Secret
	Format string // such as CloudEvents
}

// Sender sends to its endpoints.
type Sender struct {
	Outbox    *outbox.Outbox
	Endpoints []Endpoint
	Version   string       // of the program, for the User-Agent
	PageURL   string       // where people see the status page; "": not known
	Logger    *slog.Logger // nil: discard
	// SweepEvery is how often Run calls Sweep; 0: never.
	SweepEvery time.Duration
	// OnResult, if set, is called with the result of each attempt, and with how many events were given up. Calls
	// may overlap.
	OnResult func(endpoint, result string, n int)
}

const (
	pollEvery     = 5 * time.Second
	timeout       = 10 * time.Second // of an attempt
	lease         = 3 * timeout      // of a claimed delivery, which no other process sends meanwhile
	concurrency   = 8                // attempts at one endpoint
	gatherFor     = 5 * time.Second  // how long an event waits for others that are sent with it
	minBackOff    = 5 * time.Second
	maxBackOff    = 5 * time.Minute
	maxRetryAfter = time.Hour
)

// Run sends until ctx is done. It outlives every failure of receivers and of the database.
func (s *Sender) Run(ctx context.Context) {
	if len(s.Endpoints) == 0 {
		return
	}
	var g stdsync.WaitGroup
	wakes := make([]chan struct{}, len(s.Endpoints))
	for i, e := range s.Endpoints {
		wakes[i] = make(chan struct{}, 1)
		g.Go(func() { s.sendTo(ctx, e, wakes[i]) })
	}
	g.Go(func() { s.wake(ctx, wakes) })
	g.Go(func() { s.sweepRegularly(ctx) })
	g.Wait()
}

// wake wakes all endpoints when something new is in the outbox.
func (s *Sender) wake(ctx context.Context, wakes []chan struct{}) {
	for {
		select {
		case <-s.Outbox.Written():
		case <-ctx.Done():
			return
		}
		for _, w := range wakes {
			select {
			case w <- struct{}{}:
			default:
			}
		}
	}
}

// sendTo sends to one endpoint until ctx is done. A slow receiver delays no other.
func (s *Sender) sendTo(ctx context.Context, e Endpoint, wake <-chan struct{}) {
	client := newClient()
	defer client.CloseIdleConnections()
	if e.Format == Teams {
		wake = nil // what is new is to wait for further events
	}
	failing := false
	for ctx.Err() == nil {
		n, err := s.sendDue(ctx, client, e, gatherFor)
		if err != nil && ctx.Err() == nil && !failing { // later failures are in the log of the passes
			s.logger().Warn("notifications wait for the database", "endpoint", e.Name, "err", err)
		}
		failing = err != nil
		if n == 0 || err != nil {
			_ = wait(ctx, pollEvery, wake) // the loop looks at ctx
		}
	}
}

// sendDue makes one attempt for each delivery that is due, up to a limit, and returns how many there were. What the
// endpoint's format gathers waits for further events for a time.
func (s *Sender) sendDue(
	ctx context.Context, client *http.Client, e Endpoint, gather time.Duration,
) (n int, err error) {
	var gathering outbox.Gathering
	if e.Format == Teams {
		gathering = outbox.Gathering{Most: maxGathered, Wait: gather}
	}
	due, err := s.Outbox.Claim(ctx, e.Name, concurrency, lease, gathering)
	if err != nil {
		return 0, err
	}
	var g errgroup.Group
	for _, d := range due {
		g.Go(func() error { return s.attempt(ctx, client, e, d) })
	}
	return len(due), g.Wait()
}

// attempt sends one delivery and records the result. The error is the database's.
func (s *Sender) attempt(ctx context.Context, client *http.Client, e Endpoint, d outbox.Delivery) error {
	err := s.send(ctx, client, e, d)
	log := s.logger().With("endpoint", e.Name, "event", d.Notifications[0].Type, "events", len(d.Notifications),
		"message_id", d.ID)
	// The result is recorded even if ctx is done: otherwise what was received would be sent again.
	recording, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	refusal, _ := errors.AsType[*refusedError](err)
	switch {
	case err == nil:
		log.Debug("notification sent", "attempts", d.Attempts)
		s.result(e, Sent)
		return s.Outbox.Remove(recording, d)
	case ctx.Err() != nil:
		return s.Outbox.Retry(recording, d, 0)
	case refusal != nil && refusal.status == http.StatusGone:
		log.Warn("the receiver is gone for good; remove it from the configuration", "err", err)
		s.result(e, Refused)
		return s.Outbox.Remove(recording, d)
	}
	after := backOff(d.Attempts)
	if refusal != nil {
		after = max(after, refusal.retryAfter)
	}
	log.Warn("notification could not be sent", "attempts", d.Attempts, "next_in", after.Round(time.Second), "err", err)
	s.result(e, Failed)
	return s.Outbox.Retry(recording, d, after)
}

// backOff returns how long to wait after a number of attempts: twice as long each time, with jitter.
func backOff(attempts int) time.Duration {
	d := min(minBackOff<<min(max(attempts-1, 0), 20), maxBackOff)
	return d + time.Duration(rand.Int64N(int64(d)/4))
}

// sweepRegularly sweeps at once and then every SweepEvery until ctx is done.
func (s *Sender) sweepRegularly(ctx context.Context) {
	failing := false
	for s.SweepEvery > 0 {
		err := s.Sweep(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			s.logger().Warn("stuck batches and old notifications could not be looked at", "err", err)
		}
		failing = err != nil
		if wait(ctx, s.SweepEvery, nil) != nil {
			return
		}
	}
}

// Sweep does what no other event triggers: it enqueues batches that have become stuck, and gives up old
// notifications.
func (s *Sender) Sweep(ctx context.Context) error {
	if err := s.Outbox.EnqueueStuckBatches(ctx); err != nil {
		return err
	}
	given, err := s.Outbox.GiveUp(ctx)
	for endpoint, n := range given {
		s.logger().Error("notifications are given up, since they could not be sent for a day",
			"endpoint", endpoint, "notifications", n)
		if s.OnResult != nil {
			s.OnResult(endpoint, GivenUp, n)
		}
	}
	return err
}

// Drain sends what is in the outbox until nothing is left or ctx is done. The latter is no error: the next process
// to send continues.
func (s *Sender) Drain(ctx context.Context) error {
	g, draining := errgroup.WithContext(ctx)
	for _, e := range s.Endpoints {
		g.Go(func() error { return s.drain(draining, e) })
	}
	err := g.Wait()
	if ctx.Err() != nil {
		s.logger().Warn("not all notifications are sent; the next pass or the daemon goes on with them")
		return nil
	}
	return err
}

func (s *Sender) drain(ctx context.Context, e Endpoint) error {
	client := newClient()
	defer client.CloseIdleConnections()
	for {
		n, err := s.sendDue(ctx, client, e, 0)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		due, pending, err := s.Outbox.Next(ctx, e.Name)
		if err != nil || !pending {
			return err
		}
		// What another process has claimed is due later, but may be gone sooner.
		if err := wait(ctx, min(max(due, 100*time.Millisecond), pollEvery), nil); err != nil {
			return err
		}
	}
}

// wait returns after d or when woken, or with the error of ctx if that is done first.
func wait(ctx context.Context, d time.Duration, wake <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
	return ctx.Err()
}

func (s *Sender) result(e Endpoint, result string) {
	if s.OnResult != nil {
		s.OnResult(e.Name, result, 1)
	}
}

func (s *Sender) logger() *slog.Logger {
	if s.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Logger
}
