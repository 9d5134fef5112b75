package notify

import (
	"fmt"
	"strings"
	"time"

	"partnersync/store/outbox"
	"partnersync/store/plural"
	"partnersync/store/sanitize"
)

// text returns the event as one line for people in a chat. Slack and Teams have different dialects of Markdown, so
// names are written as code, which both take literally.
func text(n outbox.Notification) string {
	d := n.Data
	batch := fmt.Sprintf("Batch %s of customer %s", code(d.BatchID), customer(d))
	switch n.Type {
	case outbox.BatchFinished:
		return batch + " is finished" + devices(d) + "."
	case outbox.BatchFinishedWithErrors:
		return batch + " is finished with errors" + devices(d) + "."
	case outbox.BatchStuck:
		return fmt.Sprintf("%s is in status %s since %s.", batch, optional(d.Status), utc(d.StatusSince))
	case outbox.BatchRemoved:
		return fmt.Sprintf("%s was removed; its last status was %s.", batch, optional(d.Status))
	case outbox.CustomerFailing:
		return fmt.Sprintf("Customer %s has failed in %s in a row, since %s: %s",
			customer(d), plural.Of(d.ConsecutiveFailures, "pass", "passes"), utc(d.FailingSince), failure(d))
	case outbox.CustomerRecovered:
		return fmt.Sprintf("Customer %s is read again, after failing since %s.", customer(d), utc(d.FailingSince))
	case outbox.SignInFailed:
		return fmt.Sprintf("Partner %s cannot sign in: %s", code(d.Partner), failure(d))
	}
	return fmt.Sprintf("%s: customer %s", n.Type, customer(d)) // of a newer release
}

// customer returns the name of the customer, if there is one, and the id.
func customer(d outbox.EventData) string {
	if d.CompanyName == nil || strings.TrimSpace(*d.CompanyName) == "" {
		return code(d.CustomerID)
	}
	return fmt.Sprintf("%s (%s)", code(*d.CompanyName), d.CustomerID)
}

func devices(d outbox.EventData) string {
	if d.DevicesCount == nil {
		return ""
	}
	return ", with " + plural.Of(*d.DevicesCount, "device", "devices")
}

func failure(d outbox.EventData) string {
	if d.RequestID == "" {
		return code(d.Error)
	}
	return code(d.Error) + " (request " + code(d.RequestID) + ")"
}

func optional(s *string) string {
	if s == nil {
		return "none"
	}
	return code(*s)
}

func utc(t *time.Time) string {
	if t == nil {
		return "an unknown time"
	}
	return t.UTC().Format("2006-01-02 15:04 MST")
}

// code returns s as code in Markdown, without line ends and control characters. It escapes the characters that
// would end the code, and the three that Slack interprets even there
// (https://api.slack.com/reference/surfaces/formatting#escaping).
func code(s string) string {
	escape := strings.NewReplacer("`", "'", "&", "&amp;", "<", "&lt;", ">", "&gt;")
	return "`" + escape.Replace(sanitize.Line(s)) + "`"
}
