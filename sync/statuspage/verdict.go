package statuspage

import (
	"context"
	"fmt"
	"slices"
	"time"

	"partnersync/store"
	"partnersync/store/cron"
	"partnersync/store/sanitize"
)

// verdict is whether all is well, in a sentence.
type verdict struct {
	Well     bool
	Sentence string
}

// verdict reads what judge needs besides how fresh the configured partners' customers are.
func (s *Site) verdict(ctx context.Context, reader *store.Reader, partners []store.PartnerFreshness, now time.Time) (verdict, error) {
	last, err := reader.LastPasses(ctx)
	if err != nil {
		return verdict{}, err
	}
	stale, err := Stale(ctx, reader, s.options.Partners, now)
	return s.judge(partners, stale, last, now), err
}

// judge sums up how the sync of the configured partners goes. stale are the words of Stale.
func (s *Site) judge(partners []store.PartnerFreshness, stale []string, last []store.LastPass, now time.Time) verdict {
	sum := store.PartnerFreshness{}
	for _, p := range partners {
		sum.Customers += p.Customers
		sum.Failing += p.Failing
		sum.NeverSynced += p.NeverSynced
		sum.NeverSyncedFailing += p.NeverSyncedFailing
	}
	pending := sum.NeverSynced - sum.NeverSyncedFailing
	wrong := s.overdue(last, now)
	wrong = append(wrong, s.wentWrong(last)...)
	if sum.Failing > 0 {
		are := "are"
		if sum.Failing == 1 {
			are = "is"
		}
		wrong = append(wrong, fmt.Sprintf("%s of %s %s failing", count(int64(sum.Failing)), plural(sum.Customers, "customer", "customers"), are))
	}
	wrong = append(wrong, stale...)
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

// wentWrong says what went wrong with each configured partner's last pass as a whole.
func (s *Site) wentWrong(last []store.LastPass) (wrong []string) {
	for _, pass := range last {
		switch {
		case !isConfigured(s.options.Partners, pass.Partner):
		case pass.Error != nil:
			wrong = append(wrong, fmt.Sprintf("the last pass of partner %s went wrong (%s)", pass.Partner, sanitize.Shorten(*pass.Error, longestReason)))
		case pass.State == store.Failed && pass.Customers == 0:
			wrong = append(wrong, fmt.Sprintf("partner %s has no customers", pass.Partner))
		}
	}
	return wrong
}

// staleOtherwise is the age from which a customer is stale where its partner's schedule is not known.
const staleOtherwise = 24 * time.Hour

// Stale says, in words for each of the partners that have some, how many customers have not been synced for longer than
// mostMissed ticks although they do not fail. A partner may lack a schedule, and be given a day.
func Stale(ctx context.Context, reader *store.Reader, partners []Partner, now time.Time) (words []string, err error) {
	before := map[string]time.Time{}
	for _, p := range partners {
		before[p.Name] = staleBefore(p.Schedule, now)
	}
	stale, err := reader.StaleCustomers(ctx, before)
	for _, each := range stale {
		were := plural(each.Customers, "customer of partner %s was last synced %s ago", "customers of partner %s were last synced up to %s ago")
		words = append(words, fmt.Sprintf(were, each.Partner, span(now.Sub(each.OldestSync))))
	}
	return words, err
}

// staleBefore returns the newest tick that mostMissed others have followed: whatever is older has missed more. It is a minute
// ago at least, since a pass itself takes a moment.
func staleBefore(s cron.Schedule, now time.Time) time.Time {
	const least, most = time.Minute, 5 * 366 * 24 * time.Hour
	if s.String() == "" {
		return now.Add(-staleOtherwise)
	}
	for back := least; back < most; back *= 2 { // far enough for so many ticks, and hardly farther
		at := now.Add(-back)
		ticks := missedTicks(s, at, now)
		if ticks <= mostMissed {
			continue
		}
		for range ticks - mostMissed {
			at = s.Next(at)
		}
		if at.Add(least).After(now) {
			return now.Add(-least)
		}
		return at
	}
	return now.Add(-most)
}

// missedTicks counts the ticks in (since, now].
func missedTicks(s cron.Schedule, since, now time.Time) int {
	newest, older := s.Last(since, now)
	if newest.IsZero() {
		return 0
	}
	return older + 1
}

func isConfigured(partners []Partner, name string) bool {
	return slices.ContainsFunc(partners, func(p Partner) bool { return p.Name == name })
}

func names(partners []Partner) []string {
	all := make([]string, len(partners))
	for i, p := range partners {
		all[i] = p.Name
	}
	return all
}

// Split parts the freshness of the configured partners from that of those that are not configured any more: their
// customers stay in the database, and nobody waits for them.
func Split(all []store.PartnerFreshness, configured []Partner) (ours, dropped []store.PartnerFreshness) {
	for _, p := range all {
		if isConfigured(configured, p.Partner) {
			ours = append(ours, p)
		} else {
			dropped = append(dropped, p)
		}
	}
	return ours, dropped
}
