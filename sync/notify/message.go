package notify

import (
	"encoding/json"
	"net/url"
	"time"

	"partnersync/store"
	"partnersync/store/sanitize"
)

// cloudEvent is an event in the JSON format of CloudEvents 1.0, structured mode
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md).
type cloudEvent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject,omitempty"`
	Time            time.Time       `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	Data            store.EventData `json:"data"`
}

// message returns the body to send and its type. Control characters are escaped, in case the receiver logs it.
func message(format string, n store.Notification) (body []byte, contentType string, err error) {
	var document any = cloudEvent{
		SpecVersion: "1.0", ID: n.MessageID, Source: "/partners/" + url.PathEscape(n.Data.Partner), Type: n.Type,
		Subject: subject(n.Data), Time: n.CreatedAt.UTC(), DataContentType: "application/json", Data: n.Data,
	}
	contentType = "application/cloudevents+json; charset=utf-8"
	if format == Text {
		document, contentType = map[string]string{"text": text(n)}, "application/json; charset=utf-8"
	}
	body, err = json.Marshal(document)
	return sanitize.JSON(body), contentType, err
}

// subject returns the path of the event's subject in the API; "" for a partner.
func subject(d store.EventData) string {
	switch {
	case d.BatchID != "":
		return "/customers/" + d.CustomerID + "/deviceBatches/" + url.PathEscape(d.BatchID)
	case d.CustomerID != "":
		return "/customers/" + d.CustomerID
	}
	return ""
}
