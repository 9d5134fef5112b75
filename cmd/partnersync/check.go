package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"partnersync/migrations"
	"partnersync/store"
	"partnersync/store/report"
	"partnersync/store/sanitize"
	"partnersync/sync"
	"partnersync/sync/partnercenter"
)

func newCheckCommand(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say whether everything that a pass needs is there",
		Long: `Check walks the way of a pass: the configuration, the database and its schema, and for each partner its secrets' files,
its sign-in and one request to the API. It says ok or what is wrong at each step, and writes nothing, but for the next
refresh token of a signed-in user.`,
		Example: "  partnersync check\n  partnersync check --json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.check(cmd.Context(), asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the steps as JSON")
	return cmd
}

// step is one step of a check, and how it went.
type step struct {
	Name     string                `json:"step"` // configuration, database, schema, files, token, expiry or api
	Partner  string                `json:"partner,omitempty"`
	OK       bool                  `json:"ok"`
	Detail   string                `json:"detail"` // what was found, or what is wrong
	Warnings []string              `json:"warnings,omitempty"`
	Code     string                `json:"code,omitempty"`       // of an error of the API or the authority
	Request  string                `json:"request_id,omitempty"` // likewise
	Claims   *partnercenter.Claims `json:"claims,omitempty"`     // of the token
}

// checkup is a check under way.
type checkup struct {
	*app
	asJSON    bool
	noSecrets bool   // a file that a partner signs in with is not there, or cannot be used
	Steps     []step `json:"steps"`
	OK        bool   `json:"ok"`
	Exit      int    `json:"exit_code"`
}

func (a *app) check(ctx context.Context, asJSON bool) error {
	log, err := a.logger(a.stderr)
	if err != nil {
		return fails(exitUsage, err)
	}
	k := &checkup{app: a, asJSON: asJSON, OK: true, Steps: []step{}}
	path, chosenBy := findConfig(a.configPath, a.lookupEnv)
	c, err := loadConfig(path, chosenBy, a.lookupEnv)
	if err != nil {
		k.add(step{Name: "configuration", Detail: err.Error()})
		return k.finish(exitUsage)
	}
	k.add(step{Name: "configuration", OK: true, Detail: fmt.Sprintf("%s, %d partners", path, len(c.Partners)),
		Warnings: c.Warnings})
	var s *store.Store
	db, err := openDatabase(ctx, c, log)
	if err != nil {
		k.add(step{Name: "database", Detail: explain(err)})
	} else {
		s = k.database(ctx, c, db)
	}
	for _, pc := range c.Partners {
		k.partner(ctx, c, pc, s)
	}
	if db != nil {
		if closed := db.close(); closed != nil {
			log.Warn("closing the database failed", "err", closed)
		}
	}
	if ctx.Err() != nil {
		return fails(exitFailed, errInterrupted)
	}
	if k.noSecrets {
		return k.finish(exitUsage)
	}
	return k.finish(exitFailed)
}

// add notes a step and, for people, shows it at once.
func (k *checkup) add(s step) {
	k.Steps = append(k.Steps, s)
	k.OK = k.OK && s.OK
	if k.asJSON {
		return
	}
	colours := k.palette(k.stdout)
	mark, of := colours.green("ok    "), ""
	if !s.OK {
		mark = colours.red("FAILED")
	}
	if s.Partner != "" {
		of = " of partner " + s.Partner
	}
	detail := strings.ReplaceAll(sanitize.ForTerminal(s.Detail), "\n", "\n        ")
	fmt.Fprintf(k.stdout, "%s  %s%s: %s\n", mark, s.Name, of, detail)
	for _, w := range s.Warnings {
		fmt.Fprintf(k.stdout, "        %s %s\n", colours.yellow("warning:"), sanitize.Line(w))
	}
}

// finish prints what is still to be printed, and returns the code as an error if a step failed.
func (k *checkup) finish(code int) error {
	if !k.OK {
		k.Exit = code
	}
	if k.asJSON {
		if err := printJSON(k.stdout, k); err != nil {
			return fails(exitFailed, err)
		}
	}
	if k.OK {
		return nil
	}
	return &exitError{code: code}
}

