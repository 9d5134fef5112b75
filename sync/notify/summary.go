package notify

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"partnersync/store/outbox"
	"partnersync/store/plural"
	"partnersync/store/sanitize"
)

// summary is an event as a chat shows it, in parts that become text which is no Markdown: nothing that others wrote is
// taken for formatting, a link or a mention.
type summary struct {
	title   string
	colour  colour
	facts   []fact
	err     string
	ids     []fact // to be quoted, to Microsoft's support for one
	eventID string // which is one of them
}

// fact is a name of ours and a value of a single line.
type fact struct{ name, value string }

// colour is one that Adaptive Cards know by this name.
type colour string

const (
	attention colour = "attention" // somebody has to act
	warning   colour = "warning"   // somebody should look
	good      colour = "good"
)

// titles has what summaries begin with, by the event's type.
var titles = map[string]summary{
	outbox.BatchFinished:           {title: "Batch finished", colour: good},
	outbox.BatchFinishedWithErrors: {title: "Batch finished with errors", colour: warning},
	outbox.BatchStuck:              {title: "Batch stuck", colour: warning},
	outbox.BatchRemoved:            {title: "Batch removed", colour: warning},
	outbox.CustomerFailing:         {title: "Customer failing", colour: attention},
	outbox.CustomerRecovered:       {title: "Customer recovered", colour: good},
	outbox.SignInFailed:            {title: "Partner cannot sign in", colour: attention},
}

func summarize(n outbox.Notification) summary {
	s, ok := titles[n.Type]
	if !ok { // of a newer release
		s = summary{title: oneLine(n.Type), colour: warning}
	}
	d := n.Data
	status, failed := value(d.Status), since(d.FailingSince)
	if before := value(d.FromStatus); before != "" && before != status {
		status = before + " → " + status
	}
	if d.ConsecutiveFailures > 0 {
		failed += ", in " + plural.Of(d.ConsecutiveFailures, "pass", "passes") + " in a row"
	}
	s.facts = known(
		fact{"Customer", value(d.CompanyName)},
		fact{"Batch", d.BatchID},
		fact{"Status", status},
		fact{"In this status since", since(d.StatusSince)},
		fact{"Devices", value(d.DevicesCount)},
		fact{"Failed since", failed},
		fact{"Partner", d.Partner},
		fact{"Noted", utc(&n.CreatedAt)},
	)
	s.err, s.eventID = oneLine(d.Error), n.MessageID
	s.ids = known(
		fact{"Error code", d.ErrorCode},
		fact{"Request id", d.RequestID},
		fact{"Correlation id", d.CorrelationID},
		fact{"Customer id", d.CustomerID},
		fact{"Event id", n.MessageID},
	)
	return s
}

// known returns the facts that have a value, in one line.
func known(facts ...fact) (all []fact) {
	for _, f := range facts {
		if f.value = oneLine(f.value); f.value != "" {
			all = append(all, f)
		}
	}
	return all
}

func oneLine(s string) string { return strings.TrimSpace(sanitize.Line(s)) }

func value[T any](v *T) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(*v)
}

func since(t *time.Time) string {
	if t == nil {
		return ""
	}
	return utc(t)
}

// summarizeAll returns the summaries of events, those first for which somebody has to act.
func summarizeAll(all []outbox.Notification) (summaries []summary) {
	for _, n := range all {
		summaries = append(summaries, summarize(n))
	}
	order := []colour{attention, warning, good}
	slices.SortStableFunc(summaries, func(a, b summary) int {
		return cmp.Compare(slices.Index(order, a.colour), slices.Index(order, b.colour))
	})
	return summaries
}

// countByTitle returns such as "2 × Batch stuck, 1 × Batch finished", with spaces at which no line ends.
func countByTitle(summaries []summary) string {
	counts := map[string]int{}
	for _, s := range summaries {
		counts[s.title]++
	}
	var each []string
	for _, s := range summaries {
		if n := counts[s.title]; n > 0 {
			each = append(each, fmt.Sprintf("%d\u00a0×\u00a0%s", n, s.title))
			counts[s.title] = 0
		}
	}
	return strings.Join(each, ", ")
}

// pageOf returns the URL of the status page about the events: that of their customer, if they have one in common, else
// with a slash at its end, since the page's links are relative. It is "" if the page's own URL is not known.
func pageOf(pageURL string, all []outbox.Notification) string {
	page, err := url.Parse(pageURL)
	if err != nil || pageURL == "" {
		return ""
	}
	d := all[0].Data
	elsewhere := func(n outbox.Notification) bool { return n.Data.CustomerID != d.CustomerID }
	if d.CustomerID == "" || slices.ContainsFunc(all, elsewhere) {
		return page.JoinPath("/").String()
	}
	page = page.JoinPath("customers", d.CustomerID)
	if len(all) == 1 && d.BatchID != "" {
		page.RawQuery = url.Values{"batch": {d.BatchID}}.Encode()
	}
	return page.String()
}
