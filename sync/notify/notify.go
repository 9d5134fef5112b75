// Package notify sends what the store has put into its outbox to webhooks: signed CloudEvents, or a line of text for a chat.
//
//	sender := &notify.Sender{Store: s, Endpoints: endpoints}
//	err := sender.Run(ctx)                 // the daemon's, until ctx is done
//	err := sender.Drain(ctx)               // what a single pass has left, until it is sent or ctx is done
//
// Each event is sent at least once, and again until the receiver answers with a 2xx status, for a day at most. Those of one
// batch, customer or partner come in their order. Any number of processes may send from one outbox.
package notify

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"partnersync/store"
	"partnersync/sync/partnercenter"
)

// Formats of what is sent.
const (
	CloudEvents = "cloudevents" // CloudEvents 1.0, JSON, structured mode
	Text        = "text"        // {"text": "…"}, as Slack and Teams take it
)

// Results of an attempt, for OnResult.
const (
	Sent    = "sent"
	Failed  = "failed"   // there will be another attempt
	Refused = "refused"  // the receiver is gone for good (410)
	GivenUp = "given_up" // it could not be sent for a day
)

// Endpoint is a webhook.
type Endpoint struct {
	Name string // as in the outbox
	// URL is where it is; a secret, since who knows a chat's may write there.
	URL partnercenter.Secret
	// Keys sign what is sent, as [ParseKey] reads them; several while one is being replaced. None: it is not signed.
	Keys   []partnercenter.Secret
	Format string // CloudEvents or Text
}

// Sender sends to its endpoints.
type Sender struct {
	Store     *store.Store
	Endpoints []Endpoint
	Version   string       // of the program, for the User-Agent
	Logger    *slog.Logger // nil: discard
	// LookEvery is how often Run looks for stuck batches and for what is to be given up; 0: never.
	LookEvery time.Duration
	// OnResult, if set, is told of each attempt and of what was given up. Calls may overlap.
	OnResult func(endpoint, result string, n int)
}

const (
	pollEvery    = 5 * time.Second
	timeout      = 10 * time.Second // of an attempt
	lease        = 3 * timeout      // nobody else sends the same meanwhile
	atOnce       = 8                // attempts at one endpoint
	firstBackOff = 5 * time.Second
	mostBackOff  = 5 * time.Minute
	mostAsked    = time.Hour // by Retry-After
)

// Run sends until ctx is done. It outlives every failure of receivers and of the database, and returns nil.
func (s *Sender) Run(ctx context.Context) error {
	if len(s.Endpoints) == 0 {
		return nil
	}
	var g errgroup.Group
	wakes := make([]chan struct{}, len(s.Endpoints))
	for i, e := range s.Endpoints {
		wakes[i] = make(chan struct{}, 1)
		g.Go(func() error {
			s.serve(ctx, e, wakes[i])
			return nil
		})
	}
	g.Go(func() error {
		s.wake(ctx, wakes)
		return nil
	})
	g.Go(func() error {
		s.look(ctx)
		return nil
	})
	return g.Wait()
}

// wake hands on to all endpoints that the outbox has something new.
func (s *Sender) wake(ctx context.Context, wakes []chan struct{}) {
	for {
		select {
		case <-s.Store.OutboxWritten():
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

// serve sends to one endpoint until ctx is done: a receiver that is slow delays no other.
func (s *Sender) serve(ctx context.Context, e Endpoint, wake <-chan struct{}) {
	client := newClient()
	defer client.CloseIdleConnections()
	troubled := false
	for ctx.Err() == nil {
		sent, err := s.round(ctx, client, e)
		if err != nil && ctx.Err() == nil && !troubled { // the passes tell of a database that is away
			s.logger().Warn("notifications wait for the database", "endpoint", e.Name, "err", err)
		}
		troubled = err != nil
		if sent > 0 && err == nil {
			continue
		}
		pause := time.NewTimer(pollEvery)
		select {
		case <-wake:
		case <-pause.C:
		case <-ctx.Done():
		}
		pause.Stop()
	}
}

// round makes one attempt for each notification that is due now, and returns how many those were.
func (s *Sender) round(ctx context.Context, client *http.Client, e Endpoint) (n int, err error) {
	due, err := s.Store.ClaimNotifications(ctx, e.Name, atOnce, lease)
	if err != nil {
		return 0, err
	}
	var g errgroup.Group
	for _, n := range due {
		g.Go(func() error { return s.attempt(ctx, client, e, n) })
	}
	return len(due), g.Wait()
}

// attempt sends one notification, and writes down how that went. The error is the database's.
func (s *Sender) attempt(ctx context.Context, client *http.Client, e Endpoint, n store.Notification) error {
	err := send(ctx, client, e, n, s.Version)
	log := s.logger().With("endpoint", e.Name, "event", n.Type, "message_id", n.MessageID)
	// What has been received is noted even if ctx is done: or it would be sent again.
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	refusal, _ := errors.AsType[*refusedError](err)
	switch {
	case err == nil:
		log.Debug("notification sent", "attempts", n.Attempts)
		s.result(e, Sent)
		return s.Store.NotificationDone(settling, n)
	case ctx.Err() != nil:
		return s.Store.RetryNotification(settling, n, 0)
	case refusal != nil && refusal.status == http.StatusGone:
		log.Warn("the receiver is gone for good; remove it from the configuration", "err", err)
		s.result(e, Refused)
		return s.Store.NotificationDone(settling, n)
	}
	after := backOff(n.Attempts)
	if refusal != nil {
		after = max(after, min(refusal.retryAfter, mostAsked))
	}
	log.Warn("notification could not be sent", "attempts", n.Attempts, "next_in", after.Round(time.Second), "err", err)
	s.result(e, Failed)
	return s.Store.RetryNotification(settling, n, after)
}

// backOff is how long to wait after so many attempts: twice as long each time, spread a little.
func backOff(attempts int) time.Duration {
	d := min(firstBackOff<<min(max(attempts-1, 0), 20), mostBackOff)
	return d + time.Duration(rand.Int64N(int64(d)/4))
}

// look does at once and then regularly what waits for no event.
func (s *Sender) look(ctx context.Context) {
	troubled := false
	for s.LookEvery > 0 {
		err := s.Look(ctx)
		if err != nil && ctx.Err() == nil && !troubled {
			s.logger().Warn("stuck batches and old notifications could not be looked at", "err", err)
		}
		troubled = err != nil
		pause := time.NewTimer(s.LookEvery)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
	}
}

// Look puts batches that have become stuck into the outbox, and gives up what is too old.
func (s *Sender) Look(ctx context.Context) error {
	if err := s.Store.NoteStuckBatches(ctx); err != nil {
		return err
	}
	given, err := s.Store.GiveUpNotifications(ctx)
	for endpoint, n := range given {
		s.logger().Error("notifications are given up, since they could not be sent for a day", "endpoint", endpoint, "notifications", n)
		if s.OnResult != nil {
			s.OnResult(endpoint, GivenUp, n)
		}
	}
	return err
}

// Drain sends what is in the outbox until nothing is left or ctx is done, which is no error: who sends next goes on.
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
		n, err := s.round(ctx, client, e)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		wait, pending, err := s.Store.NextNotification(ctx, e.Name)
		if err != nil || !pending {
			return err
		}
		pause := time.NewTimer(max(wait, 100*time.Millisecond))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		}
	}
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
