package viewtest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// line writes a row, so that rows from the database and from here can be compared.
func line(values ...any) string {
	columns := make([]string, len(values))
	for i, v := range values {
		columns[i] = column(v)
	}
	return strings.Join(columns, " | ")
}

// column writes a value: times in UTC, intervals in microseconds, and nothing for null.
func column(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case *string:
		if v == nil {
			return ""
		}
		return *v
	case *int:
		if v == nil {
			return ""
		}
		return fmt.Sprint(*v)
	case *time.Time:
		if v == nil {
			return ""
		}
		return column(*v)
	case time.Time:
		return strings.TrimSuffix(v.UTC().Format("2006-01-02 15:04:05.000000"), " 00:00:00.000000")
	case *time.Duration:
		if v == nil {
			return ""
		}
		return column(*v)
	case time.Duration:
		return fmt.Sprintf("%dµs", v.Microseconds())
	case pgtype.Interval:
		const day = 24 * 60 * 60 * 1e6
		return fmt.Sprintf("%dµs", v.Microseconds+day*(int64(v.Days)+30*int64(v.Months)))
	case []assignment: // as the jsonb of a row
		all := []any{}
		for _, a := range v {
			all = append(all, map[string]any{"key": a.Key, "value": column(a.Value)})
		}
		return fmt.Sprint(all)
	case []any:
		for _, v := range v {
			if m, ok := v.(map[string]any); ok && m["value"] == nil {
				m["value"] = ""
			}
		}
		return fmt.Sprint(v)
	default:
		return fmt.Sprint(v)
	}
}

// query returns the rows of a query as lines.
func (w *world) query(query string, args ...any) []string {
	w.t.Helper()
	w.asked.WriteString(query)
	rows, _ := w.pool.Query(w.t.Context(), query, args...) // CollectRows returns its error
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		values, err := row.Values()
		return line(values...), err
	})
	if err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
	return lines
}

// want compares the rows of a query, in any order, with lines.
func (w *world) want(want []string, query string, args ...any) {
	w.t.Helper()
	w.same(fmt.Sprintln(query, args), want, w.query(query, args...))
}

// same compares lines in any order.
func (w *world) same(what string, want, got []string) {
	w.t.Helper()
	var differences []string
	for _, line := range without(want, got) {
		differences = append(differences, "- "+line)
	}
	for _, line := range without(got, want) {
		differences = append(differences, "+ "+line)
	}
	slices.SortFunc(differences, func(a, b string) int { return strings.Compare(a[2:], b[2:]) })
	if len(differences) > 0 {
		w.t.Errorf("%s (-want +got):\n%s", what, strings.Join(differences, "\n"))
	}
}

// scan calls row for each row of a query, whose columns it scans into targets.
func (w *world) scan(targets []any, row func(), query string, args ...any) {
	w.t.Helper()
	w.asked.WriteString(query)
	rows, _ := w.pool.Query(w.t.Context(), query, args...) // ForEachRow returns its error
	_, err := pgx.ForEachRow(rows, targets, func() error {
		row()
		return nil
	})
	w.ok(err)
}

// without returns the lines that are not among others, as often as they are more there.
func without(lines, others []string) (rest []string) {
	n := map[string]int{}
	for _, line := range others {
		n[line]++
	}
	for _, line := range lines {
		if n[line]--; n[line] < 0 {
			rest = append(rest, line)
		}
	}
	return rest
}
