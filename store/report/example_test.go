package report_test

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/store/report"
)

// What is wrong is read from a state, and from what a daemon knows of itself.
func ExampleFindings() {
	state := report.State{Freshness: []report.PartnerFreshness{{Partner: "contoso", Customers: 40, Failing: 2}}}
	process := report.Process{Database: &report.Outage{Reason: "the server is read-only"}}
	for _, f := range report.Findings(state, process) {
		fmt.Println(f.Severity, f.Name, f.Text)
	}
	// Output:
	// stopped database_unusable The database cannot be used.
	// degraded customers_failing 2 of 40 customers of partner contoso are failing.
}

// A reader has connections of its own to the database of a pool.
func ExampleReader() {
	ask := func(ctx context.Context, pool *pgxpool.Pool) ([]report.Finding, error) {
		reader, err := report.NewReader(ctx, pool)
		if err != nil {
			return nil, err
		}
		defer reader.Close()
		state, err := reader.State(ctx)
		if err != nil {
			return nil, err
		}
		return report.Findings(state, report.Process{}), nil
	}
	_ = ask
}
