package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"partnersync/cmd/partnersync/config"
	"partnersync/migrations"
	"partnersync/store"
	"partnersync/store/sanitize"
	"partnersync/sync/statuspage"
)

// statusFlags are the flags of status.
type statusFlags struct {
	json, watch bool
	limit       int
}

// watchEvery is how often a status that is watched is read again.
const watchEvery = 2 * time.Second

func newStatusCommand(a *app) *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show which customers fail and why, how fresh the others are, and the last runs",
		Long: `Status reads the database, and nothing else: the customers that fail, those that fail longest first, with the reason and
the ids to quote to Microsoft's support; the others, the least fresh first; and the newest runs. DATABASE_URL is enough, without
a configuration file, and so are the rights of partnersync_analyst. The exit code is 0 whatever the customers' state, and 1 if
it cannot be told. Times without a zone are local ones.`,
		Example: "  partnersync status\n  partnersync status --watch\n  partnersync status --json --limit 0",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case f.limit < 0:
				return fails(exitUsage, fmt.Errorf("--limit %d: write a number from 0 on", f.limit))
			case f.json && f.watch:
				return fails(exitUsage, errors.New("--json and --watch exclude each other"))
			case f.watch && !onTerminal(a.stdout):
				return fails(exitUsage, errors.New("--watch needs a terminal to show on; without one, ask again now and then"))
			case f.limit == 0:
				f.limit = math.MaxInt32
			}
			return a.withDatabase(cmd.Context(), func(ctx context.Context, db *database) error {
				return a.status(ctx, db.config, db, f, db.log)
			})
		},
	}
	cmd.Flags().BoolVar(&f.json, "json", false, "print the status as JSON (deploy/json.md)")
	cmd.Flags().BoolVar(&f.watch, "watch", false, "show it anew every two seconds, until ^C")
	cmd.Flags().IntVar(&f.limit, "limit", 10, "show at most so many failing customers, others, and runs; 0: all")
	return cmd
}

// statusReport is how the sync goes, as --json prints it.
type statusReport struct {
	At       time.Time                `json:"at"`
	Partners []store.PartnerFreshness `json:"partners"`
	Failing  []store.Freshness        `json:"failing_customers"`
	Others   []store.Freshness        `json:"other_customers"`
	Runs     []store.Run              `json:"runs"`

	configured []statuspage.Partner // nil: nobody knows
	stale      []string             // which customers have not been synced for long, in words
}

func (a *app) status(ctx context.Context, c *config.Config, db *database, f statusFlags, log *slog.Logger) error {
	if err := legible(ctx, db.Pool, log); err != nil {
		return err
	}
	reader, err := store.NewReader(ctx, db.Pool)
	if err != nil {
		return err
	}
	defer reader.Close()
	read := func(ctx context.Context) (statusReport, error) { return readStatus(ctx, reader, watched(c), f.limit) }
	show := func(out io.Writer, s statusReport) { printStatus(out, s, a.palette(a.stdout)) }
	if f.watch {
		return watchStatus(ctx, a.stdout, read, show)
	}
	s, err := read(ctx)
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(a.stdout, s)
	}
	show(a.stdout, s)
	return nil
}

// legible returns an error if the database has no schema to be read. One of another release is read as far as it goes,
// with a warning, since releases only add to it. Analysts may not see the version, and are believed to know.
func legible(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger) error {
	state, err := migrations.Read(ctx, pool)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "42501" { // insufficient_privilege
		return nil
	}
	switch {
	case err != nil:
		return err
	case state.Version == 0:
		return fmt.Errorf("the database has no schema yet, and so no status: start the daemon, or %w", migrations.ErrBehind)
	case state.Check() != nil:
		log.Warn("the schema is not this release's", "version", state.Version, "release_has", state.Newest)
	}
	return nil
}

func readStatus(ctx context.Context, reader *store.Reader, configured []statuspage.Partner, limit int) (s statusReport, err error) {
	s = statusReport{At: time.Now().UTC().Truncate(time.Second), configured: configured, Failing: []store.Freshness{}, Others: []store.Freshness{}}
	if s.Partners, err = reader.Freshness(ctx); err != nil {
		return s, err
	}
	if s.Failing, err = reader.LongestFailing(ctx, nil, limit); err != nil {
		return s, err
	}
	others, err := reader.Customers(ctx, store.CustomerSearch{OnlyFine: true, Limit: limit})
	if err != nil {
		return s, err
	}
	for _, c := range others {
		s.Others = append(s.Others, c.Freshness)
	}
	watched := configured
	if watched == nil { // their schedules are not known either
		for _, p := range s.Partners {
			watched = append(watched, statuspage.Partner{Name: p.Partner})
		}
	}
	if s.stale, err = statuspage.Stale(ctx, reader, watched, s.At); err != nil {
		return s, err
	}
	s.Runs, err = reader.NewestRuns(ctx, limit)
	return s, err
}

// The beginning of the screen, and from there to its end.
const (
	home       = "\x1b[H"
	clearBelow = "\x1b[J"
	clearLine  = "\x1b[K"
)

// watchStatus shows the status anew until ctx is done. A database that goes away meanwhile is told of, and waited for.
func watchStatus(ctx context.Context, out io.Writer, read func(context.Context) (statusReport, error), show func(io.Writer, statusReport)) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	fmt.Fprint(out, home, clearBelow)
	for {
		s, err := read(ctx)
		if ctx.Err() != nil {
			return nil
		}
		var page bytes.Buffer
		if err == nil {
			show(&page, s)
		} else {
			fmt.Fprintf(&page, "%s: no status: %s\n", time.Now().Format(time.TimeOnly), sanitize.Line(explain(err)))
		}
		// Over what is there, so that nothing flickers.
		text := bytes.ReplaceAll(page.Bytes(), []byte("\n"), []byte(clearLine+"\n"))
		fmt.Fprintf(out, "%s%s%s", home, text, clearBelow)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}
