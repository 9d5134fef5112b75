package historytest

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"
)

// state is an item as far as a change of it opens a version.
type state struct {
	absent bool
	pruned bool   // not known: it was before the first version that is left
	text   string // all but the dates, as a JSON array
	dates  [2]time.Time
}

// equal reports whether two states are one version. The API's sub-seconds wander, so dates within a second are equal.
func equal(a, b state) bool {
	if a.pruned || b.pruned {
		return true
	}
	if a.absent || b.absent {
		return a.absent == b.absent
	}
	for i, at := range a.dates {
		if apart := at.Sub(b.dates[i]).Abs(); apart >= time.Second {
			return false
		}
	}
	return a.text == b.text
}

// String returns the state without its dates.
func (s state) String() string {
	if s.absent {
		return "absent"
	}
	return s.text
}

// newState returns a state of texts, of which null ones are nil, and dates, of which null ones are zero.
func newState(texts []*string, dates ...time.Time) state {
	s := state{text: canonical(texts)}
	copy(s.dates[:], dates)
	return s
}

// servedItem is an item of any of the lists, as the API documents them; the names of their members do not collide.
type servedItem struct {
	ID string

	Status       *string
	CreatedBy    *string
	DevicesCount *json.Number
	CreationDate date

	Name, Category, Description *string
	PolicySettings              []string
	CreatedDate                 date
	LastModifiedDate            date

	SerialNumber, ProductKey, HardwareHash     *string
	ModelName, OEMManufacturerName, UploadedBy *string
	UploadedDate                               date
	Policies                                   []assignment
}

type assignment struct {
	Key   string  `json:"key"`
	Value *string `json:"value"`
}

// date is a time with its zone, or in UTC without one.
type date struct{ time.Time }

// UnmarshalJSON reads either form.
func (d *date) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	var err error
	if d.Time, err = time.Parse(time.RFC3339, s); err != nil {
		d.Time, err = time.Parse("2006-01-02T15:04:05", s)
	}
	return err
}

func (s servedItem) state(kind string) state {
	switch kind {
	case "deviceBatches":
		return newState([]*string{s.Status, s.CreatedBy, (*string)(s.DevicesCount)}, s.CreationDate.Time)
	case "policies":
		slices.Sort(s.PolicySettings)
		settings := canonical(s.PolicySettings)
		texts := []*string{s.Name, s.Category, s.Description, &settings}
		return newState(texts, s.CreatedDate.Time, s.LastModifiedDate.Time)
	default:
		slices.SortStableFunc(s.Policies, func(a, b assignment) int { return cmp.Compare(a.Key, b.Key) })
		policies := canonical(s.Policies)
		return newState([]*string{
			s.SerialNumber, s.ProductKey, s.HardwareHash, s.ModelName, s.OEMManufacturerName, s.UploadedBy, &policies,
		}, s.UploadedDate.Time)
	}
}

// canonical writes a slice as a JSON array, an empty or nil one as well.
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
