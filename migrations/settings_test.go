package migrations_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"partnersync/migrations"
	"partnersync/store"
	"partnersync/store/storetest"
)

// Whatever a database's administrator has set, migrations work as they do by default.
func TestUp_underSettingsOfTheDatabase(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{
		"default_transaction_isolation = 'serializable'",
		"default_transaction_read_only = on",
		"default_transaction_deferrable = on",
		"client_encoding = 'LATIN1'",
		"DateStyle = 'German, DMY'",
		"IntervalStyle = 'iso_8601'",
		"bytea_output = 'escape'",
		"standard_conforming_strings = off",
		"statement_timeout = '20ms'",
		"lock_timeout = '1ms'",
		"search_path = 'nowhere'",
		"row_security = off",
		"transaction_timeout = '20ms'",
	} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			db := storetest.Empty(t)
			database := db.Pool.Config().ConnConfig.Database
			sql := fmt.Sprintf("ALTER DATABASE %s SET %s", pgx.Identifier{database}.Sanitize(), setting)
			_, err := db.Pool.Exec(t.Context(), sql)
			if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "42704" {
				t.Skip("allowed: PostgreSQL 17 is the first with transaction_timeout")
			}
			if err != nil {
				t.Fatal(err)
			}
			pool, err := store.OpenPool(t.Context(), db.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close()
			if err := migrations.Up(t.Context(), pool); err != nil {
				t.Fatalf("migrating: %v", err)
			}
			if err := migrations.Down(t.Context(), pool, 0); err != nil {
				t.Fatalf("migrating down: %v", err)
			}
		})
	}
}
