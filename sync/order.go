package sync

import (
	"cmp"
	"slices"
	"time"

	"partnersync/store"
)

// queue is the customers that have the same turn to come, in the order in which they are read.
type queue struct {
	turn store.Turn
	ids  []string
}

// order returns in which order a pass reads customers, whom it sorts. First turns come before turns for more device lists, so that the
// statuses of all customers come first, and both before turns for policies that are not due. Of the first turns, those
// of urgent customers come before the others, and the longest unread first.
//
// budget is how many requests may be made until the tick; 0: any number. Where the urgent customers need more than
// that, a tenth of the requests goes to the others all the same.
func order(candidates []store.Candidate, now time.Time, budget int) (queues []queue) {
	slices.SortFunc(candidates, func(a, b store.Candidate) int {
		byID := cmp.Compare(a.CustomerID, b.CustomerID)
		switch {
		case a.Turn != b.Turn:
			return cmp.Compare(a.Turn, b.Turn)
		case a.Turn == store.PoliciesTurn:
			return cmp.Or(compareTimes(a.PoliciesAt, b.PoliciesAt), byID)
		}
		return cmp.Or(-compareBools(a.Urgent(now), b.Urgent(now)), -compareBools(a.Reread, b.Reread),
			compareTimes(a.ReadAt, b.ReadAt), byID)
	})
	for len(candidates) > 0 {
		q := queue{turn: candidates[0].Turn}
		n := slices.IndexFunc(candidates, func(c store.Candidate) bool { return c.Turn != q.turn })
		if n < 0 {
			n = len(candidates)
		}
		of := candidates[:n]
		if candidates = candidates[n:]; q.turn == store.FirstTurn && budget > 0 {
			of = interleave(of, now, budget)
		}
		q.ids = make([]string, len(of))
		for i, c := range of {
			q.ids[i] = c.CustomerID
		}
		queues = append(queues, q)
	}
	return queues
}

// interleave gives the customers that are not urgent, which come last, a tenth of the requests if the urgent ones need
// more than there are.
func interleave(all []store.Candidate, now time.Time, budget int) []store.Candidate {
	urgent := len(all)
	if i := slices.IndexFunc(all, func(c store.Candidate) bool { return !c.Urgent(now) }); i >= 0 {
		urgent = i
	}
	needed := 0
	for _, c := range all[:urgent] {
		needed += c.Requests()
	}
	if needed <= budget {
		return all
	}
	mixed := make([]store.Candidate, 0, len(all))
	others, spent, onOthers := all[urgent:], 0, 0
	for _, c := range all[:urgent] {
		for mixed, spent = append(mixed, c), spent+c.Requests(); len(others) > 0 && 10*onOthers < spent; others = others[1:] {
			mixed = append(mixed, others[0])
			onOthers, spent = onOthers+others[0].Requests(), spent+others[0].Requests()
		}
	}
	return append(mixed, others...)
}

// compareTimes orders times, no time first.
func compareTimes(a, b *time.Time) int {
	if a == nil || b == nil {
		return compareBools(a != nil, b != nil)
	}
	return a.Compare(*b)
}

// compareBools orders false before true.
func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
