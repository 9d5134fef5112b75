package main

import (
	"context"
	"fmt"

	"partnersync/store"
	"partnersync/sync"
	"partnersync/sync/partnercenter"
)

// credentials returns what the partner signs in with; users keeps the token of its user, nil if it has none.
func (c partnerConfig) credentials(users *sync.UserTokens) partnercenter.Credentials {
	cloud, _ := partnercenter.CloudNamed(c.Cloud)
	cred := partnercenter.Credentials{
		AuthorityURL: cloud.AuthorityURL, TenantID: c.TenantID, ClientID: c.ClientID, Scope: cloud.Scope,
		ClientSecret: c.ClientSecret, ClientSecretFile: c.ClientSecretFile, CertificateFile: c.CertificateFile, FederatedTokenFile: c.FederatedTokenFile,
	}
	if c.AuthorityURL != "" {
		cred.AuthorityURL = c.AuthorityURL
	}
	if users != nil {
		cred.Rotate = users.Rotate
	}
	return cred
}

// expiries return what tells when the partner's credentials end, as far as that is known. A user's application may have a
// secret that ends too.
func (c partnerConfig) expiries(users *sync.UserTokens) (all []func(context.Context) (sync.Expiry, error)) {
	if users != nil {
		all = append(all, users.Expiry)
	}
	if c.CertificateFile != "" {
		all = append(all, func(context.Context) (sync.Expiry, error) {
			certificate, err := partnercenter.ReadCertificate(c.CertificateFile) // it may have been renewed
			if err != nil {
				return sync.Expiry{}, err
			}
			return sync.CredentialExpiry("client certificate", certificate.NotAfter), nil
		})
	}
	if c.ClientSecret != "" && !c.SecretExpires.IsZero() {
		all = append(all, func(context.Context) (sync.Expiry, error) {
			return sync.CredentialExpiry("client secret", c.SecretExpires), nil
		})
	}
	return all
}

// connect gives the database to the runner, and to what keeps tokens there.
func connect(r *sync.Runner, s *store.Store) {
	r.Store = s
	for _, p := range r.Partners {
		if p.Users != nil {
			p.Users.Store = s
		}
	}
}

// userTokens returns what keeps the token of the partner's user, once it has a Store; nil if it signs in as an application
// alone.
func userTokens(c *config, pc partnerConfig, s *store.Store) (*sync.UserTokens, error) {
	if !pc.AppUser {
		return nil, nil
	}
	key, err := sync.ReadTokenKey(c.TokenKeyFile)
	if err != nil {
		return nil, fmt.Errorf("partner %s: %w", pc.Name, err)
	}
	return &sync.UserTokens{Store: s, Partner: pc.Name, Key: key}, nil
}
