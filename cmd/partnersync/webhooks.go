package main

import (
	"context"
	"log/slog"
	"time"

	"partnersync/cmd/partnersync/config"
	"partnersync/store"
	"partnersync/store/outbox"
	"partnersync/sync/notify"
	"partnersync/sync/statuspage"
)

// drainFor is how long a single pass may take at its end to send what is in the outbox.
const drainFor = 30 * time.Second

// endpoints returns the webhooks as the store needs them.
func endpoints(c *config.Config) (all []outbox.Endpoint) {
	for _, n := range c.Webhooks {
		all = append(all, outbox.Endpoint{
			Name: n.Name, Events: n.Events, Partners: n.Partners,
			StuckAfter: n.StuckAfter, FailingAfter: n.FailingAfter,
		})
	}
	return all
}

// newSender returns what sends to the webhooks. Attempts are counted in m, which may be nil.
func newSender(c *config.Config, s *store.Store, m *statuspage.Metrics, log *slog.Logger) *notify.Sender {
	sender := &notify.Sender{
		Outbox: s.Outbox(), Version: version(), PageURL: c.PageURL, Logger: log,
		SweepEvery: 10 * time.Minute, OnResult: m.Notified,
	}
	for _, n := range c.Webhooks {
		m.WatchEndpoint(n.Name)
		sender.Endpoints = append(sender.Endpoints, notify.Endpoint{
			Name: n.Name, URL: n.URL, Keys: n.Keys, Format: n.Format,
		})
		sender.SweepEvery = max(time.Second, min(sender.SweepEvery, n.StuckAfter/20))
	}
	return sender
}

// drain sends what a single pass has put into the outbox, and what earlier ones could not send. Failing to do so is no
// failure of the pass.
func drain(ctx context.Context, sender *notify.Sender, log *slog.Logger) {
	if len(sender.Endpoints) == 0 || ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, drainFor)
	defer cancel()
	err := sender.Sweep(ctx)
	if err == nil {
		err = sender.Drain(ctx)
	}
	if err != nil {
		log.Warn("notifications could not be sent; the next pass or the daemon goes on with them", "err", err)
	}
}
