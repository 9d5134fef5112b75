// Package migrations brings a database to the schema that this release needs, and back.
//
// The files NNNNN_what.sql are goose migrations, one idea each, never edited once released. Up applies those that the
// database lacks; Require only checks that there are none.
//
// The version table and the lock table of goose are in the schema partnersync. The lock is a row and not the advisory
// lock of a session, so that it also works behind a pooler that assigns connections per transaction.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed *.sql
var files embed.FS

const (
	versionTable = "partnersync.goose_db_version"
	lockTable    = "partnersync.goose_lock"
)

// State compares a database with this release.
type State struct {
	Version int64 // newest migration applied to the database; 0: none
	Newest  int64 // newest migration of this release
}

// Behind reports whether migrations are missing in the database.
func (s State) Behind() bool { return s.Version < s.Newest }

// Ahead reports whether a newer release has migrated the database.
func (s State) Ahead() bool { return s.Version > s.Newest }

// Check returns nil if the database has the schema of this release, and otherwise an error that wraps ErrBehind or
// ErrAhead.
func (s State) Check() error {
	switch {
	case s.Ahead():
		return fmt.Errorf("the schema has version %d, this release knows %d: %w", s.Version, s.Newest, ErrAhead)
	case s.Behind():
		return fmt.Errorf("the schema has version %d, this release needs %d: %w", s.Version, s.Newest, ErrBehind)
	}
	return nil
}

var (
	// ErrBehind is the error for a database that lacks migrations.
	ErrBehind = errors.New("run partnersync migrate up")
	// ErrAhead is the error for a database that a newer release has migrated.
	ErrAhead = errors.New("the database was migrated by a newer release of partnersync: " +
		"use that release, or migrate down with it")
)

// Require returns an error, as State.Check does, unless the database has the schema of this release.
func Require(ctx context.Context, pool *pgxpool.Pool) error {
	state, err := Read(ctx, pool)
	if err != nil {
		return err
	}
	return state.Check()
}

// Read returns the state of the database without changing anything. A missing schema has version 0.
func Read(ctx context.Context, pool *pgxpool.Pool) (State, error) {
	state := State{Newest: Newest()}
	// Goose is not asked: its provider creates the version table, and considers a database ahead of it up to date.
	const query = `
		SELECT coalesce(max(version_id), 0) FROM partnersync.goose_db_version WHERE is_applied`
	err := read(ctx, pool, query, &state.Version)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && (pgErr.Code == "42P01" || pgErr.Code == "3F000") {
		return state, nil // undefined_table, invalid_schema_name
	}
	if err != nil {
		return state, fmt.Errorf("reading the schema's version: %w", err)
	}
	return state, nil
}

// Newest returns the version of the newest migration of this release.
func Newest() int64 {
	steps := release()
	return steps[len(steps)-1].Version
}

// Up applies the migrations that the database lacks. Replicas may call it at the same time: one migrates, the others
// wait. A database that is ahead is left alone, and the error wraps ErrAhead.
func Up(ctx context.Context, pool *pgxpool.Pool) error {
	state, err := Read(ctx, pool)
	if err != nil {
		return err
	}
	if !state.Behind() {
		return state.Check()
	}
	return withDatabase(ctx, pool, func(db *sql.DB) error {
		if err := createSchema(ctx, db); err != nil {
			return err
		}
		p, err := newProvider(db)
		if err != nil {
			return err
		}
		applied, err := p.Up(ctx)
		if err != nil {
			return fmt.Errorf("migrating from version %d to %d: %w", state.Version, state.Newest, err)
		}
		if len(applied) == 0 {
			return nil // another replica was faster
		}
		return grantRights(ctx, db)
	})
}

// grantRights gives the roles of deploy/roles.sql their rights to new tables. If that file was never run, there is
// nothing to do.
func grantRights(ctx context.Context, db *sql.DB) error {
	const grant = `
		DO $$ BEGIN
		    IF to_regproc('partnersync.grant_rights') IS NOT NULL THEN
		        CALL partnersync.grant_rights();
		    END IF;
		END $$`
	tx, err := db.BeginTx(ctx, nil)
	if err == nil {
		defer tx.Rollback()
		if _, err = tx.ExecContext(ctx, grant); err == nil {
			err = tx.Commit()
		}
	}
	if err != nil {
		return fmt.Errorf("granting rights to the roles of deploy/roles.sql, which is to be run again: %w", err)
	}
	return nil
}

