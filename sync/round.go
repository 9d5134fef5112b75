package sync

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"partnersync/store"
)

// round makes the turns that have come of the customers that have something left to do: the first turns, or else those
// for more device lists, or else those for policies. It returns how many customers it claimed.
func (p *pass) round(ctx context.Context) (claimed int, err error) {
	if p.tickCame() {
		return 0, nil
	}
	candidates, err := p.Store.Candidates(ctx, p.run)
	if err != nil {
		return 0, err
	}
	budget := 0 // requests that the rate allows until the tick; 0: any number
	if perMinute := p.partner.RequestsPerMinute; perMinute > 0 && !p.tick.IsZero() {
		budget = max(1, int(p.tick.Sub(p.now()).Minutes()*float64(perMinute)))
	}
	queues := order(candidates, p.Store.Now(), budget)
	for _, q := range queues {
		if claimed, err = p.workThrough(ctx, q); claimed > 0 || err != nil {
			policiesLeft := p.run.Policies && p.run.Kind == store.Scheduled && p.partner.RequestsPerMinute > 0
			p.more = p.more || policiesLeft || len(queues) > 1 || claimed < len(q.ids)
			return claimed, err
		}
	}
	return 0, nil
}

// workThrough claims the customers of a queue, until its end or the next tick, makes as many of their turns at a time
// as the partner's concurrency says, and records the results. It returns how many were claimed.
//
// Claiming, working and recording go on at the same time, each passing on to the next what it has done. Each ends when
// the one before has; the first error ends all of them.
func (p *pass) workThrough(ctx context.Context, q queue) (claimed int, err error) {
	claims, results := make(chan store.Claim, claimBatch), make(chan store.Result, recordBatch)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(claims)
		for ids := range slices.Chunk(q.ids, claimBatch) {
			if p.tickCame() {
				break
			}
			some, err := p.Store.ClaimCustomers(ctx, p.run, q.turn, ids)
			if err != nil {
				return err
			}
			for _, c := range some {
				claimed++
				select {
				case claims <- c:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		return nil
	})
	g.Go(func() error {
		defer close(results)
		workers, ctx := errgroup.WithContext(ctx)
		for range p.partner.Concurrency {
			workers.Go(func() error { return p.takeTurns(ctx, claims, results) })
		}
		return workers.Wait()
	})
	g.Go(func() error { return p.recordResults(ctx, results) })
	err = g.Wait()
	return claimed, err
}

// takeTurns makes the turn of one claimed customer after the other.
func (p *pass) takeTurns(ctx context.Context, claims <-chan store.Claim, results chan<- store.Result) error {
	for c := range claims {
		result, err := p.syncCustomer(ctx, c)
		if errors.Is(err, store.ErrClaimLost) {
			p.log.Warn("claim lost", "customer_id", c.CustomerID, "err", err)
			p.claimsLost(1)
			continue
		}
		if err != nil {
			return err
		}
		select {
		case results <- result:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// Rounds says how often so many customers are read at the partner's rate, while nothing is going on at most of them;
// "": at each tick.
func (p Partner) Rounds(customers int, now time.Time) string {
	r := p.rate(now)
	urgent, atRest := store.Load{AtRest: customers, Policies: customers}.Rounds(r)
	if atRest <= r.Interval {
		return ""
	}
	return store.RoundsInWords(r.RequestsPerMinute, urgent, atRest)
}

// rate returns how fast the partner's customers are read.
func (p Partner) rate(now time.Time) store.Rate {
	next := p.Schedule.Next(now)
	return store.Rate{RequestsPerMinute: p.RequestsPerMinute, NextTick: next, Interval: p.Schedule.Next(next).Sub(next)}
}

// queue is the customers that have the same turn to come, in the order in which they are read.
type queue struct {
	turn store.Turn
	ids  []string
}

// order sorts the candidates into queues, in the order in which a pass reads them. First turns come before turns for
// more device lists, so that the statuses of all customers come first, and both before turns for policies that are not
// due. Of the first turns, those of urgent customers come before the others, and the longest unread first.
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
