package timeline

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"partnersync/sync/partnercenter/partnercentertest"
)

// item is an item of a list.
type item struct {
	partnercentertest.List
	key string
}

// state is an item as far as a change of it opens a version.
type state struct {
	gone  bool
	text  string // all but the dates, as a JSON array
	dates [2]time.Time
}

// same says whether two states are one version. The API's sub-seconds wander, so dates within a second are equal.
func same(a, b state) bool {
	if a.gone || b.gone {
		return a.gone == b.gone
	}
	for i, at := range a.dates {
		if apart := at.Sub(b.dates[i]).Abs(); apart >= time.Second {
			return false
		}
	}
	return a.text == b.text
}

func (s state) String() string {
	if s.gone {
		return "absent"
	}
	return s.text
}

// newState returns a state of texts, null ones nil, and dates, none zero.
func newState(texts []*string, dates ...time.Time) state {
	text, err := json.Marshal(texts)
	if err != nil {
		panic(err) // strings can be marshaled
	}
	s := state{text: string(text)}
	copy(s.dates[:], dates)
	return s
}

// servedItem is an item of any of the lists, as the API documentation has them; their members' names do not collide.
type servedItem struct {
	ID string

	Status       *string
	CreatedBy    *string
	DevicesCount *json.Number
	CreationDate stamp

	Name, Category, Description *string
	PolicySettings              []string
	CreatedDate                 stamp
	LastModifiedDate            stamp

	SerialNumber, ProductKey, HardwareHash     *string
	ModelName, OEMManufacturerName, UploadedBy *string
	UploadedDate                               stamp
	Policies                                   []assignment
}

type assignment struct {
	Key   string  `json:"key"`
	Value *string `json:"value"`
}

// stamp is a time with its zone, or in UTC without one.
type stamp struct{ time.Time }

// UnmarshalJSON reads either form.
func (s *stamp) UnmarshalJSON(text []byte) error {
	var written string
	if err := json.Unmarshal(text, &written); err != nil {
		return err
	}
	var err error
	if s.Time, err = time.Parse(time.RFC3339, written); err != nil {
		s.Time, err = time.Parse("2006-01-02T15:04:05", written)
	}
	return err
}

func (s servedItem) state(kind partnercentertest.ListKind) state {
	switch kind {
	case partnercentertest.BatchList:
		return newState([]*string{s.Status, s.CreatedBy, (*string)(s.DevicesCount)}, s.CreationDate.Time)
	case partnercentertest.PolicyList:
		slices.Sort(s.PolicySettings)
		settings := canonical(s.PolicySettings)
		return newState([]*string{s.Name, s.Category, s.Description, &settings}, s.CreatedDate.Time, s.LastModifiedDate.Time)
	default:
		slices.SortStableFunc(s.Policies, func(a, b assignment) int { return cmp.Compare(a.Key, b.Key) })
		policies := canonical(s.Policies)
		return newState([]*string{s.SerialNumber, s.ProductKey, s.HardwareHash, s.ModelName, s.OEMManufacturerName, s.UploadedBy, &policies}, s.UploadedDate.Time)
	}
}

// canonical writes a slice as a JSON array in one way, an empty one too.
func canonical[T any](values []T) string {
	if len(values) == 0 {
		return "[]"
	}
	text, err := json.Marshal(values)
	if err != nil {
		panic(err) // strings can be marshaled
	}
	return string(text)
}

// page is the body of a page.
type page struct {
	Items             []servedItem
	ContinuationToken string
	Links             struct{ Next *struct{} }
}

func (p page) last() bool { return p.ContinuationToken == "" && p.Links.Next == nil }

func readPage(body []byte) (p page, err error) {
	if err := json.Unmarshal(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), &p); err != nil {
		return p, fmt.Errorf("reading a page as it was served: %w", err)
	}
	return p, nil
}
