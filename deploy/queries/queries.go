// Package queries holds the cookbook: questions that analysts ask, each in a file of its own with the question as its
// first comment.
package queries

import "embed"

// Files are the queries, by file name.
//
//go:embed *.sql
var Files embed.FS
