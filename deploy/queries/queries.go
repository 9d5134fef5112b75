// Package queries holds the cookbook: questions that analysts ask, each in a file of its own with the question as its
// first comment.
package queries

import (
	"context"
	"embed"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Files are the queries, by file name.
//
//go:embed *.sql
var Files embed.FS

// Answer is what the database says to a question.
type Answer struct {
	Question string
	Columns  []string
	Rows     [][]any
}

// Run asks the question of a file.
func Run(ctx context.Context, pool *pgxpool.Pool, name string) (a Answer, err error) {
	query, err := Files.ReadFile(name)
	if err != nil {
		return a, fmt.Errorf("reading query %s: %w", name, err)
	}
	a.Question, _, _ = strings.Cut(strings.TrimPrefix(string(query), "-- "), "\n")
	rows, _ := pool.Query(ctx, string(query)) // CollectRows returns its error
	a.Rows, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
	if err != nil {
		return a, fmt.Errorf("running query %s: %w", name, err)
	}
	for _, column := range rows.FieldDescriptions() {
		a.Columns = append(a.Columns, column.Name)
	}
	return a, nil
}
