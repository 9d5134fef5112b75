package historytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// listing is the pages of a list that were served under one correlation id. Of equal ids the last counts.
type listing struct {
	at            time.Time // when the first page was served
	until         time.Time // when the last one was
	complete      bool
	pages         int
	nameless      bool // it has an item without an id, and so is incomplete
	items         map[string]state
	correlationID string
	wentOn        bool // the reader of the customer's batches went on to the policies
}

// state returns an item's state in a listing.
func (l listing) state(key string) state {
	s, ok := l.items[key]
	s.absent = !ok
	return s
}

// listings assembles the pages into listings, in the order of their first pages.
func listings(servings []Serving) (map[List][]listing, error) {
	all := map[List][]listing{}
	pages := map[*byte]page{} // one body is served many times
	wentOn := map[string]bool{}
	for _, s := range servings {
		p, known := pages[&s.Body[0]]
		if !known {
			if err := json.Unmarshal(bytes.TrimPrefix(s.Body, []byte("\xef\xbb\xbf")), &p); err != nil {
				return nil, fmt.Errorf("reading a page as it was served: %w", err)
			}
			pages[&s.Body[0]] = p
		}
		all[s.List] = add(all[s.List], s, p)
		if s.Kind == "policies" {
			wentOn[s.CorrelationID] = true
		}
	}
	for list, ls := range all {
		for i := range ls {
			ls[i].wentOn = list.Kind == "deviceBatches" && wentOn[ls[i].correlationID]
		}
	}
	return all, nil
}

// add adds a page to the listing that it belongs to, or begins one with it.
func add(ls []listing, s Serving, p page) []listing {
	i := len(ls)
	if s.First {
		ls = append(ls, listing{at: s.At, correlationID: s.CorrelationID, items: map[string]state{}})
	} else {
		for i--; i >= 0 && ls[i].correlationID != s.CorrelationID; i-- { // its first page was served a moment ago
		}
		if i < 0 {
			return ls // the listing began before the record did
		}
	}
	l := &ls[i]
	l.pages++
	for _, item := range p.Items {
		if item.ID == "" {
			l.nameless = true
			continue
		}
		l.items[item.ID] = item.state(s.Kind)
	}
	l.until, l.complete = s.At, p.ContinuationToken == "" && p.Links.Next == nil && !l.nameless
	return ls
}

// page is the body of a page.
type page struct {
	Items             []servedItem
	ContinuationToken string
	Links             struct{ Next *struct{} }
}
