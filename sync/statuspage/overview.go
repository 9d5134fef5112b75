package statuspage

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"partnersync/store"
	"partnersync/store/report"
)

const (
	shownDays    = 30 // of the chart of batches
	shownBatches = 10 // unfinished ones, and changes
	shownFailing = 5
	shownPasses  = 8
	stripSlot    = 15 * time.Minute
	stripSlots   = 96 // a day
)

// overview is the page that says whether all is well.
type overview struct {
	frame
	Verdict   string
	Findings  []report.Finding
	Failing   []report.Customer
	MoreFail  int // failing customers beside those
	Strips    []strip
	Runs      []store.Run
	Batches   *batchesView              // nil: they are not read yet, or cannot be
	Dropped   []report.PartnerFreshness // partners with customers that have left the configuration
	NextPass  time.Time                 // zero: not known
	Customers int
}

func (s *Site) overview(w http.ResponseWriter, r *http.Request) {
	page := overview{frame: newFrame(r, "Overview", "overview")}
	state, findings, err := s.findings(r.Context(), s.lookNow)
	if err == nil {
		page.judge(state, findings)
		err = page.read(r.Context(), s.reader.Load(), state)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page.Batches = s.batchesNow(r.Context())
	s.show(w, http.StatusOK, "overview.html", &page)
}

// judge sums up the findings in a sentence.
func (o *overview) judge(state report.State, findings []report.Finding) {
	o.Findings = findings
	pending := 0
	for _, p := range state.Freshness {
		if p.Dropped {
			o.Dropped = append(o.Dropped, p)
			continue
		}
		o.Customers += p.Customers
		pending += p.NeverSynced - p.NeverSyncedFailing
	}
	for _, p := range state.Settings {
		if next := p.Next(o.Now); !next.IsZero() && (o.NextPass.IsZero() || next.Before(o.NextPass)) {
			o.NextPass = next
		}
	}
	switch {
	case stopped(findings):
		o.Verdict = "The sync does not go on."
	case len(findings) > 0:
		o.Verdict = "Not all is well."
	case o.Customers == 0:
		o.Verdict = "No pass has found any customers yet."
	case pending > 0:
		o.Verdict = fmt.Sprintf("So far all is well: %s of %s been synced.",
			count(int64(o.Customers-pending)), counted(o.Customers, "customer has", "customers have"))
	default:
		o.Verdict = fmt.Sprintf("All is well: %s up to date.", counted(o.Customers, "customer is", "customers are"))
	}
}

// batchesNow returns how the batches stand; nil: they cannot be read, or not in the time that people wait.
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

// read reads what is shown beside the state, the batches aside.
func (o *overview) read(ctx context.Context, reader *report.Reader, state report.State) (err error) {
	search := report.CustomerSearch{
		Partners: state.Partners(), Show: report.Failing, Order: report.ByFailure, Limit: shownFailing,
	}
	if o.Failing, err = reader.Customers(ctx, search); err != nil {
		return err
	}
	if len(o.Failing) > 0 {
		o.MoreFail = o.Failing[0].Found - len(o.Failing)
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
