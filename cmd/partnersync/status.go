package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"partnersync/migrations"
	"partnersync/store"
	"partnersync/store/report"
	"partnersync/store/sanitize"
	"partnersync/sync/partnercenter"
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
		Short: "Show what is wrong, which customers fail and why, how fresh the others are, and the last runs",
		Long: `Status reads the database, and nothing else: what is wrong with the sync, as the status page shows it; the
customers that fail, those that fail longest first, with the reason and the ids to quote to Microsoft's support; the
others, the least fresh first; and the newest runs. --database-url or DATABASE_URL is enough, without a
configuration file. With the rights of partnersync_analyst it does not see whether passes are overdue. The exit code
is 0 whatever is wrong, and 1 if that cannot be read. Times without a zone are local ones.`,
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
				return a.status(ctx, db, f)
			})
		},
	}
	cmd.Flags().BoolVar(&f.json, "json", false, "print the status as JSON (deploy/json.md)")
	cmd.Flags().BoolVar(&f.watch, "watch", false,
		"show it anew every two seconds until ^C, as much as the terminal has room for")
	cmd.Flags().IntVar(&f.limit, "limit", 10, "show at most so many failing customers, others, and runs; 0: all")
	return cmd
}

// statusReport is how the sync goes, as --json prints it.
type statusReport struct {
	At       time.Time                 `json:"at"`
	Findings []report.Finding          `json:"findings"`
	Partners []report.PartnerFreshness `json:"partners"`
	Failing  []report.Customer         `json:"failing_customers"`
	Others   []report.Customer         `json:"other_customers"`
	Runs     []store.Run               `json:"runs"`

	onlyAnalyst bool // the role sees no more than analysts do
}

func (a *app) status(ctx context.Context, db *database, f statusFlags) error {
	if err := legible(ctx, db.Pool, db.log); err != nil {
		return err
	}
	reader, err := report.NewReader(ctx, db.Pool)
	if err != nil {
		return err
	}
	defer reader.Close()
	read := func(ctx context.Context) (statusReport, error) { return readStatus(ctx, reader, f.limit) }
	if f.watch {
		show := func(out io.Writer, s statusReport) { printBriefStatus(out, s, a.palette(a.stdout)) }
		return watchStatus(ctx, a.stdout, func() int { return terminalHeight(a.stdout) }, read, show)
	}
	s, err := read(ctx)
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(a.stdout, s)
	}
	printStatus(a.stdout, s, a.palette(a.stdout))
	return nil
}

// legible returns an error if the database has no schema to read. The schema of another release is read as far as
// possible, with a warning, since releases only add to it. Analysts may not see its version.
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

func readStatus(ctx context.Context, reader *report.Reader, limit int) (s statusReport, err error) {
	state, err := reader.State(ctx)
	if err != nil {
		return s, err
	}
	s = statusReport{
		At: state.Now.UTC().Truncate(time.Second), Partners: state.Freshness, onlyAnalyst: state.OnlyAnalyst,
		Findings: append([]report.Finding{}, report.Findings(state, report.Process{Hint: partnercenter.HintFor})...),
	}
	failing := report.CustomerSearch{Show: report.Failing, Order: report.ByFailure, Limit: limit}
	if s.Failing, err = reader.Customers(ctx, failing); err != nil {
		return s, err
	}
	if s.Others, err = reader.Customers(ctx, report.CustomerSearch{Show: report.NotFailing, Limit: limit}); err != nil {
		return s, err
	}
	s.Runs, err = reader.NewestRuns(ctx, limit)
	return s, err
}

// What the terminal is told: to go to the beginning of the screen, to clear what comes after it or after the end of a
// line, and to cut lines off at its margin instead of wrapping them.
const (
	home       = "\x1b[H"
	clearBelow = "\x1b[J"
	clearLine  = "\x1b[K"
	cutLines   = "\x1b[?7l"
	wrapLines  = "\x1b[?7h"
)

// watchStatus shows the status anew until ctx is done, as much of it as the terminal is high. If the database goes away
// meanwhile, it says so and waits for it.
func watchStatus(
	ctx context.Context, out io.Writer, height func() int,
	read func(context.Context) (statusReport, error), show func(io.Writer, statusReport),
) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	fmt.Fprint(out, cutLines, home, clearBelow)
	defer fmt.Fprint(out, wrapLines)
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
		// Over what is there, so that nothing flickers; the last line is the cursor's.
		text := strings.ReplaceAll(firstLines(page.String(), height()-1), "\n", clearLine+"\n")
		fmt.Fprintf(out, "%s%s%s", home, text, clearBelow)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// firstLines returns as many lines of the text as there is room for; the last one says how many are left out.
func firstLines(text string, room int) string {
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	if left := len(lines) - room + 1; left > 1 && room > 0 {
		text = strings.Join(lines[:room-1], "") + fmt.Sprintf("… and %d more lines: partnersync status\n", left)
	}
	return text
}
