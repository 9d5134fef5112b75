package notify

import (
	"fmt"
	"strings"

	"partnersync/store/outbox"
	"partnersync/store/plural"
)

const (
	maxGathered = 100    // events of a card
	maxShown    = 25     // events that a card shows in full: no more fit
	maxCard     = 27_999 // bytes of a message; Teams refuses larger ones
)

// teamsMessage is what a workflow of Teams posts to a channel: a message with an Adaptive Card. What would make it too
// large is left out, and counted; the ids of all events are in it.
func teamsMessage(all []outbox.Notification, pageURL string) (body []byte, err error) {
	summaries := summarizeAll(all)
	for shown := min(len(all), maxShown); ; shown-- {
		body, err = marshal(teamsEnvelope{
			Type: "message",
			Attachments: []teamsAttachment{{
				ContentType: "application/vnd.microsoft.card.adaptive",
				Content:     newCard(summaries, shown, pageOf(pageURL, all)),
			}},
		})
		if err != nil || len(body) <= maxCard || shown == 0 {
			return body, err
		}
	}
}

type teamsEnvelope struct {
	Type        string            `json:"type"`
	Attachments []teamsAttachment `json:"attachments"`
}

type teamsAttachment struct {
	ContentType string  `json:"contentType"`
	ContentURL  *string `json:"contentUrl"` // null: the content is here
	Content     card    `json:"content"`
}

// card is an Adaptive Card (https://adaptivecards.io/explorer/AdaptiveCard.html).
type card struct {
	Schema  string       `json:"$schema"`
	Type    string       `json:"type"`
	Version string       `json:"version"` // workflows take none above 1.4
	Body    []element    `json:"body"`
	Actions []cardAction `json:"actions,omitempty"`
}

// element is a RichTextBlock, whose text is no Markdown, or a Container of them.
type element struct {
	Type      string    `json:"type"`
	ID        string    `json:"id,omitempty"`
	Spacing   string    `json:"spacing,omitempty"`
	Separator bool      `json:"separator,omitempty"`
	IsVisible *bool     `json:"isVisible,omitempty"` // nil: it is
	Items     []element `json:"items,omitempty"`
	Inlines   []textRun `json:"inlines,omitempty"`
}

type textRun struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Color    colour `json:"color,omitempty"`
	FontType string `json:"fontType,omitempty"`
	Size     string `json:"size,omitempty"`
	Weight   string `json:"weight,omitempty"`
	IsSubtle bool   `json:"isSubtle,omitempty"`
}

type cardAction struct {
	Type           string   `json:"type"`
	Title          string   `json:"title"`
	URL            string   `json:"url,omitempty"`
	TargetElements []string `json:"targetElements,omitempty"`
}

// newCard returns a card of events, of which it shows so many in full and leaves out the rest.
func newCard(all []summary, shown int, page string) card {
	c := card{Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.4"}
	if len(all) > 1 {
		c.Body = append(c.Body,
			line("", textRun{Text: fmt.Sprintf("%d events", len(all)), Size: "large", Weight: "bolder"}),
			line("none", textRun{Text: countByTitle(all), IsSubtle: true}))
	}
	for _, s := range all[:shown] {
		c.Body = append(c.Body, container(s, len(c.Body) > 0))
	}
	if page != "" {
		c.Actions = append(c.Actions, cardAction{Type: "Action.OpenUrl", Title: "Open status page", URL: page})
	}
	if leftOut := all[shown:]; len(leftOut) > 0 {
		const others = "others"
		var ids []string
		for _, s := range leftOut {
			ids = append(ids, s.eventID)
		}
		hidden := line("small", textRun{Text: strings.Join(ids, ", "), FontType: "monospace", Size: "small"})
		hidden.ID, hidden.IsVisible = others, new(false)
		what := line("medium", textRun{Text: fmt.Sprintf("Left out for want of space: %s (%s).",
			plural.Of(len(leftOut), "event", "events"), countByTitle(leftOut))})
		what.Separator = true
		c.Body = append(c.Body, what, hidden)
		c.Actions = append(c.Actions,
			cardAction{Type: "Action.ToggleVisibility", Title: "Ids of those left out", TargetElements: []string{others}})
	}
	return c
}

// container returns an event as a card shows it.
func container(s summary, separator bool) element {
	box := element{Type: "Container", Separator: separator, Spacing: "medium"}
	box.Items = append(box.Items, line("", textRun{Text: "● ", Color: s.colour, Size: "medium"},
		textRun{Text: s.title, Size: "medium", Weight: "bolder"}))
	for _, f := range s.facts {
		box.Items = append(box.Items,
			line("none", textRun{Text: f.name + ": ", IsSubtle: true}, textRun{Text: f.value}))
	}
	if s.err != "" {
		box.Items = append(box.Items, line("small", textRun{Text: s.err, FontType: "monospace"}))
	}
	spacing := "small"
	for _, f := range s.ids {
		box.Items = append(box.Items, line(spacing, textRun{Text: f.name + ": ", IsSubtle: true, Size: "small"},
			textRun{Text: f.value, FontType: "monospace", Size: "small"}))
		spacing = "none"
	}
	return box
}

// line returns a paragraph. What looks like one of the functions of Adaptive Cards, such as {{DATE(…)}}, is divided, so
// that it is shown as it is.
func line(spacing string, runs ...textRun) element {
	e := element{Type: "RichTextBlock", Spacing: spacing}
	for _, r := range runs {
		r.Type = "TextRun"
		for i := strings.Index(r.Text, "{{"); i >= 0; i = strings.Index(r.Text, "{{") {
			first := r
			first.Text, r.Text = r.Text[:i+1], r.Text[i+1:]
			e.Inlines = append(e.Inlines, first)
		}
		e.Inlines = append(e.Inlines, r)
	}
	return e
}
