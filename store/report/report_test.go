package report

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// Customers of the tests.
const (
	alpha = "47021739-3426-40bf-9601-61b4b6d7c793"
	beta  = "b44bb1fb-c595-45b0-9e09-d657365580bf"
	gamma = "c6a1f1d0-8c9e-4d5b-9a1e-3c2b1a0f9e8d"
)

// world is a database, and a reader of it.
type world struct {
	*Reader
	t    *testing.T
	pool *pgxpool.Pool
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return worldOver(t, storetest.New(t).Pool)
}

func worldOver(t *testing.T, pool *pgxpool.Pool) *world {
	t.Helper()
	r, err := NewReader(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return &world{r, t, pool}
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	_, err := w.pool.Exec(w.t.Context(), sql, args...)
	w.ok(err)
}

// column returns the first column of a query's rows.
func (w *world) column(sql string) []string {
	w.t.Helper()
	rows, _ := w.pool.Query(w.t.Context(), sql)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	w.ok(err)
	return all
}

// minute is so long after a time of the tests.
func minute(n int) time.Time { return time.Date(2026, 1, 1, 0, n, 0, 0, time.UTC) }

// threeCustomers are those of the partner contoso: alpha is synced, beta fails, and gamma was never tried.
func (w *world) threeCustomers() {
	w.t.Helper()
	w.exec(`INSERT INTO partnersync.partner_state (partner) VALUES ('contoso')`)
	w.exec(`INSERT INTO partner_center.customers (customer_id, partner, company_name, domain, first_seen_at) VALUES
		($1::uuid, 'contoso', 'Zeta 100%', 'zeta.example.com', now()),
		($2::uuid, 'contoso', 'alpine', NULL, now()), ($3::uuid, 'contoso', NULL, NULL, now())`,
		alpha, beta, gamma)
	w.exec(`INSERT INTO partnersync.customer_state (customer_id, partner, last_attempt_at, last_success_at)
		VALUES ($1::uuid, 'contoso', now(), now())`, alpha)
	w.exec(`INSERT INTO partnersync.customer_state (customer_id, partner, last_attempt_at, consecutive_failures,
		failing_since, last_error_code,
		last_error, last_request_id, last_correlation_id) VALUES ($1::uuid, 'contoso', now(), 2, $2, '20002',
		'no relationship', 'request', 'correlation')`,
		beta, minute(1))
}

// readings are all that a Reader reads.
var readings = map[string]func(context.Context, *Reader) error{
	"state": func(ctx context.Context, r *Reader) error { _, err := r.State(ctx); return err },
	"slots": func(ctx context.Context, r *Reader) error {
		_, err := r.PassSlots(ctx, minute(0), time.Hour)
		return err
	},
	"newest runs": func(ctx context.Context, r *Reader) error { _, err := r.NewestRuns(ctx, 3); return err },
	"customers":   func(ctx context.Context, r *Reader) error { _, err := r.Customers(ctx, CustomerSearch{}); return err },
	"changes":     func(ctx context.Context, r *Reader) error { _, err := r.Changes(ctx, minute(0)); return err },
	"most statuses": func(ctx context.Context, r *Reader) error {
		_, _, _, err := r.BatchWithMostStatuses(ctx)
		return err
	},
	"batches": func(ctx context.Context, r *Reader) error { _, err := r.Batches(ctx, 30, 3); return err },
	"histories": func(ctx context.Context, r *Reader) error {
		_, err := r.BatchHistories(ctx, BatchSearch{CustomerID: alpha, Limit: 3, Versions: 3})
		return err
	},
	"customer": func(ctx context.Context, r *Reader) error {
		if _, err := r.Customer(ctx, alpha); !errors.Is(err, ErrNoCustomer) {
			return fmt.Errorf("of an empty database: %w, want ErrNoCustomer", err)
		}
		return nil
	},
}

// inRole returns the database with the rights of deploy/roles.sql, as a member of the role sees it.
func inRole(t *testing.T, role string) *world {
	t.Helper()
	db := storetest.New(t)
	var may bool
	if err := db.Pool.QueryRow(t.Context(),
		"SELECT rolsuper FROM pg_roles WHERE rolname = current_user").Scan(&may); err != nil || !may {
		t.Skipf("allowed: the server's role may not create roles (%v)", err)
	}
	roles, err := os.ReadFile("../../deploy/roles.sql")
	if err == nil {
		_, err = db.Pool.Exec(t.Context(), string(roles))
	}
	if err != nil {
		t.Fatal(err)
	}
	config := db.Pool.Config()
	config.ConnConfig.RuntimeParams["role"] = role
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return worldOver(t, pool)
}

func (w *world) reads(what ...string) {
	w.t.Helper()
	for _, name := range what {
		if err := readings[name](w.t.Context(), w.Reader); err != nil {
			w.t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReader_emptyDatabaseCanBeRead(t *testing.T) {
	t.Parallel()
	newWorld(t).reads(slices.Collect(maps.Keys(readings))...)
}

// As a pooler in transaction mode needs it.
func TestReader_withoutPreparedStatements(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	config := db.Pool.Config()
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	w := worldOver(t, pool)
	w.reads(slices.Collect(maps.Keys(readings))...)
	w.threeCustomers()
	w.configured("contoso", "@hourly")
	if s := w.state(); len(s.Settings) != 1 || len(s.Settings[0].Endpoints) != 1 || len(s.Freshness) != 1 {
		t.Errorf("%+v", s)
	}
}

func TestReader_needsNoMoreRightsThanTheWriter(t *testing.T) {
	t.Parallel()
	inRole(t, "partnersync_writer").reads(slices.Collect(maps.Keys(readings))...)
}

func TestReader_analystReadsWhatStatusShows(t *testing.T) {
	t.Parallel()
	w := inRole(t, "partnersync_analyst")
	w.reads("state", "customers", "customer", "newest runs", "batches", "histories")
	if s, err := w.State(t.Context()); err != nil || !s.OnlyAnalyst {
		t.Errorf("%+v, %v, want it to say what it lacks", s, err)
	}
}

func TestReader_cannotWrite(t *testing.T) {
	t.Parallel()
	err := newWorld(t).read(t.Context(), timeout, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM partnersync.workers")
		return err
	})
	if err == nil {
		t.Error("a write went through")
	}
}

func TestReader_closingEndsAReading(t *testing.T) {
	t.Parallel()
	r, err := NewReader(t.Context(), storetest.New(t).Pool)
	if err != nil {
		t.Fatal(err)
	}
	asked, answered := make(chan struct{}), make(chan error)
	go func() {
		answered <- r.read(context.Background(), time.Hour, func(ctx context.Context, tx pgx.Tx) error {
			close(asked)
			_, err := tx.Exec(ctx, "SELECT pg_sleep(600)")
			return err
		})
	}()
	<-asked
	r.Close()
	if err := <-answered; err == nil {
		t.Error("it went on")
	}
}

func TestReader_doesNotWaitForTheSyncsConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range w.pool.Config().MaxConns {
		conn, err := w.pool.Acquire(t.Context())
		w.ok(err)
		defer conn.Release()
	}
	w.ok(w.Ping(t.Context()))
}

func TestReadServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, open := range []bool{true, false} {
		sql := "REVOKE CREATE ON SCHEMA public FROM PUBLIC"
		if open {
			sql = "GRANT CREATE ON SCHEMA public TO PUBLIC"
		}
		_, err := w.pool.Exec(t.Context(), sql)
		w.ok(err)
		server, err := ReadServer(t.Context(), w.pool)
		if err != nil || server.Version < "14" || slices.Equal(server.OpenSchemas, []string{"public"}) != open {
			t.Errorf("%+v, %v after %s", server, err, sql)
		}
	}
}

// Who has waited in vain for others is told so: the database may be well.
func TestReader_busy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range w.Pool().Config().MaxConns {
		conn, err := w.Pool().Acquire(t.Context())
		w.ok(err)
		defer conn.Release()
	}
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	if err := w.Ping(late); !errors.Is(err, ErrBusy) {
		t.Errorf("asking: %v, want ErrBusy", err)
	}
	if _, err := w.State(late); !errors.Is(err, ErrBusy) {
		t.Errorf("reading: %v, want ErrBusy", err)
	}
	w.ok(w.Probe().Ping(t.Context()))
	if err := w.Probe().Ping(late); err == nil || errors.Is(err, ErrBusy) {
		t.Errorf("with free connections: %v", err)
	}
}
