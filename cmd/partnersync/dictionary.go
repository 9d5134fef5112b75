package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"partnersync/migrations"
	"partnersync/store/report"
)

func newDictionaryCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "dictionary",
		Short: "Print what is in the database for analysts, as Markdown",
		Long: "Dictionary prints every table, view, function and column of the schema partner_center\n" +
			"with its meaning, as Markdown.",
		Example: "  partnersync dictionary > dictionary.md",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.withDatabase(cmd.Context(), a.dictionary) },
	}
}

func (a *app) dictionary(ctx context.Context, db *database) error {
	d, err := report.ReadDictionary(ctx, db.Pool)
	if err != nil {
		return err
	}
	if len(d.Entries) == 0 {
		return fmt.Errorf("the database has no schema partner_center: %w", migrations.ErrBehind)
	}
	return printDictionary(a.stdout, d)
}

// chapters of the dictionary, and the heads of their tables of columns, by the kind of the entries.
var chapters = map[string]struct {
	title string
	heads []string
}{
	"table":    {"Tables", []string{"column", "type", "null", "meaning"}},
	"view":     {"Views", []string{"column", "type", "meaning"}},
	"function": {"Functions", []string{"column", "type"}},
}

func printDictionary(out io.Writer, d report.Dictionary) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# The schema partner_center\n\n%s\n", inMarkdown(d.Comment))
	fmt.Fprint(&b, "\nUnder *null*: whether a column may be null, or belongs to the key; "+
		"of views and functions PostgreSQL does not know.\n")
	kind := ""
	for _, e := range d.Entries {
		if e.Kind != kind {
			kind = e.Kind
			fmt.Fprintf(&b, "\n## %s\n", chapters[kind].title)
		}
		printEntry(&b, e)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func printEntry(b *strings.Builder, e report.DictionaryEntry) {
	fmt.Fprintf(b, "\n### %s\n\n%s\n", e.Name, inMarkdown(e.Comment))
	if e.Returns != "" {
		fmt.Fprintf(b, "\nReturns %s.\n", e.Returns)
	}
	if len(e.Columns) == 0 {
		return
	}
	heads := chapters[e.Kind].heads
	fmt.Fprintf(b, "\n| %s |\n|%s\n", strings.Join(heads, " | "), strings.Repeat("---|", len(heads)))
	for _, c := range e.Columns {
		cells := map[string]string{
			"column": "`" + c.Name + "`", "type": c.Type, "null": c.Null, "meaning": inMarkdown(c.Comment),
		}
		for _, head := range heads {
			fmt.Fprint(b, "| ", cells[head], " ")
		}
		fmt.Fprint(b, "|\n")
	}
}

// inMarkdown escapes plain text so that Markdown shows it as it is, in a table too.
func inMarkdown(s string) string {
	return strings.NewReplacer("|", `\|`, "*", `\*`, "<", "&lt;", "\n", " ").Replace(s)
}
