package store

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// keys returns the keys from number first on.
func keys(first, n int) []string {
	var keys []string
	for i := range n {
		keys = append(keys, fmt.Sprintf("k%02d", first+i))
	}
	return keys
}

func TestGuard(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name               string
		known              int
		absent, heldBefore []string
		holdsAll           bool
		remove, hold       []string
	}{
		{name: "nothing is absent", known: 10, holdsAll: true},
		{name: "nothing known", holdsAll: false},
		{name: "one of two", known: 2, absent: keys(0, 1), remove: keys(0, 1), holdsAll: true},
		{name: "five are never too many", known: 6, absent: keys(0, 5), remove: keys(0, 5), holdsAll: true},
		{name: "half is not more than half", known: 12, absent: keys(0, 6), remove: keys(0, 6), holdsAll: true},
		{name: "more than half and more than five", known: 11, absent: keys(0, 6), hold: keys(0, 6)},
		{name: "many but not half", known: 1000, absent: keys(0, 99), remove: keys(0, 99)},
		{name: "the only one", known: 1, absent: keys(0, 1), hold: keys(0, 1), holdsAll: true},
		{name: "all of five", known: 5, absent: keys(0, 5), hold: keys(0, 5), holdsAll: true},
		{name: "all of five devices", known: 5, absent: keys(0, 5), remove: keys(0, 5)},
		{name: "all of six devices", known: 6, absent: keys(0, 6), hold: keys(0, 6)},
		{name: "confirmed", known: 7, absent: keys(0, 7), heldBefore: keys(0, 7), remove: keys(0, 7), holdsAll: true},
		{name: "partly confirmed", known: 9, absent: keys(2, 7), heldBefore: keys(0, 5), remove: keys(2, 3), hold: keys(5, 4)},
		{name: "held keys in any order", known: 1, absent: keys(1, 1), heldBefore: []string{"k02", "k01", "k00"}, remove: keys(1, 1), holdsAll: true},
		{name: "other keys held before", known: 7, absent: keys(0, 7), heldBefore: keys(50, 7), hold: keys(0, 7)},
		{name: "held before, listed again", known: 7, heldBefore: keys(0, 7)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			remove, hold := guard(test.known, test.absent, test.heldBefore, test.holdsAll)
			if diff := cmp.Diff(test.remove, remove, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("removed: (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(test.hold, hold, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("held: (-want +got)\n%s", diff)
			}
		})
	}
}