// database checks the server and the schema. It returns the store, nil if the schema cannot be used.
func (k *checkup) database(ctx context.Context, c *config, db *database) *store.Store {
	server, err := report.ServerVersion(ctx, db.Pool)
	if err != nil {
		k.add(step{Name: "database", Detail: err.Error()})
		return nil
	}
	k.add(step{Name: "database", OK: true, Detail: "PostgreSQL " + sanitize.Line(server)})
	state, err := migrations.Read(ctx, db.Pool)
	versions := fmt.Sprintf("it has version %d, this release needs %d", state.Version, state.Newest)
	switch {
	case err != nil:
		k.add(step{Name: "schema", Detail: err.Error()})
	case state.Ahead():
		k.add(step{Name: "schema", Detail: aheadError(state).Error()})
	case state.Behind() && c.MigrateOnStart:
		k.add(willMigrate(ctx, db, versions))
	case state.Behind():
		k.add(step{Name: "schema", Detail: versions + ": " + errNotMigrated.Error()})
	default:
		k.add(step{Name: "schema", OK: true, Detail: fmt.Sprintf("version %d", state.Version)})
		return newStore(c, db)
	}
	return nil
}

// willMigrate says whether the next start can migrate the schema.
func willMigrate(ctx context.Context, db *database, versions string) step {
	allowed, err := migrations.Allowed(ctx, db.Pool)
	switch {
	case err != nil:
		return step{Name: "schema", Detail: err.Error()}
	case !allowed:
		return step{Name: "schema", Detail: versions + ", and the database's user may not migrate it: as one who may, " + errNotMigrated.Error()}
	}
	return step{Name: "schema", OK: true, Detail: versions + ", and the next start migrates it"}
}

// partner checks one partner; s is nil if the database cannot be used.
func (k *checkup) partner(ctx context.Context, c *config, pc partnerConfig, s *store.Store) {
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
	log, _ := k.logger(k.stderr) // it was there before
	p, err := newPartner(pc, users, nil, log)
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
	one, what := "", "the partner's customers"
	if len(pc.Customers) > 0 {
		one, what = pc.Customers[0], "the device batches of customer "+pc.Customers[0]
	}
	if err := p.Client.Probe(ctx, one); err != nil {
		failed("api", fmt.Errorf("listing %s: %w", what, err))
		return
	}
	k.add(step{Name: "api", Partner: pc.Name, OK: true, Detail: "listed " + what})
}

// failedStep is a step that failed, with what support asks for.
func failedStep(name, partner string, err error) step {
	s := step{Name: name, Partner: partner, Detail: err.Error()}
	if e, ok := errors.AsType[*partnercenter.Error](err); ok {
		s.Code, s.Request = e.ErrorCode(), e.RequestID
	}
	return s
}

// tokenStep shows what a token says of itself.
func tokenStep(pc partnerConfig, token partnercenter.Secret) step {
	s := step{Name: "token", Partner: pc.Name, OK: true, Detail: "got one by " + pc.way()}
	claims, ok := partnercenter.ReadClaims(token)
	if !ok {
		s.Detail += ", which does not tell what it is for"
		return s
	}
	s.Claims = &claims
	for _, claim := range []struct{ name, value string }{
		{"for", claims.Audience}, {"tenant", claims.Tenant}, {"user", claims.User},
		{"roles", strings.Join(claims.Roles, " ")}, {"scopes", strings.Join(claims.Scopes, " ")},
	} {
		if claim.value != "" {
			s.Detail += fmt.Sprintf(", %s %s", claim.name, claim.value)
		}
	}
	if !claims.Expires.IsZero() {
		s.Detail += ", until " + claims.Expires.Format(time.RFC3339)
	}
	if pc.AppUser && claims.User != "" && !claims.MFA {
		s.Warnings = append(s.Warnings, "the user has signed in without multi-factor authentication, which the API asks of users: partnersync login")
	}
	return s
}

// expiries says when what the partner signs in with ends, if that is known.
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

// files checks who may read what the partner signs in with.
func (k *checkup) files(c *config, pc partnerConfig) step {
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
		} else if wrong := exposure(path); wrong != "" {
			s.Warnings = append(s.Warnings, path+" "+wrong)
		}
	}
	if s.Detail = strings.Join(read, ", "); len(read) == 0 {
		s.Detail = "none to read"
	}
	return s
}

// way says how the partner signs in.
func (c partnerConfig) way() string {
	switch {
	case c.AppUser:
		return "the user's refresh token"
	case c.CertificateFile != "":
		return "the certificate"
	case c.FederatedTokenFile != "":
		return "the federated token"
	}
	return "the client secret"
}
