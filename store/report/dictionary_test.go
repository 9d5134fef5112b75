package report

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"partnersync/store/storetest"
)

func TestReadDictionary_tellsWhatTheCatalogueHas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`
		DROP SCHEMA partner_center CASCADE;
		CREATE SCHEMA partner_center;
		COMMENT ON SCHEMA partner_center IS 'What it is.';
		CREATE TABLE partner_center.b (gone int, id uuid, at timestamptz NOT NULL, "of" numeric(5,2)[], PRIMARY KEY (id, at));
		ALTER TABLE partner_center.b DROP gone;
		COMMENT ON TABLE partner_center.b IS 'A table.';
		COMMENT ON COLUMN partner_center.b.of IS 'A column.';
		CREATE TABLE partner_center."B" ();
		CREATE VIEW partner_center.a AS SELECT id FROM partner_center.b;
		COMMENT ON VIEW partner_center.a IS 'A view.';
		COMMENT ON COLUMN partner_center.a.id IS 'Another.';
		CREATE FUNCTION partner_center.f(at date, OUT n int) LANGUAGE sql AS 'SELECT 1';
		CREATE FUNCTION partner_center.c(at date) RETURNS TABLE (x text, y int) LANGUAGE sql AS 'SELECT ''x'', 1';
		COMMENT ON FUNCTION partner_center.c(date) IS 'A function.'`)
	want := Dictionary{Comment: "What it is.", Entries: []DictionaryEntry{
		{Kind: "table", Name: "B"},
		{Kind: "table", Name: "b", Comment: "A table.", Columns: []DictionaryColumn{
			{Name: "id", Type: "uuid", Null: "key"}, {Name: "at", Type: "timestamp with time zone", Null: "key"},
			{Name: "of", Type: "numeric(5,2)[]", Null: "yes", Comment: "A column."},
		}},
		{Kind: "view", Name: "a", Comment: "A view.",
			Columns: []DictionaryColumn{{Name: "id", Type: "uuid", Comment: "Another."}}},
		{Kind: "function", Name: "c(at date)", Comment: "A function.",
			Columns: []DictionaryColumn{{Name: "x", Type: "text"}, {Name: "y", Type: "integer"}}},
		{Kind: "function", Name: "f(at date, OUT n integer)", Returns: "integer", Columns: []DictionaryColumn{{Name: "n", Type: "integer"}}},
	}}
	got, err := ReadDictionary(t.Context(), w.pool)
	w.ok(err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestReadDictionary_whoHasNoRightsMayReadIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	all, err := ReadDictionary(t.Context(), w.pool)
	w.ok(err)
	stranger := inRole(t, "pg_signal_backend")
	if _, err := stranger.pool.Exec(t.Context(), "SELECT FROM partner_center.customers"); err == nil {
		t.Fatal("the role has rights to what is described")
	}
	got, err := ReadDictionary(t.Context(), stranger.pool)
	w.ok(err)
	if diff := cmp.Diff(all, got); diff != "" {
		t.Errorf("(-owner +anybody)\n%s", diff)
	}
	// Everything that has a name is there, with its columns.
	for _, e := range got.Entries {
		scalar := strings.Contains(e.Name, "(") // a function may return a value instead
		if len(e.Columns) == 0 && !scalar || e.Comment == "" {
			t.Errorf("%s has no columns or no comment", e.Name)
		}
	}
	for _, name := range w.column(`
		SELECT relname::text FROM pg_class
		WHERE relkind IN ('r', 'v') AND relnamespace = 'partner_center'::regnamespace`) {
		if !slices.ContainsFunc(got.Entries, func(e DictionaryEntry) bool { return e.Name == name }) {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestReadDictionary_isEmptyWithoutTheSchema(t *testing.T) {
	t.Parallel()
	db := storetest.Empty(t)
	got, err := ReadDictionary(t.Context(), db.Pool)
	if diff := cmp.Diff(Dictionary{}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

// The diagram of how the tables belong together, and what is said beside it, leave out none.
func TestReadDictionary_theDocumentForToolsNamesEachTableAndView(t *testing.T) {
	t.Parallel()
	d, err := ReadDictionary(t.Context(), newWorld(t).pool)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../deploy/bi.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ = bytes.Cut(text, []byte("## How the tables belong together"))
	for _, e := range d.Entries {
		if e.Kind != "function" && !regexp.MustCompile(`\b`+e.Name+`\b`).Match(text) {
			t.Errorf("deploy/bi.md does not say how %s %s belongs to the others", e.Kind, e.Name)
		}
	}
}
