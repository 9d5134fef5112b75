package notify

import (
	"fmt"
	"strings"
	"time"

	"partnersync/store"
	"partnersync/store/sanitize"
)

// text is the event as one line for people in a chat. Slack and Teams read different dialects of Markdown: names are put as
// code, which both take literally.
func text(n store.Notification) string {
	d := n.Data
	batch := fmt.Sprintf("Batch %s of customer %s", code(d.BatchID), customer(d))
	switch n.Type {
	case store.BatchFinished:
		return batch + " is finished" + devices(d) + "."
	case store.BatchFinishedWithErrors:
		return batch + " is finished with errors" + devices(d) + "."
	case store.BatchStuck:
		return fmt.Sprintf("%s is in status %s since %s.", batch, optional(d.Status), moment(d.StatusSince))
	case store.BatchRemoved:
		return fmt.Sprintf("%s was removed; its last status was %s.", batch, optional(d.Status))
	case store.CustomerFailing:
		return fmt.Sprintf("Customer %s has failed in %d passes in a row, since %s: %s", customer(d), d.ConsecutiveFailures, moment(d.FailingSince), trouble(d))
	case store.CustomerRecovered:
		return fmt.Sprintf("Customer %s is read again, after failing since %s.", customer(d), moment(d.FailingSince))
	case store.SignInFailed:
		return fmt.Sprintf("Partner %s cannot sign in: %s", code(d.Partner), trouble(d))
	}
	return fmt.Sprintf("%s: customer %s", n.Type, customer(d)) // of a newer release
}

// customer names the customer, by its name if it has one.
func customer(d store.EventData) string {
	if d.CompanyName == nil || strings.TrimSpace(*d.CompanyName) == "" {
		return code(d.CustomerID)
	}
	return fmt.Sprintf("%s (%s)", code(*d.CompanyName), d.CustomerID)
}

func devices(d store.EventData) string {
	if d.DevicesCount == nil {
		return ""
	}
	return fmt.Sprintf(", with %d devices", *d.DevicesCount)
}

func trouble(d store.EventData) string {
	text := code(d.Error)
	if d.RequestID != "" {
		text += " (request " + code(d.RequestID) + ")"
	}
	return text
}

func optional(s *string) string {
	if s == nil {
		return "none"
	}
	return code(*s)
}

func moment(t *time.Time) string {
	if t == nil {
		return "an unknown time"
	}
	return t.UTC().Format("2006-01-02 15:04 MST")
}

// code makes text from elsewhere harmless: no control or invisible characters, no end of the code, and none of the three
// that Slack gives a meaning even there (https://api.slack.com/reference/surfaces/formatting#escaping).
func code(s string) string {
	return "`" + strings.NewReplacer("`", "'", "&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(sanitize.Line(s)) + "`"
}
