package notify

import (
	"encoding/json"
	"net/url"
	"time"

	"partnersync/store/outbox"
	"partnersync/store/sanitize"
)

// Formats of what is sent.
const (
	CloudEvents = "cloudevents" // CloudEvents 1.0, JSON, structured mode
	Teams       = "teams"       // an Adaptive Card of several events, as the workflows of Teams take it
	Slack       = "slack"       // blocks, as the incoming webhooks of Slack take them
	Text        = "text"        // {"text": "…"}
)

// Formats returns all formats, in the order of the documentation.
func Formats() []string { return []string{CloudEvents, Teams, Slack, Text} }

// cloudEvent is an event in the JSON format of CloudEvents 1.0, structured mode
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md).
type cloudEvent struct {
	SpecVersion     string           `json:"specversion"`
	ID              string           `json:"id"`
	Source          string           `json:"source"`
	Type            string           `json:"type"`
	Subject         string           `json:"subject,omitempty"`
	Time            time.Time        `json:"time"`
	DataContentType string           `json:"datacontenttype"`
	Data            outbox.EventData `json:"data"`
}

// message returns the body to send and its type. Only that of Teams may have several notifications. pageURL is where
// people see the status page, "" if that is not known.
func message(format, pageURL string, all []outbox.Notification) (body []byte, contentType string, err error) {
	n, contentType := all[0], "application/json; charset=utf-8"
	switch format {
	case Teams:
		body, err = teamsMessage(all, pageURL)
	case Slack:
		body, err = marshal(slackMessage(n, pageURL))
	case Text:
		body, err = marshal(map[string]string{"text": text(n)})
	default:
		contentType = "application/cloudevents+json; charset=utf-8"
		body, err = marshal(cloudEvent{
			SpecVersion: "1.0", ID: n.MessageID, Source: "/partners/" + url.PathEscape(n.Data.Partner), Type: n.Type,
			Subject: subject(n.Data), Time: n.CreatedAt.UTC(), DataContentType: "application/json", Data: n.Data,
		})
	}
	return body, contentType, err
}

// marshal returns the document with control characters escaped, in case the receiver logs it.
func marshal(document any) ([]byte, error) {
	body, err := json.Marshal(document)
	return sanitize.JSON(body), err
}

// subject returns the path of the event's subject in the API; "" for a partner.
func subject(d outbox.EventData) string {
	switch {
	case d.BatchID != "":
		return "/customers/" + d.CustomerID + "/deviceBatches/" + url.PathEscape(d.BatchID)
	case d.CustomerID != "":
		return "/customers/" + d.CustomerID
	}
	return ""
}
