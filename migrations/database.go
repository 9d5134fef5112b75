package migrations

import (
	"context"
	"database/sql"
	"fmt"
	"maps"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// settings are those that migrations need, whatever the role or the database has as defaults. Goose begins its
// transactions itself, so that they cannot be stated there.
var settings = map[string]string{
	"default_transaction_read_only": "off", "default_transaction_isolation": "read committed",
	"statement_timeout": "0", "lock_timeout": "0", "search_path": "pg_catalog, pg_temp",
}

// withDatabase runs do with connections of its own: goose uses several at a time, and the pool may have a single one.
func withDatabase(ctx context.Context, pool *pgxpool.Pool, do func(*sql.DB) error) error {
	config := pool.Config().ConnConfig
	plain := maps.Clone(config.RuntimeParams)
	maps.Copy(config.RuntimeParams, settings)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		// PgBouncer refuses to set them at the start of a connection. Without them, the defaults hold.
		config.RuntimeParams = plain
		if conn, err = pgx.ConnectConfig(ctx, config); err != nil {
			return fmt.Errorf("connecting to the database for migrations: %w", err)
		}
	}
	if err := conn.Close(ctx); err != nil {
		return fmt.Errorf("closing a connection to the database: %w", err)
	}
	db := stdlib.OpenDB(*config)
	defer db.Close()
	return do(db)
}
