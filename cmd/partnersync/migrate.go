package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"partnersync/migrations"
)

func newMigrateCommand(a *app) *cobra.Command {
	migrate := &cobra.Command{
		Use:   "migrate",
		Short: "Migrate the database's schema",
		Long: `Migrate brings the database to the schema that this release needs, takes it back, or says where it
stands. The daemon and the passes migrate by themselves at their start, unless migrate_on_start is
false. --database-url or DATABASE_URL is enough, without a configuration file.`,
		Example: "  partnersync migrate status\n  partnersync migrate up",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return fmt.Errorf("say which way: %s up, down or status", cmd.CommandPath())
		},
	}
	var to int64
	var yes bool
	down := &cobra.Command{
		Use:     "down",
		Short:   "Take the newest migration back",
		Args:    cobra.NoArgs,
		Example: "  partnersync migrate down\n  partnersync migrate down --to 0 --yes",
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch given := cmd.Flags().Changed("to"); {
			case given && to < 0:
				return fails(exitUsage, fmt.Errorf("--to %d: write a version from 0 on", to))
			case !given:
				to = oneStep
			}
			return a.changeDatabase(cmd.Context(), yes, func(ctx context.Context, db *database) error {
				return a.migrateDown(ctx, db, to, yes)
			})
		},
	}
	down.Flags().Int64Var(&to, "to", 0, "go back to this version; 0 is an empty schema (default: one step)")
	down.Flags().BoolVar(&yes, "yes", false, "do not ask before tables with rows are dropped")
	migrate.AddCommand(
		&cobra.Command{
			Use:   "up",
			Short: "Apply the migrations that the database lacks",
			Example: "  partnersync migrate up\n" +
				"  partnersync migrate up --database-url postgres://owner@host/partnersync?sslmode=verify-full",
			Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return a.changeDatabase(cmd.Context(), false, a.migrateUp)
			},
		},
		down,
		&cobra.Command{
			Use:     "status",
			Short:   "Say which migrations the database has",
			Example: "  partnersync migrate status",
			Args:    cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return a.changeDatabase(cmd.Context(), false, a.migrateStatus)
			},
		},
	)
	return migrate
}

func (a *app) migrateUp(ctx context.Context, db *database) error {
	before, err := migrations.Read(ctx, db.Pool)
	if err != nil {
		return err
	}
	if err := migrations.Up(ctx, db.Pool); err != nil {
		return err
	}
	if before.Behind() {
		fmt.Fprintf(a.stdout, "migrated from version %d to %d\n", before.Version, before.Newest)
	} else {
		fmt.Fprintf(a.stdout, "nothing to do: the schema has version %d\n", before.Version)
	}
	return nil
}

// oneStep, in place of a version, means the one before the present one.
const oneStep = -1

// migrateDown goes back to a version, or oneStep.
func (a *app) migrateDown(ctx context.Context, db *database, to int64, yes bool) error {
	state, err := migrations.Read(ctx, db.Pool)
	switch {
	case err != nil:
		return err
	case state.Ahead():
		return state.Check()
	case to == oneStep:
		to = migrations.Previous(state.Version)
	}
	if to >= state.Version {
		fmt.Fprintf(a.stdout, "nothing to do: the schema has version %d\n", state.Version)
		return nil
	}
	lost, err := migrations.TablesLost(ctx, db.Pool, state.Version, to)
	if err != nil {
		return err
	}
	question := fmt.Sprintf("This drops tables with rows in %s: %s", db.config.Database, strings.Join(lost, ", "))
	if len(lost) > 0 && !yes && !a.confirmed(ctx, question) {
		return errors.New("not migrated: answer yes, or give --yes")
	}
	if err := migrations.Down(ctx, db.Pool, to); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "migrated from version %d to %d\n", state.Version, to)
	return nil
}

func (a *app) migrateStatus(ctx context.Context, db *database) error {
	steps, err := migrations.Status(ctx, db.Pool)
	if err != nil {
		return err
	}
	for _, step := range steps {
		mark := "missing"
		if step.Applied {
			mark = "applied"
		}
		fmt.Fprintf(a.stdout, "%s  %s\n", mark, step.Name)
	}
	if err := migrations.Require(ctx, db.Pool); !errors.Is(err, migrations.ErrBehind) {
		return err
	}
	return nil
}
