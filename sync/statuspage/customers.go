package statuspage

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"partnersync/store"
	"partnersync/store/sanitize"
)

const (
	customersAPage = 50
	batchesAPage   = 20
	versionsShown  = 50   // of each batch
	mostPages      = 1e6  // nobody turns so many
	longestSearch  = 1000 // bytes
)

// customers is the page that lists them.
type customers struct {
	frame
	pager
	Search store.CustomerSearch
	Rows   []store.CustomerRow
}

func (s *Site) customers(w http.ResponseWriter, r *http.Request) {
	reader, err := s.database()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page := customers{frame: newFrame(r, "Customers", "customers"), pager: newPager(r, customersAPage)}
	query := r.URL.Query()
	page.Search = store.CustomerSearch{
		Text: searched(query), OnlyFailing: query.Get("show") == "failing", Order: store.ByStaleness,
		Limit: customersAPage, Offset: page.offset(),
	}
	if query.Get("order") == store.ByName {
		page.Search.Order = store.ByName
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

// customer is the page of one.
type customer struct {
	frame
	pager
	store.CustomerDetail
	Text  string // that is searched for
	Batch string // the id of the one that is asked for; "": all
	Lives []lifeView
}

// Name is the customer's, or its id.
func (c *customer) Name() string { return orID(c.CompanyName, c.CustomerID) }

func (s *Site) customer(w http.ResponseWriter, r *http.Request) {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil {
		s.fail(w, r, store.ErrNoCustomer)
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
	lives, err := reader.Lives(r.Context(), store.LifeSearch{
		CustomerID: id.String(), BatchID: page.Batch, Text: page.Text, Limit: batchesAPage, Offset: page.offset(), Versions: versionsShown,
	})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page.Title = page.Name()
	for _, l := range lives {
		page.Found = l.Found
		page.Lives = append(page.Lives, newLifeView(l, page.Now))
	}
	s.show(w, http.StatusOK, "customer.html", &page)
}

// searched is the text to look for.
func searched(query url.Values) string { return storable(strings.TrimSpace(query.Get("q"))) }

// storable returns text as it would be stored; what is too long to be stored finds nothing.
func storable(text string) string { return sanitize.Shorten(sanitize.ForStorage(text), longestSearch) }

// pager leads from page to page of what a search finds.
type pager struct {
	Page    int // from 1 on
	PerPage int
	Found   int
	url     url.URL
}

func newPager(r *http.Request, perPage int) pager {
	page, err := strconv.Atoi(r.URL.Query().Get("page"))
	if err != nil || page < 1 || page > mostPages {
		page = 1
	}
	return pager{Page: page, PerPage: perPage, url: *r.URL}
}

func (p pager) offset() int { return (p.Page - 1) * p.PerPage }

// Pages is how many there are.
func (p pager) Pages() int { return (p.Found + p.PerPage - 1) / p.PerPage }

// Previous is the address of the page before; "": this is the first.
func (p pager) Previous() string { return p.to(p.Page - 1) }

// Next is the address of the page after; "": this is the last.
func (p pager) Next() string { return p.to(p.Page + 1) }

func (p pager) to(page int) string {
	if page < 1 || page > p.Pages() {
		return ""
	}
	query := p.url.Query()
	query.Set("page", strconv.Itoa(page))
	return p.url.EscapedPath() + "?" + query.Encode()
}

// lifeView is a batch and its life so far, ready to be drawn.
type lifeView struct {
	store.Life
	Now   string // its status, or gone
	Steps []step
}

// step is a time that a batch was in one status, or gone.
type step struct {
	Status   string
	From     time.Time
	To       *time.Time // nil: to this day
	Lasted   time.Duration
	X, Width float64 // in thousandths of the life
}

// leastWidth is that of a step that lasted too short to be seen.
const leastWidth = 12

// newLifeView joins the versions that have the same status.
func newLifeView(l store.Life, now time.Time) lifeView {
	v := lifeView{Life: l, Now: statusWord(l.Status)}
	if l.RemovedAt != nil {
		v.Now = gone
	}
	for _, version := range l.Versions {
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

// measure gives each step its width: its share of the life, but enough to be seen.
func (v *lifeView) measure(now time.Time) {
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
