package main

import (
	"log/slog"
	"slices"
	"testing"

	"partnersync/cmd/partnersync/config"
	"partnersync/store/storetest"
)

// A connection that others can read is warned of where somebody asks, also if its URL itself allows that.
func TestCheck_warnsOfAConnectionInTheClear(t *testing.T) {
	t.Parallel()
	const warning = "whoever is between here and the database"
	db := &database{
		Pool: storetest.New(t).Pool, log: slog.New(slog.DiscardHandler),
		config: &config.Config{Database: config.Database{Warning: warning}},
	}
	k := &checkup{asJSON: true}
	k.database(t.Context(), db)
	if step := k.Steps[0]; step.Name != "database" || !step.OK || !slices.Contains(step.Warnings, warning) {
		t.Errorf("got %+v, want a warning", step)
	}
}
