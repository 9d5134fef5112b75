package statuspage

import (
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"partnersync/store/report"
	"partnersync/store/sanitize"
)

const (
	customersAPage = 50
	batchesAPage   = 20
	versionsShown  = 50   // of each batch
	mostPages      = 1e6  // of a list
	longestSearch  = 1000 // bytes
)

// customers is the page with the list of customers.
type customers struct {
	frame
	pager
	Search report.CustomerSearch
	Rows   []report.Customer
}

func (s *Site) customers(w http.ResponseWriter, r *http.Request) {
	reader, err := s.database()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page := customers{frame: newFrame(r, "Customers", "customers"), pager: newPager(r, customersAPage)}
	query := r.URL.Query()
	page.Search = report.CustomerSearch{
		Text: searched(query), Order: report.ByStaleness, Limit: customersAPage, Offset: page.offset(),
	}
	if query.Get("show") == report.Failing {
		page.Search.Show = report.Failing
	}
	if query.Get("order") == report.ByName {
		page.Search.Order = report.ByName
	}
	if page.Rows, err = reader.Customers(r.Context(), page.Search); err != nil {
		s.fail(w, r, err)
		return
	}
	if len(page.Rows) > 0 {
		page.Found = page.Rows[0].Found
	}
	s.show(w, http.StatusOK, "customers.html", &page)
}

// customer is the page of one customer.
type customer struct {
	frame
	pager
	report.CustomerDetail
	Text    string // to search for in the ids of batches
	Batch   string // id of the only batch to show; "": all
	Batches []historyView
}

// Name is the customer's name, or its id if it has none.
func (c *customer) Name() string { return orID(c.CompanyName, c.CustomerID) }

func (s *Site) customer(w http.ResponseWriter, r *http.Request) {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil {
		s.fail(w, r, report.ErrNoCustomer)
		return
	}
	reader, err := s.database()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page := customer{
		frame: newFrame(r, "", "customers"), pager: newPager(r, batchesAPage),
		Text: searched(r.URL.Query()), Batch: storable(r.URL.Query().Get("batch")),
	}
	if page.CustomerDetail, err = reader.Customer(r.Context(), id.String()); err != nil {
		s.fail(w, r, err)
		return
	}
	histories, err := reader.BatchHistories(r.Context(), report.BatchSearch{
		CustomerID: id.String(), BatchID: page.Batch, Text: page.Text,
		Limit: batchesAPage, Offset: page.offset(), Versions: versionsShown,
	})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page.Title = page.Name()
	for _, h := range histories {
		page.Found = h.Found
		page.Batches = append(page.Batches, newHistoryView(h, page.Now))
	}
	s.show(w, http.StatusOK, "customer.html", &page)
}

// searched is the text to look for.
func searched(query url.Values) string { return storable(strings.TrimSpace(query.Get("q"))) }

// storable returns text as it would be stored; what is too long to be stored finds nothing.
func storable(text string) string { return sanitize.Shorten(sanitize.ForStorage(text), longestSearch) }

// pager divides what a search finds into pages.
type pager struct {
	Page    int // from 1 on
	PerPage int
	Found   int
	query   url.Values
}

func newPager(r *http.Request, perPage int) pager {
	page, err := strconv.Atoi(r.URL.Query().Get("page"))
	if err != nil || page < 1 || page > mostPages {
		page = 1
	}
	return pager{Page: page, PerPage: perPage, query: r.URL.Query()}
}

func (p pager) offset() int { return (p.Page - 1) * p.PerPage }

// Pages is the number of pages.
func (p pager) Pages() int { return (p.Found + p.PerPage - 1) / p.PerPage }

// Previous is the address of the page before; "": this is the first.
func (p pager) Previous() string { return p.to(p.Page - 1) }

// Next is the address of the page after; "": this is the last.
func (p pager) Next() string { return p.to(p.Page + 1) }

func (p pager) to(page int) string {
	if page < 1 || page > p.Pages() {
		return ""
	}
	query := maps.Clone(p.query)
	query.Set("page", strconv.Itoa(page))
	return "?" + query.Encode()
}

// historyView is a batch and its history so far, prepared for the template.
type historyView struct {
	report.BatchHistory
	Now   string // its status, or gone
	Steps []step
}

// step is a period in which a batch was in one status, or gone.
type step struct {
	Status   string
	From     time.Time
	To       *time.Time // nil: to this day
	Lasted   time.Duration
	X, Width float64 // in thousandths of the whole
}

// leastWidth is the width of a step that was too short to be seen otherwise.
const leastWidth = 12

// newHistoryView joins consecutive versions that have the same status.
func newHistoryView(h report.BatchHistory, now time.Time) historyView {
	v := historyView{BatchHistory: h, Now: statusWord(h.Status)}
	if h.RemovedAt != nil {
		v.Now = gone
	}
	for _, version := range h.Versions {
		status := statusWord(version.Status)
		if version.Removed {
			status = gone
		}
		if n := len(v.Steps); n > 0 && v.Steps[n-1].Status == status {
			v.Steps[n-1].To = version.ValidTo
			continue
		}
		v.Steps = append(v.Steps, step{Status: status, From: version.ValidFrom, To: version.ValidTo})
	}
	v.measure(now)
	return v
}

// measure gives each step its width: its share of the whole time, but enough to be seen.
func (v *historyView) measure(now time.Time) {
	var whole time.Duration
	for i := range v.Steps {
		st := &v.Steps[i]
		end := now
		if st.To != nil {
			end = *st.To
		}
		st.Lasted = max(0, end.Sub(st.From))
		whole += st.Lasted
	}
	spare := 1000 - leastWidth*float64(len(v.Steps))
	x := 0.0
	for i := range v.Steps {
		st := &v.Steps[i]
		st.X, st.Width = x, leastWidth
		if whole > 0 {
			st.Width += spare * float64(st.Lasted) / float64(whole)
		}
		x += st.Width
	}
}
