package store

import "slices"

// guard decides what to do with the keys that a complete listing lacked. A listing that lacks more than half, and more
// than 5, of the known rows (or, with allCounts, all of them) is not believed at once: only what an earlier run's held
// listing lacked too is removed, and the rest is held back for a later one to confirm.
func guard(known int, lacked, heldBefore []string, allCounts bool) (remove, hold []string) {
	many := len(lacked) > 5 && 2*len(lacked) > known
	all := allCounts && len(lacked) == known
	if !many && !all {
		return lacked, nil
	}
	slices.Sort(heldBefore)
	for _, key := range lacked {
		if _, confirmed := slices.BinarySearch(heldBefore, key); confirmed {
			remove = append(remove, key)
		} else {
			hold = append(hold, key)
		}
	}
	return remove, hold
}
