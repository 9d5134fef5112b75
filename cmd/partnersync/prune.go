package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"partnersync/migrations"
	"partnersync/store"
	"partnersync/store/plural"
	"partnersync/sync"
)

// pruneFlags are the flags of prune.
type pruneFlags struct {
	before              string
	partners, customers []string
	dryRun, yes         bool
}

func newPruneCommand(a *app) *cobra.Command {
	var f pruneFlags
	prune := &cobra.Command{
		Use:   "prune --before DATE",
		Short: "Remove superseded versions of long ago for good",
		Long: `Prune removes, for good, the versions of customers, device batches, devices and configuration
policies that were superseded before DATE. Current rows stay, whatever their age, and so do versions
that were still valid at DATE. Nothing else ever removes history. It needs the rights of
partnersync_owner (deploy/roles.sql); the daemon may go on meanwhile.

What is not known afterwards is left out or null: the comment on each view says what
(partnersync dictionary). For customers whose versions were removed (customers.pruned_before) the
views by day and the functions of a time have no rows of times before DATE. Changes and moves whose
version before was removed are lost. The time since when a batch has had its status, or had the one
before, is null where that began with a version removed, and so are the begin and the duration of
such rounds and periods in device_batch_rounds and device_batch_status_periods.`,
		Example: "  partnersync prune --before 2024-01-01 --dry-run\n" +
			"  partnersync prune --before 2024-01-01 --partner contoso --yes",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := f.pruning(time.Now())
			if err != nil {
				return fails(exitUsage, err)
			}
			return a.changeDatabase(cmd.Context(), f.yes && !f.dryRun, func(ctx context.Context, db *database) error {
				return a.prune(ctx, db, p, f)
			})
		},
	}
	prune.Flags().StringVar(&f.before, "before", "",
		"remove versions that ended before this date (UTC) or RFC 3339 time")
	prune.Flags().StringArrayVar(&f.partners, "partner", nil, "only of this partner's customers (repeatable)")
	prune.Flags().StringArrayVar(&f.customers, "customer", nil, "only of the customer with this id (repeatable)")
	prune.Flags().BoolVar(&f.dryRun, "dry-run", false, "say how many rows would go, and remove nothing")
	prune.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	return prune
}

// pruning returns what the flags ask for, except for the partners.
func (f pruneFlags) pruning(now time.Time) (p store.Pruning, err error) {
	if f.before == "" {
		return p, errors.New("--before DATE is missing: versions that ended before it are removed")
	}
	if p.Before, err = parseDate("--before", f.before); err != nil {
		return p, err
	}
	if p.Before.After(now) {
		return p, fmt.Errorf("--before %s lies in the future: write a time that is over", f.before)
	}
	p.Customers, err = customerIDs(f.customers)
	return p, err
}

// prune removes old versions, after asking unless --yes is given.
func (a *app) prune(ctx context.Context, db *database, p store.Pruning, f pruneFlags) error {
	s := store.New(db.Pool, store.Options{})
	if err := migrations.Require(ctx, db.Pool); err != nil {
		return err
	}
	var err error
	if p.Customers, err = chooseCustomers(ctx, s, f.partners, p.Customers); err != nil {
		return err
	}
	found, err := s.CountVersions(ctx, p)
	switch {
	case err != nil:
		return err
	case f.dryRun:
		a.printPruned("would remove", found)
		return nil
	}
	if err := s.CheckMayPrune(ctx); err != nil {
		return fmt.Errorf("%w: connect as one, by --database-url or DATABASE_URL", err)
	}
	if total(found) == 0 {
		fmt.Fprintf(a.stdout, "nothing to do: no superseded version ended before %s\n", p.Before.Format(time.RFC3339))
		return nil
	}
	if !f.yes {
		if err := a.askToPrune(ctx, db, p, found); err != nil {
			return err
		}
	}
	removed, err := s.PruneVersions(ctx, p)
	a.printPruned("removed", removed)
	if err != nil {
		if ctx.Err() != nil {
			err = errInterrupted
		}
		return fmt.Errorf("%w after %d of %s, which are gone: the same command goes on",
			err, total(removed), plural.Of(total(found), "row", "rows"))
	}
	return nil
}

// askToPrune returns an error unless the answer is yes.
func (a *app) askToPrune(ctx context.Context, db *database, p store.Pruning, found []store.Pruned) error {
	if !onTerminal(a.stdin) {
		return errors.New("not pruned: there is no terminal to ask on; give --yes, or look first with --dry-run")
	}
	var tables []string
	for _, t := range found {
		tables = append(tables, fmt.Sprintf("%s of %s", plural.Of(t.Rows, "row", "rows"), t.Table))
	}
	question := fmt.Sprintf("This removes for good what was superseded before %s in %s: %s",
		p.Before.Format(time.RFC3339), db.config.Database, strings.Join(tables, ", "))
	if !a.confirmed(ctx, question) {
		return errors.New("not pruned: answer yes, or give --yes")
	}
	return nil
}

func (a *app) printPruned(done string, tables []store.Pruned) {
	for _, t := range tables {
		fmt.Fprintf(a.stdout, "%s %s of %s\n", done, plural.Of(t.Rows, "row", "rows"), t.Table)
	}
}

func total(tables []store.Pruned) (rows int64) {
	for _, t := range tables {
		rows += t.Rows
	}
	return rows
}

// chooseCustomers returns the customers, of those with the ids, that belong to the partners; no ids or partners are
// all, and nil is every customer.
func chooseCustomers(ctx context.Context, s *store.Store, partners, ids []string) ([]string, error) {
	if len(partners)+len(ids) == 0 {
		return nil, nil
	}
	partnerOf, err := s.PartnersOfCustomers(ctx)
	if err != nil {
		return nil, err
	}
	chosen, seen := []string{}, map[string]bool{}
	for id, partner := range partnerOf {
		seen[partner] = true
		if (len(ids) == 0 || slices.Contains(ids, id)) && (len(partners) == 0 || slices.Contains(partners, partner)) {
			chosen = append(chosen, id)
		}
	}
	for _, partner := range partners {
		if !seen[partner] {
			return nil, fails(exitUsage,
				fmt.Errorf("--partner %q: the database has no customer of such a partner", partner))
		}
	}
	for _, id := range ids {
		if !slices.Contains(chosen, id) {
			return nil, fails(exitUsage, fmt.Errorf("--customer %s: %w", id, sync.ErrUnknownCustomer))
		}
	}
	return chosen, nil
}
