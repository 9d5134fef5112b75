package store

import (
	"strings"
	"testing"

	"partnersync/store/storetest"
)

// TestStatements_ofPasses keeps what runs where a reader can look at it: every statement of passes in which all happens
// that can, in the order in which each is first used.
func TestStatements_ofPasses(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	seen := &recorder{}
	pool := seen.pool(t, db.URL)
	w := &world{Store: New(pool, Options{}), t: t, url: db.URL, pool: pool, customer: alpha}
	w.ok(w.Heartbeat(t.Context()))
	w.wholePasses()
	var text strings.Builder
	for _, sql := range seen.order {
		for line := range strings.Lines(strings.Trim(sql, "\n")) {
			text.WriteString(strings.TrimLeft(line, "\t"))
		}
		text.WriteString(";\n\n")
	}
	golden(t, "testdata/pass.sql", text.String())
}
