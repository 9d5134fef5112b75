package migrations

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// settings are those that migrations need, whatever the role or the database has as defaults. Goose begins its
// transactions itself, so that they cannot all be stated there.
var settings = map[string]string{
	"default_transaction_read_only": "off", "default_transaction_isolation": "read committed",
	"statement_timeout": "0", "lock_timeout": "0", "search_path": "pg_catalog, pg_temp",
}

// withDatabase runs do with connections of its own: goose uses several at a time, and the pool may have a single one.
func withDatabase(ctx context.Context, pool *pgxpool.Pool, do func(*sql.DB) error) error {
	config := pool.Config().ConnConfig
	config.Tracer = nil // which limits the time of statements: a migration may take longer
	plain := maps.Clone(config.RuntimeParams)
	maps.Copy(config.RuntimeParams, settings)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		// PgBouncer refuses to set them at the start of a connection. Without them, the defaults hold.
		config.RuntimeParams = plain
		if conn, err = pgx.ConnectConfig(ctx, config); err != nil {
			return fmt.Errorf("connecting to the database for migrations: %w", err)
		}
	} else if conn.PgConn().ParameterStatus("server_version") >= "17" {
		config.RuntimeParams["transaction_timeout"] = "0"
	}
	if err := conn.Close(ctx); err != nil {
		return fmt.Errorf("closing a connection to the database: %w", err)
	}
	db := sql.OpenDB(connector{stdlib.GetConnector(*config)})
	defer db.Close()
	return do(db)
}

// searchPath begins each transaction: a function of somebody else's in another schema never stands for one of
// PostgreSQL's own.
const searchPath = "SET LOCAL search_path = pg_catalog, pg_temp"

// oneByOne has a Citus cluster make changes to the shards of a table one after the other: it refuses some combinations
// of them in a transaction otherwise. PostgreSQL alone takes the setting for one of an application's own.
const oneByOne = "SET LOCAL citus.multi_shard_modify_mode = 'sequential'"

// connector makes connections whose transactions begin with searchPath and oneByOne, behind PgBouncer too.
type connector struct{ driver.Connector }

// Connect makes a connection.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return connection{conn.(*stdlib.Conn)}, nil
}

type connection struct{ *stdlib.Conn }

// BeginTx is what goose and database/sql begin each transaction with.
func (c connection) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Conn.BeginTx(ctx, o)
	if err != nil {
		return nil, err
	}
	if _, err := c.Conn.ExecContext(ctx, searchPath+"; "+oneByOne, nil); err != nil {
		return nil, errors.Join(err, tx.Rollback())
	}
	return tx, nil
}

// read reads the one row of a query into the variables, in a transaction of its own.
func read(ctx context.Context, pool *pgxpool.Pool, query string, into ...any) error {
	begin := pgx.TxOptions{BeginQuery: "BEGIN READ ONLY; " + searchPath}
	return pgx.BeginTxFunc(ctx, pool, begin, func(tx pgx.Tx) error { return tx.QueryRow(ctx, query).Scan(into...) })
}
