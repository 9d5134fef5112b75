package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"partnersync/cmd/partnersync/config"
	"partnersync/store"
	"partnersync/sync"
	"partnersync/sync/partnercenter"
	"partnersync/sync/statuspage"
)

// newRunner returns what makes the passes of all partners; it has no database until connect. Its metrics are m, which
// may be nil.
func (a *app) newRunner(c *config.Config, m *statuspage.Metrics, log *slog.Logger) (*sync.Runner, error) {
	r := &sync.Runner{RunOnStart: c.RunOnStart, KeepRuns: c.KeepRuns, Logger: log, OnClaimsLost: m.ClaimsLost}
	for _, pc := range c.Partners {
		users, err := userTokens(c, pc, nil)
		if err != nil {
			return nil, err
		}
		p, err := a.newPartner(pc, users, m, log)
		if err != nil {
			return nil, err
		}
		r.Partners = append(r.Partners, p)
	}
	return r, nil
}

// connect gives the database to the runner, and to the partners that keep tokens there.
func connect(r *sync.Runner, s *store.Store) {
	r.Store = s
	for _, p := range r.Partners {
		if p.Users != nil {
			p.Users.Store = s
		}
	}
}

// newPartner returns the partner that the configuration describes. users keeps the token of its user, and is nil if it
// has none. Its metrics are m, which may be nil.
func (a *app) newPartner(
	pc config.Partner, users *sync.UserTokens, m *statuspage.Metrics, log *slog.Logger,
) (sync.Partner, error) {
	cloud, _ := partnercenter.CloudNamed(pc.Cloud)
	log = log.With("partner", pc.Name)
	transport := cmp.Or(a.transport, m.Transport(pc.Name))
	timeout := attemptTimeout(pc.Schedule.Interval(time.Now()))
	limiter := partnercenter.NewLimiter(pc.RequestsPerMinute)
	credentials := pc.Credentials()
	if users != nil {
		credentials.Rotate = users.Rotate
	}
	tokens, err := partnercenter.NewTokenSource(credentials, partnercenter.TokenOptions{
		Limiter: limiter, AttemptTimeout: timeout, Version: version(), Logger: log, Transport: transport,
	})
	if err != nil {
		return sync.Partner{}, fmt.Errorf("partner %s: %w", pc.Name, err)
	}
	m.Watch(pc.Name, limiter, tokens)
	client, err := partnercenter.New(partnercenter.Options{
		BaseURL: cmp.Or(pc.APIURL, cloud.APIURL), Tokens: tokens, Limiter: limiter, AttemptTimeout: timeout,
		Version: version(), Logger: log, Transport: transport,
	})
	if err != nil {
		return sync.Partner{}, fmt.Errorf("partner %s: %w", pc.Name, err)
	}
	return sync.Partner{
		Name: pc.Name, Client: client, Limiter: limiter, Tokens: tokens, Users: users, Expiries: expiries(pc, users),
		Schedule: pc.Schedule, Customers: pc.Customers, Exclude: pc.ExcludeCustomers,
		Concurrency: pc.Concurrency, RequestsPerMinute: pc.RequestsPerMinute, Policies: pc.Policies,
		Devices: pc.Devices, DevicesRefresh: pc.DevicesRefresh,
	}, nil
}

// attemptTimeout lets as many hanging requests as there may be at a time fail before the next tick.
func attemptTimeout(interval time.Duration) time.Duration {
	return max(10*time.Second, min(3*time.Minute, interval/8))
}

// userTokens returns what keeps the token of the partner's user; nil if it signs in as an application alone. s may be
// nil until connect.
func userTokens(c *config.Config, pc config.Partner, s *store.Store) (*sync.UserTokens, error) {
	if !pc.AppUser {
		return nil, nil
	}
	key, err := sync.ReadTokenKey(c.TokenKeyFile)
	if err != nil {
		return nil, fmt.Errorf("partner %s: %w", pc.Name, err)
	}
	return &sync.UserTokens{Store: s, Partner: pc.Name, Key: key}, nil
}

// expiries return functions that tell when the partner's credentials expire, as far as that is known. The application
// of a user may have a secret that expires too.
func expiries(pc config.Partner, users *sync.UserTokens) (all []func(context.Context) (sync.Expiry, error)) {
	if users != nil {
		all = append(all, users.Expiry)
	}
	if pc.CertificateFile != "" {
		all = append(all, func(context.Context) (sync.Expiry, error) {
			certificate, err := partnercenter.ReadCertificate(pc.CertificateFile) // it may have been renewed
			if err != nil {
				return sync.Expiry{}, err
			}
			return sync.CredentialExpiry("client certificate", certificate.NotAfter), nil
		})
	}
	if pc.ClientSecret != "" && !pc.SecretExpires.IsZero() {
		all = append(all, func(context.Context) (sync.Expiry, error) {
			return sync.CredentialExpiry("client secret", pc.SecretExpires), nil
		})
	}
	return all
}
