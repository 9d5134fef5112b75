package statuspage

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"partnersync/store"
)

const (
	shownDays     = 30 // of the chart of batches
	shownBatches  = 10 // unfinished ones, and changes
	shownFailing  = 5
	shownPasses   = 8
	stripSlot     = 15 * time.Minute
	stripSlots    = 96 // a day
	longestReason = 300
)

// overview is the page that says whether all is well.
type overview struct {
	frame
	Verdict   verdict
	Ending    []expiry // sign-ins that end soon, or have ended
	Partners  []store.PartnerFreshness
	Failing   []store.Freshness
	MoreFail  int // failing customers beside those
	Strips    []strip
	Runs      []store.Run
	Batches   *batchesView // nil: they are not read yet, or cannot be
	NextPass  time.Time    // zero: nobody knows
	Customers int
}

func (s *Site) overview(w http.ResponseWriter, r *http.Request) {
	reader, err := s.database()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page := overview{frame: newFrame(r, "Overview", "overview")}
	if err := page.read(r.Context(), reader); err != nil {
		s.fail(w, r, err)
		return
	}
	last, err := reader.LastPasses(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page.Batches = s.batchesNow(r.Context())
	page.Ending = s.endingSoon(r.Context(), page.Now)
	page.Verdict = s.judge(page.Partners, last, page.Now)
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
		s.log.Warn("overview without the batches", "err", err)
		return nil
	}
	return newBatchesView(b)
}

// read asks the database for all but the batches.
func (o *overview) read(ctx context.Context, reader *store.Reader) (err error) {
	if o.Partners, err = reader.Freshness(ctx); err != nil {
		return err
	}
	failing := 0
	for _, p := range o.Partners {
		failing += p.Failing
		o.Customers += p.Customers
	}
	if o.Failing, err = reader.LongestFailing(ctx, shownFailing); err != nil {
		return err
	}
	o.MoreFail = failing - len(o.Failing)
	since := o.Now.Truncate(stripSlot).Add(-(stripSlots - 1) * stripSlot)
	slots, err := reader.PassSlots(ctx, since, stripSlot)
	if err != nil {
		return err
	}
	o.Strips = newStrips(slots, since)
	o.Runs, err = reader.NewestRuns(ctx, shownPasses)
	return err
}

// verdict is whether all is well, in a sentence.
type verdict struct {
	Well     bool
	Sentence string
}

// judge sums up how the sync of the configured partners goes.
func (s *Site) judge(partners []store.PartnerFreshness, last []store.LastPass, now time.Time) verdict {
	sum := store.PartnerFreshness{}
	for _, p := range partners {
		sum.Customers += p.Customers
		sum.Failing += p.Failing
		sum.NeverSynced += p.NeverSynced
		sum.NeverSyncedFailing += p.NeverSyncedFailing
	}
	pending := sum.NeverSynced - sum.NeverSyncedFailing
	wrong := s.overdue(last, now)
	wrong = append(wrong, wentWrong(last)...)
	if sum.Failing > 0 {
		are := "are"
		if sum.Failing == 1 {
			are = "is"
		}
		wrong = append(wrong, fmt.Sprintf("%s of %s %s failing", count(int64(sum.Failing)), plural(sum.Customers, "customer", "customers"), are))
	}
	switch {
	case len(wrong) > 0:
		return verdict{Sentence: "Not all is well: " + list(wrong) + "."}
	case sum.Customers == 0:
		return verdict{Well: true, Sentence: "No pass has found any customers yet."}
	case pending > 0:
		return verdict{Well: true, Sentence: fmt.Sprintf("So far all is well: %s of %s been synced.",
			count(int64(sum.Customers-pending)), plural(sum.Customers, "customer has", "customers have"))}
	}
	return verdict{Well: true, Sentence: fmt.Sprintf("All is well: %s up to date.", plural(sum.Customers, "customer is", "customers are"))}
}

// overdue names the passes that should have come.
func (s *Site) overdue(last []store.LastPass, now time.Time) (wrong []string) {
	for _, c := range s.passChecks(last, now) {
		if c.failed {
			wrong = append(wrong, fmt.Sprintf("the %s is overdue", c.what))
		}
	}
	return wrong
}

// wentWrong says what went wrong with each partner's last pass as a whole.
func wentWrong(last []store.LastPass) (wrong []string) {
	for _, pass := range last {
		switch {
		case pass.Error != nil:
			wrong = append(wrong, fmt.Sprintf("the last pass of partner %s went wrong (%s)", pass.Partner, cut(*pass.Error, longestReason)))
		case pass.State == store.Failed && pass.Customers == 0:
			wrong = append(wrong, fmt.Sprintf("partner %s has no customers", pass.Partner))
		}
	}
	return wrong
}

// cut shortens what is too long to read in passing.
func cut(s string, characters int) string {
	if runes := []rune(s); len(runes) > characters {
		return string(runes[:characters-1]) + "…"
	}
	return s
}

// strip is the last day of a partner's passes, a mark for each slot of time.
type strip struct {
	Partner string
	Marks   []mark
	Summary string
	Since   time.Time
}

// mark is a slot that had passes, or none.
type mark struct {
	X     int // its place, from 0 on
	Class string
	Title string
}

// newStrips makes a strip of each partner's slots, which stand together.
func newStrips(slots []store.PassSlot, since time.Time) (strips []strip) {
	for len(slots) > 0 {
		n := slices.IndexFunc(slots, func(p store.PassSlot) bool { return p.Partner != slots[0].Partner })
		if n < 0 {
			n = len(slots)
		}
		strips = append(strips, newStrip(slots[:n], since))
		slots = slots[n:]
	}
	return strips
}

func newStrip(slots []store.PassSlot, since time.Time) strip {
	s := strip{Partner: slots[0].Partner, Since: since, Marks: make([]mark, stripSlots)}
	for i := range s.Marks {
		s.Marks[i] = mark{X: i, Class: "none"}
	}
	total := store.PassSlot{}
	for _, p := range slots {
		total.Passes += p.Passes
		total.Partial += p.Partial
		total.Failed += p.Failed
		total.Abandoned += p.Abandoned
		total.Running += p.Running
		if p.Slot >= 0 && p.Slot < stripSlots {
			from := since.Add(time.Duration(p.Slot) * stripSlot).UTC().Format("15:04 UTC")
			s.Marks[p.Slot] = mark{X: p.Slot, Class: passClass(p), Title: from + ": " + passWords(p)}
		}
	}
	s.Summary = passWords(total)
	return s
}

// passClass is the worst of what happened in a slot.
func passClass(p store.PassSlot) string {
	switch {
	case p.Failed > 0:
		return "failed"
	case p.Partial > 0:
		return "partial"
	case p.Abandoned > 0:
		return "abandoned"
	case p.Running == p.Passes:
		return "running"
	}
	return "complete"
}

func passWords(p store.PassSlot) string {
	words := []string{}
	for _, w := range []struct {
		n    int
		word string
	}{
		{p.Passes - p.Partial - p.Failed - p.Abandoned - p.Running, "complete"},
		{p.Partial, "partial"}, {p.Failed, "failed"}, {p.Abandoned, "abandoned"}, {p.Running, "running"},
	} {
		if w.n > 0 {
			words = append(words, fmt.Sprintf("%s %s", count(int64(w.n)), w.word))
		}
	}
	return plural(p.Passes, "pass: ", "passes: ") + list(words)
}
