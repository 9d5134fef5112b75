package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"partnersync/store/report"
	"partnersync/store/storetest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// dictionary runs the command with nothing but DATABASE_URL.
func dictionary(t *testing.T, url string) (code int, stdout, stderr string) {
	t.Helper()
	var out, log bytes.Buffer
	environment := func(name string) (string, bool) { return url, name == "DATABASE_URL" }
	code = run(t.Context(), []string{"dictionary"}, environment, strings.NewReader(""), &out, &log)
	return code, out.String(), log.String()
}

func TestDictionary_isAsWritten(t *testing.T) {
	t.Parallel()
	const golden = "testdata/dictionary.md"
	code, got, log := dictionary(t, storetest.New(t).URL)
	if code != exitOK || log != "" {
		t.Errorf("exit code %d, log %s", code, log)
	}
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs; if that is intended, run go test ./cmd/partnersync -update: (-want +got)\n%s", golden,
			diff)
	}
}

func TestDictionary_ofADatabaseThatIsNotMigrated(t *testing.T) {
	t.Parallel()
	code, got, log := dictionary(t, storetest.Empty(t).URL)
	const want = "partnersync: the database has no schema partner_center: run partnersync migrate up\n"
	if code != exitFailed || got != "" || log != want {
		t.Errorf("exit code %d, printed %q and %q, want %q", code, got, log, want)
	}
}

func TestPrintDictionary(t *testing.T) {
	t.Parallel()
	d := report.Dictionary{Comment: "All | of\nit.", Entries: []report.DictionaryEntry{
		{Kind: "table", Name: "a", Comment: "Not x < 1.", Columns: []report.DictionaryColumn{
			{Name: "id", Type: "uuid", Null: "key", Comment: "1 * 1"}, {Name: "note", Type: "text", Null: "yes"},
		}},
		{Kind: "table", Name: "b"},
		{Kind: "view", Name: "v", Comment: "A view.",
			Columns: []report.DictionaryColumn{{Name: "id", Type: "uuid", Comment: "As in a."}}},
		{Kind: "function", Name: "f(at date)", Comment: "A function.",
			Columns: []report.DictionaryColumn{{Name: "id", Type: "uuid"}}},
	}}
	const want = `# The schema partner_center

All \| of it.

Under *null*: whether a column may be null, or belongs to the key; of views and functions PostgreSQL does not know.

## Tables

### a

Not x &lt; 1.

| column | type | null | meaning |
|---|---|---|---|
| ''id'' | uuid | key | 1 \* 1 |
| ''note'' | text | yes |  |

### b



## Views

### v

A view.

| column | type | meaning |
|---|---|---|
| ''id'' | uuid | As in a. |

## Functions

### f(at date)

A function.

| column | type |
|---|---|
| ''id'' | uuid |
`
	var got strings.Builder
	if err := printDictionary(&got, d); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.ReplaceAll(want, "''", "`"), got.String()); diff != "" {
		t.Errorf("printed (-want +got)\n%s", diff)
	}
}
