// Package plural puts the words for people that go with a number.
package plural

import "fmt"

// Of returns a number of things, such as "1 batch" or "2 batches".
func Of[N int | int32 | int64](n N, one, many string) string {
	return fmt.Sprintf("%d %s", n, Word(n, one, many))
}

// Word returns the word that goes with a number of things.
func Word[N int | int32 | int64](n N, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
