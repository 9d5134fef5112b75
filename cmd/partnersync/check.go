package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"partnersync/cmd/partnersync/config"
	"partnersync/migrations"
	"partnersync/store"
	"partnersync/store/plural"
	"partnersync/store/report"
	"partnersync/store/sanitize"
	"partnersync/sync/partnercenter"
)

func newCheckCommand(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say whether everything that a pass needs is there",
		Long: `Check walks the way of a pass: the configuration, the database and its schema, and for each partner
its secrets' files, its sign-in, its list of customers and the device batches of one. It says ok or
what is wrong at each step, and writes nothing, but for the next refresh token of a signed-in user.`,
		Example: "  partnersync check\n  partnersync check --json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.check(cmd.Context(), asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the steps as JSON")
	return cmd
}

// step is one step of a check, and how it went.
type step struct {
	Name     string                `json:"step"` // configuration, database, schema, cluster, files, token, expiry or api
	Partner  string                `json:"partner,omitempty"`
	OK       bool                  `json:"ok"`
	Detail   string                `json:"detail"` // what was found, or what is wrong
	Warnings []string              `json:"warnings,omitempty"`
	Code     string                `json:"code,omitempty"`       // of an error of the API or the authority
	Request  string                `json:"request_id,omitempty"` // likewise
	Claims   *partnercenter.Claims `json:"claims,omitempty"`     // of the token
}

// checkup is a check in progress, and what --json prints of it.
type checkup struct {
	*app
	log       *slog.Logger
	asJSON    bool
	noSecrets bool   // a file that a partner signs in with is missing or cannot be used
	Steps     []step `json:"steps"`
	OK        bool   `json:"ok"`
	Exit      int    `json:"exit_code"`
}

func (a *app) check(ctx context.Context, asJSON bool) error {
	log, err := a.logger(a.stderr)
	if err != nil {
		return err
	}
	k := &checkup{app: a, log: log, asJSON: asJSON, OK: true, Steps: []step{}}
	c, err := config.Load(a.options(nil))
	if err != nil {
		k.add(step{Name: "configuration", Detail: err.Error()})
		return k.finish(exitUsage)
	}
	found := fmt.Sprintf("%s, %s; %s", c.Path, plural.Of(len(c.Partners), "partner", "partners"), c.Database)
	k.add(step{Name: "configuration", OK: true, Detail: found, Warnings: c.Warnings})
	var s *store.Store
	if db, err := openDatabase(ctx, c, log); err != nil {
		k.add(step{Name: "database", Detail: explain(err)})
	} else {
		defer db.close()
		s = k.database(ctx, db)
	}
	for _, pc := range c.Partners {
		k.partner(ctx, c, pc, s)
	}
	if ctx.Err() != nil {
		return fails(exitFailed, errInterrupted)
	}
	if k.noSecrets {
		return k.finish(exitUsage)
	}
	return k.finish(exitFailed)
}

// add adds a step and, for people, prints it at once.
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

// finish prints the JSON, if that is wanted, and returns the code as an error if a step failed.
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
func (k *checkup) database(ctx context.Context, db *database) *store.Store {
	server, err := report.ReadServer(ctx, db.Pool)
	if err != nil {
		k.add(step{Name: "database", Detail: err.Error()})
		return nil
	}
	found := step{Name: "database", OK: true, Detail: "PostgreSQL " + sanitize.Line(server.Version)}
	if db.config.Database.Warning != "" {
		found.Warnings = append(found.Warnings, db.config.Database.Warning)
	}
	for _, schema := range server.OpenSchemas {
		found.Warnings = append(found.Warnings, fmt.Sprintf("everyone may create functions in schema %s, "+
			"which others may then call without knowing: REVOKE CREATE ON SCHEMA %s FROM PUBLIC", schema,
			pgx.Identifier{schema}.Sanitize()))
	}
	k.add(found)
	err = migrations.Require(ctx, db.Pool)
	switch {
	case err == nil:
		k.add(step{Name: "schema", OK: true, Detail: fmt.Sprintf("version %d", migrations.Newest())})
		k.cluster(ctx, db)
		return db.newStore()
	case errors.Is(err, migrations.ErrBehind) && db.config.MigrateOnStart:
		k.add(willMigrate(ctx, db, err))
	default:
		k.add(step{Name: "schema", Detail: err.Error()})
	}
	return nil
}

// cluster checks the nodes of the cluster over which the database is spread, if it is.
func (k *checkup) cluster(ctx context.Context, db *database) {
	c, err := report.ReadCluster(ctx, db.Pool)
	switch {
	case err != nil:
		k.add(step{Name: "cluster", Detail: err.Error()})
	case c.Version != "":
		detail := fmt.Sprintf("Citus %s, %s", c.Version, plural.Of(c.Workers, "worker", "workers"))
		k.add(step{Name: "cluster", OK: len(c.Problems) == 0, Detail: strings.Join(append([]string{detail}, c.Problems...), "\n")})
	}
}

// willMigrate says whether the next start can migrate the schema, which is behind.
func willMigrate(ctx context.Context, db *database, behind error) step {
	allowed, err := migrations.Allowed(ctx, db.Pool)
	switch {
	case err != nil:
		return step{Name: "schema", Detail: err.Error()}
	case !allowed:
		detail := fmt.Sprintf("the database's user may not migrate it, and %v as a user who may", behind)
		return step{Name: "schema", Detail: detail}
	}
	return step{
		Name: "schema", OK: true, Detail: fmt.Sprintf("the next start migrates it to version %d", migrations.Newest()),
	}
}
