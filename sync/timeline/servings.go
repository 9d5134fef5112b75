package timeline

import (
	"time"

	"partnersync/sync/partnercenter/partnercentertest"
)

// listing is the pages of a list that were served under one correlation id. Of equal ids the last counts.
type listing struct {
	at          time.Time // when the first page was served
	until       time.Time // when the last one was
	complete    bool
	items       map[string]state
	correlation string
	wentOn      bool // whoever asked for the customer's batches went on to its policies
}

// listings puts the pages that were served together, in the order of their first pages.
func listings(servings []partnercentertest.Serving) (map[partnercentertest.List][]listing, error) {
	all := map[partnercentertest.List][]listing{}
	read := map[*byte]page{} // one body is served many times
	wentOn := map[string]bool{}
	for _, s := range servings {
		p, known := read[&s.Body[0]]
		if !known {
			var err error
			if p, err = readPage(s.Body); err != nil {
				return nil, err
			}
			read[&s.Body[0]] = p
		}
		all[s.List] = add(all[s.List], s, p)
		if s.Kind == partnercentertest.PolicyList {
			wentOn[s.CorrelationID] = true
		}
	}
	for list, ls := range all {
		for i := range ls {
			ls[i].wentOn = list.Kind == partnercentertest.BatchList && wentOn[ls[i].correlation]
		}
	}
	return all, nil
}

// add adds a page to the listing it belongs to, or begins one with it.
func add(ls []listing, s partnercentertest.Serving, p page) []listing {
	i := len(ls)
	if !s.First {
		for i--; i >= 0 && ls[i].correlation != s.CorrelationID; i-- { // its first page was served a moment ago
		}
		if i < 0 {
			return ls // the list began before the timeline did
		}
	}
	if i == len(ls) {
		ls = append(ls, listing{at: s.At, correlation: s.CorrelationID, items: map[string]state{}})
	}
	l := &ls[i]
	l.until, l.complete = s.At, p.last()
	for _, item := range p.Items {
		l.items[item.ID] = item.state(s.Kind)
	}
	return ls
}

// changes are the times at which items changed.
func changes(all []partnercentertest.Change) map[item][]time.Time {
	at := map[item][]time.Time{}
	for _, c := range all {
		k := item{c.List, c.Key}
		at[k] = append(at[k], c.At)
	}
	return at
}
