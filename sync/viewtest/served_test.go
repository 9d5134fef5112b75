package viewtest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// served is a list as a pass read it: the pages of its last listing. Of equal ids the last counts.
type served struct {
	items     []servedItem
	pages     int
	complete  bool
	refused   bool   // the first page was refused: 4xx, but for those that say to try again or to sign in
	status    int    // of the last answer
	code      string // why the listing is not complete
	requestID string // of the last answer
	reread    bool   // there was a complete listing of several pages before
}

// servedItem is an item of any of the lists, as the API documents them.
type servedItem struct {
	ID string

	RelationshipToPartner *string
	CompanyProfile        struct{ CompanyName, Domain *string }

	Status, CreatedBy *string
	DevicesCount      *int
	CreationDate      *date

	Name, Category, Description   *string
	PolicySettings                []string
	CreatedDate, LastModifiedDate *date

	SerialNumber, ProductKey, ModelName, OEMManufacturerName, UploadedBy *string
	UploadedDate                                                         *date
	Policies                                                             []assignment
}

// assignment is a policy that a device has.
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

// lists gathers the answers of a pass into the lists that it read.
func lists(answers []answer) map[listID]served {
	all := map[listID]served{}
	for _, a := range answers {
		l := all[a.list]
		if a.first {
			l = served{reread: l.complete && l.pages > 1}
		}
		l.add(a)
		all[a.list] = l
	}
	return all
}

// add adds an answer to the listing.
func (l *served) add(a answer) {
	l.status, l.requestID, l.complete = a.status, a.requestID, false
	body := bytes.TrimPrefix(a.body, []byte("\xef\xbb\xbf"))
	if a.status != http.StatusOK {
		var failure struct{ Code string }
		json.Unmarshal(body, &failure) // without a code, the status says it
		l.code = cmp.Or(failure.Code, fmt.Sprint("http_", a.status))
		again := a.status == http.StatusUnauthorized || a.status == http.StatusTooManyRequests || a.status >= 500
		l.refused = a.first && !again
		return
	}
	var page struct {
		Items             []servedItem
		ContinuationToken string
		Links             struct{ Next *struct{} }
	}
	if err := json.Unmarshal(body, &page); err != nil {
		panic(fmt.Sprintf("the emulator served what is no JSON: %v", err))
	}
	l.pages++
	for _, item := range page.Items {
		if item.ID == "" {
			l.code = "incomplete_listing"
			continue
		}
		l.items = slices.DeleteFunc(l.items, func(other servedItem) bool { return other.ID == item.ID })
		l.items = append(l.items, item)
	}
	if l.code != "incomplete_listing" {
		l.code = "" // of an answer before this one, which was asked for again
	}
	l.complete = l.code == "" && page.ContinuationToken == "" && page.Links.Next == nil
}
