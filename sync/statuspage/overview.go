package statuspage

import (
	"context"
	"net/http"
	"time"

	"partnersync/store"
)

const (
	shownDays     = 30 // of the chart of batches
	shownBatches  = 10 // unfinished ones, and changes
	shownFailing  = 5
	shownPasses   = 8
	stripSlot     = 15 * time.Minute
	stripSlots    = 96  // a day
	longestReason = 300 // bytes
)

// overview is the page that says whether all is well.
type overview struct {
	frame
	Verdict   verdict
	Ending    []expiry // sign-ins that end soon, or have ended
	Partners  []store.PartnerFreshness
	Failing   []store.Freshness
	MoreFail  int             // failing customers beside those
	Backlogs  []store.Backlog // of webhooks that are down
	Strips    []strip
	Runs      []store.Run
	Batches   *batchesView             // nil: they are not read yet, or cannot be
	Dropped   []store.PartnerFreshness // partners with customers that are not configured any more
	NextPass  time.Time                // zero: nobody knows
	Customers int
}

func (s *Site) overview(w http.ResponseWriter, r *http.Request) {
	reader, err := s.database()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page := overview{frame: newFrame(r, "Overview", "overview")}
	if err := page.read(r.Context(), reader, s.options.Partners); err != nil {
		s.fail(w, r, err)
		return
	}
	if page.Verdict, err = s.verdict(r.Context(), reader, page.Partners, page.Now); err != nil {
		s.fail(w, r, err)
		return
	}
	page.Batches = s.batchesNow(r.Context())
	page.Ending = s.endingSoon(r.Context(), page.Now)
	for _, p := range s.options.Partners {
		if next := p.Schedule.Next(page.Now); page.NextPass.IsZero() || next.Before(page.NextPass) {
			page.NextPass = next
		}
	}
	s.show(w, http.StatusOK, "overview.html", &page)
}

// batchesNow returns how the batches stand; nil: that cannot be read, or not in the time that people wait.
func (s *Site) batchesNow(ctx context.Context) *batchesView {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	b, err := s.batches.get(ctx)
	if err != nil {
		s.warn("overview without the batches", err)
		return nil
	}
	return newBatchesView(b)
}

// read asks the database for all but the batches.
func (o *overview) read(ctx context.Context, reader *store.Reader, configured []Partner) (err error) {
	all, err := reader.Freshness(ctx)
	if err != nil {
		return err
	}
	o.Partners, o.Dropped = Split(all, configured)
	failing := 0
	for _, p := range o.Partners {
		failing += p.Failing
		o.Customers += p.Customers
	}
	if o.Failing, err = reader.LongestFailing(ctx, names(configured), shownFailing); err != nil {
		return err
	}
	o.MoreFail = failing - len(o.Failing)
	if o.Backlogs, err = reader.Backlogs(ctx); err != nil {
		return err
	}
	since := o.Now.Truncate(stripSlot).Add(-(stripSlots - 1) * stripSlot)
	slots, err := reader.PassSlots(ctx, since, stripSlot)
	if err != nil {
		return err
	}
	o.Strips = newStrips(slots, since)
	o.Runs, err = reader.NewestRuns(ctx, shownPasses)
	return err
}
