package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"partnersync/cmd/partnersync/config"
	"partnersync/store"
	"partnersync/store/plural"
	"partnersync/sync"
	"partnersync/sync/partnercenter"
)

// partner checks one partner; s is nil if the database cannot be used.
func (k *checkup) partner(ctx context.Context, c *config.Config, pc config.Partner, s *store.Store) {
	files := k.files(c, pc)
	k.add(files)
	k.noSecrets = k.noSecrets || !files.OK
	failed := func(name string, err error) { k.add(failedStep(name, pc.Name, err)) }
	users, err := userTokens(c, pc, s)
	if err != nil {
		k.noSecrets = true
		failed("token", err)
		return
	}
	if pc.AppUser && s == nil {
		failed("token", errors.New("the user's refresh token is in the database, which cannot be used yet"))
		return
	}
	p, err := k.newPartner(pc, users, nil, k.log)
	if err != nil {
		failed("token", err)
		return
	}
	k.expiries(ctx, p) // before the token, which may be refused for just that
	token, err := p.Tokens.Token(ctx)
	if err != nil {
		failed("token", err)
		return
	}
	k.add(tokenStep(pc, token))
	k.api(ctx, p)
}

// mostRefused is how many customers are tried until one may be read: there are partners with some that have ended the
// relationship.
const mostRefused = 3

// api adds the step in which the partner's customers are listed, and one's device batches read.
func (k *checkup) api(ctx context.Context, p sync.Partner) {
	customers, others, err := p.FindCustomers(ctx)
	s := step{Name: "api", Partner: p.Name, OK: true, Detail: plural.Of(len(customers), "customer", "customers")}
	switch {
	case err != nil:
		k.add(failedStep("api", p.Name, err))
		return
	case len(customers) == 0:
		k.add(failedStep("api", p.Name, errors.New(store.NoCustomers)))
		return
	case others > 0:
		s.Detail += fmt.Sprintf(", besides %d of another relationship than reseller", others)
	}
	for _, c := range customers[:min(mostRefused, len(customers))] {
		read := 0
		if read, err = p.CountBatches(ctx, c.ID); err == nil {
			s.Detail += fmt.Sprintf("; read %s of %s", plural.Of(read, "batch", "batches"), idAndName(c.ID, c.CompanyName))
			break
		}
		s.Warnings = append(s.Warnings, err.Error())
	}
	if rounds := p.Rounds(len(customers), time.Now()); rounds != "" {
		s.Detail += "; " + rounds
	}
	if err != nil {
		s = failedStep("api", p.Name, err)
	}
	k.add(s)
}

// failedStep is a step that failed, with what support asks for.
func failedStep(name, partner string, err error) step {
	s := step{Name: name, Partner: partner, Detail: err.Error()}
	if e, ok := errors.AsType[*partnercenter.Error](err); ok {
		s.Code, s.Request = e.ErrorCode(), e.RequestID
	}
	return s
}

// tokenStep is the step of a token that was got, with what the token says about itself.
func tokenStep(pc config.Partner, token partnercenter.Secret) step {
	s := step{Name: "token", Partner: pc.Name, OK: true, Detail: "got one by " + signInMethod(pc)}
	claims, ok := partnercenter.ReadClaims(token)
	if !ok {
		s.Detail += ", which does not say what it is for"
		return s
	}
	s.Claims = &claims
	parts := []struct{ what, value string }{
		{"for", claims.Audience}, {"tenant", claims.Tenant}, {"user", claims.User},
		{"roles", strings.Join(claims.Roles, " ")}, {"scopes", strings.Join(claims.Scopes, " ")},
	}
	for _, part := range parts {
		if part.value != "" {
			s.Detail += fmt.Sprintf(", %s %s", part.what, part.value)
		}
	}
	if !claims.Expires.IsZero() {
		s.Detail += ", until " + claims.Expires.Format(time.RFC3339)
	}
	if pc.AppUser && claims.User != "" && !claims.MFA {
		s.Warnings = append(s.Warnings, "the user has signed in without multi-factor authentication, "+
			"which the API asks of users: partnersync login")
	}
	return s
}

// expiries adds a step for each credential of the partner whose expiry is known.
func (k *checkup) expiries(ctx context.Context, p sync.Partner) {
	for _, read := range p.Expiries {
		e, err := read(ctx)
		switch {
		case err != nil:
			k.add(failedStep("expiry", p.Name, err))
		case e.Due(time.Now()):
			k.add(step{Name: "expiry", Partner: p.Name, OK: true, Detail: e.String(), Warnings: []string{e.Fix}})
		case !e.At.IsZero():
			k.add(step{Name: "expiry", Partner: p.Name, OK: true, Detail: e.String()})
		}
	}
}

// files checks that the files by which the partner signs in are there, and who may read them.
func (k *checkup) files(c *config.Config, pc config.Partner) step {
	s := step{Name: "files", Partner: pc.Name, OK: true}
	paths := []string{pc.ClientSecretFile, pc.CertificateFile, pc.FederatedTokenFile}
	if pc.AppUser {
		paths = append(paths, c.TokenKeyFile)
	}
	var read []string
	for _, path := range paths {
		if path == "" {
			continue
		}
		read = append(read, path)
		if _, err := os.Stat(path); err != nil {
			s.OK = false
			s.Warnings = append(s.Warnings, err.Error())
		} else if wrong := config.Exposure(path); wrong != "" {
			s.Warnings = append(s.Warnings, path+" "+wrong)
		}
	}
	if s.Detail = strings.Join(read, ", "); len(read) == 0 {
		s.Detail = "none to read"
	}
	return s
}

// signInMethod says how the partner signs in.
func signInMethod(pc config.Partner) string {
	switch {
	case pc.AppUser:
		return "the user's refresh token"
	case pc.CertificateFile != "":
		return "the certificate"
	case pc.FederatedTokenFile != "":
		return "the federated token"
	}
	return "the client secret"
}