// Down takes the database back to the given version, undoing the newest migration first.
func Down(ctx context.Context, pool *pgxpool.Pool, to int64) error {
	return withDatabase(ctx, pool, func(db *sql.DB) error {
		p, err := newProvider(db)
		if err != nil {
			return err
		}
		if _, err := p.DownTo(ctx, to); err != nil {
			return fmt.Errorf("migrating down to version %d: %w", to, err)
		}
		return nil
	})
}

// Step is one migration and whether the database has it.
type Step struct {
	Version int64
	Name    string // file name
	Applied bool
}

// Allowed reports whether the database's user may migrate, as far as can be told beforehand: whether they may create
// objects in the schemas.
func Allowed(ctx context.Context, pool *pgxpool.Pool) (allowed bool, err error) {
	const query = `
		SELECT CASE WHEN to_regnamespace('partnersync') IS NULL
		            THEN has_database_privilege(current_database(), 'CREATE')
		            ELSE has_schema_privilege(to_regnamespace('partnersync')::oid, 'CREATE')
		             AND coalesce(has_schema_privilege(to_regnamespace('partner_center')::oid, 'CREATE'), true) END`
	if err := read(ctx, pool, query, &allowed); err != nil {
		return false, fmt.Errorf("asking for the right to migrate: %w", err)
	}
	return allowed, nil
}

// Status lists the migrations of this release, the oldest first, without changing anything.
func Status(ctx context.Context, pool *pgxpool.Pool) ([]Step, error) {
	state, err := Read(ctx, pool)
	if err != nil {
		return nil, err
	}
	steps := release()
	for i := range steps {
		steps[i].Applied = steps[i].Version <= state.Version
	}
	return steps, nil
}

// Previous returns the version one step below the given one; 0 below the first.
func Previous(version int64) int64 {
	var previous int64
	for _, step := range release() {
		if step.Version < version {
			previous = step.Version
		}
	}
	return previous
}

var dropTable = regexp.MustCompile(`(?m)^DROP TABLE (\S+);`)

// TablesLost returns the tables with rows that going down from the version from to the version to would drop.
func TablesLost(ctx context.Context, pool *pgxpool.Pool, from, to int64) ([]string, error) {
	var lost []string
	for _, step := range release() {
		if step.Version <= to || step.Version > from {
			continue
		}
		_, down, _ := strings.Cut(step.text(), "-- +goose Down")
		for _, match := range dropTable.FindAllStringSubmatch(down, -1) {
			var hasRows bool
			table := pgx.Identifier(strings.Split(match[1], ".")).Sanitize()
			if err := read(ctx, pool, "SELECT EXISTS (SELECT 1 FROM "+table+")", &hasRows); err != nil {
				return nil, fmt.Errorf("looking for rows in %s: %w", match[1], err)
			}
			if hasRows {
				lost = append(lost, match[1])
			}
		}
	}
	return lost, nil
}

// release returns the migrations embedded in this release, the oldest first. It panics at a name without a number,
// which would be a bug.
func release() []Step {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		panic(err)
	}
	steps := make([]Step, len(names))
	for i, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			panic(err)
		}
		steps[i] = Step{Version: version, Name: name}
	}
	return steps
}

func (s Step) text() string {
	text, err := files.ReadFile(s.Name)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// createSchema creates the schema of goose's own tables, which must be there before the first migration runs.
func createSchema(ctx context.Context, db *sql.DB) error {
	var exists bool
	if err := db.QueryRowContext(ctx, `SELECT to_regnamespace('partnersync') IS NOT NULL`).Scan(&exists); err != nil {
		return fmt.Errorf("looking for schema partnersync: %w", err)
	}
	if exists {
		return nil // CREATE … IF NOT EXISTS would need the right to create even so
	}
	_, err := db.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS partnersync`)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == "23505" {
		return nil // unique_violation: another replica has just created it
	}
	if err != nil {
		return fmt.Errorf("creating schema partnersync: %w", err)
	}
	return nil
}

func newProvider(db *sql.DB) (*goose.Provider, error) {
	locker, err := lock.NewPostgresTableLocker(
		lock.WithTableName(lockTable),
		lock.WithTableLockTimeout(time.Second, 300), // attempts: replicas wait for five minutes at most
	)
	if err != nil {
		return nil, fmt.Errorf("preparing migrations: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithTableName(versionTable),
		goose.WithLocker(locker),
		goose.WithDisableGlobalRegistry(true),
	)
	if err != nil {
		return nil, fmt.Errorf("preparing migrations: %w", err)
	}
	return provider, nil
}
