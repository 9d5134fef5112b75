package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// maxConnections is how many connections a process makes at most, unless its URL has pool_max_conns, apart from the
// heartbeat's. Nobody holds one while the API is asked, so that a few do for any number of customers at a time; pgx's
// own default grows with the cores of the machine, which replicas times cores would soon make more than a server takes.
const maxConnections = 4

// connectTimeout is how long one of the servers that a URL names may take to answer, unless the URL or
// PGCONNECT_TIMEOUT says otherwise; pgx's own is two minutes, which the others would wait for.
const connectTimeout = 5 * time.Second

// ErrEncoding is returned by OpenPool for a database whose encoding is not UTF8: names would be stored garbled there,
// or not at all.
var ErrEncoding = errors.New("the database's encoding is not UTF8")

// OpenPool connects to the database that url names, with at most four connections unless it says otherwise
// (pool_max_conns). The connection is tried, so that a wrong address, password or database name shows here. Errors
// never hold the password.
func OpenPool(ctx context.Context, url string) (*pgxpool.Pool, error) {
	return OpenPoolFrom(ctx, func() (string, error) { return url, nil })
}

// errURL is not the parser's message: that shows the URL, and hides a password only where one usually is.
var errURL = errors.New("reading database_url: it does not read as a PostgreSQL URL, or names a file that cannot be read")

// OpenPoolFrom is OpenPool with a URL that is read anew for each connection, as is the file that its passfile names: a
// password that was replaced is taken up. Its other parts stay as they are at first.
func OpenPoolFrom(ctx context.Context, read func() (url string, err error)) (*pgxpool.Pool, error) {
	config, err := poolConfig(read)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	err = pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		ctx, cancel := context.WithTimeout(ctx, config.PingTimeout)
		defer cancel()
		return conn.Ping(ctx)
	})
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	return pool, nil
}

func poolConfig(read func() (url string, err error)) (*pgxpool.Config, error) {
	url, err := read()
	if err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errURL
	}
	if !strings.Contains(url, "pool_max_conns") {
		config.MaxConns = maxConnections
	}
	if !strings.Contains(url, "connect_timeout") && os.Getenv("PGCONNECT_TIMEOUT") == "" {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	config.PingTimeout = cmp.Or(config.ConnConfig.ConnectTimeout, connectTimeout)
	config.ConnConfig.Tracer = TimeLimit(statementTimeout + connectTimeout)
	// These are all that PgBouncer takes at the start of a connection. The other settings are stated in each
	// transaction.
	params := config.ConnConfig.RuntimeParams
	params["client_encoding"], params["DateStyle"], params["TimeZone"] = "UTF8", "ISO, MDY", "UTC"
	params["standard_conforming_strings"] = "on"
	if params["application_name"] == "" {
		params["application_name"] = "partnersync"
	}
	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		url, err := read()
		if err != nil {
			return err
		}
		fresh, err := pgx.ParseConfig(url)
		if err != nil {
			return errURL
		}
		c.Password = fresh.Password
		return nil
	}
	config.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		if encoding := conn.PgConn().ParameterStatus("server_encoding"); encoding != "" && encoding != "UTF8" {
			return fmt.Errorf("%w but %s", ErrEncoding, encoding)
		}
		return nil
	}
	// A connection that is given up in the middle of a statement would keep its place in the pool for 15 s, in which
	// pgx waits for the rest of the answer.
	config.BeforeClose = func(conn *pgx.Conn) {
		if conn.IsClosed() {
			_ = conn.PgConn().Conn().Close()
		}
	}
	return config, nil
}

// closeTimeout is how long a pool may take to close. A connection on which nothing comes any more would take 15 s.
const closeTimeout = time.Second / 2

// ClosePool closes a pool, and leaves connections that do not end in time to the end of the process.
func ClosePool(pool *pgxpool.Pool) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		pool.Close()
	}()
	select {
	case <-closed:
	case <-time.After(closeTimeout):
	}
}

// TimeLimit is a tracer that ends the wait for each statement, BEGIN and COMMIT among them, after so long. OpenPool
// sets one that is some seconds longer than the server's own limit: a connection can die without a word, and the
// network would take a quarter of an hour to notice.
type TimeLimit time.Duration

// endWait is the context key of the function that ends what a statement's limit began.
type endWait struct{}

func (l TimeLimit) begin(ctx context.Context) context.Context {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(l))
	return context.WithValue(ctx, endWait{}, cancel)
}

func end(ctx context.Context) {
	if cancel, ok := ctx.Value(endWait{}).(context.CancelFunc); ok {
		cancel()
	}
}

// TraceQueryStart gives a statement its limit.
func (l TimeLimit) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return l.begin(ctx)
}

// TraceQueryEnd is called when all of its answer was read.
func (TimeLimit) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) { end(ctx) }

// TraceBatchStart gives a batch of statements, of which at most one takes long, its limit.
func (l TimeLimit) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return l.begin(ctx)
}

// TraceBatchQuery has nothing to do.
func (TimeLimit) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd is called when all answers were read.
func (TimeLimit) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchEndData) { end(ctx) }
