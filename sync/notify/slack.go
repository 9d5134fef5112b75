package notify

import (
	"partnersync/store/outbox"
	"partnersync/store/sanitize"
)

// slackMessage is what an incoming webhook of Slack takes (https://docs.slack.dev/reference/block-kit/blocks): blocks,
// and a line for where those are not shown.
func slackMessage(n outbox.Notification, pageURL string) any {
	s := summarize(n)
	const maxHeader = 140 // Slack takes no more than 150
	title := slackElement{Type: "plain_text", Text: sanitize.Shorten(s.title, maxHeader)}
	body := slackElement{Type: "rich_text"}
	body.Elements = append(body.Elements, section(s.facts, nil))
	if s.err != "" {
		body.Elements = append(body.Elements,
			slackElement{Type: "rich_text_preformatted", Elements: []slackElement{{Type: "text", Text: s.err}}})
	}
	body.Elements = append(body.Elements, section(s.ids, map[string]bool{"code": true}))
	if page := pageOf(pageURL, []outbox.Notification{n}); page != "" {
		body.Elements = append(body.Elements, slackElement{
			Type: "rich_text_section", Elements: []slackElement{{Type: "link", URL: page, Text: "Open status page"}},
		})
	}
	return struct {
		Text   string         `json:"text"`
		Blocks []slackElement `json:"blocks"`
	}{text(n), []slackElement{{Type: "header", Text: title}, body}}
}

// slackElement is a block or a part of one. The text of a rich_text block is no Markdown.
type slackElement struct {
	Type     string          `json:"type"`
	Text     any             `json:"text,omitempty"` // a string, or that of a header
	URL      string          `json:"url,omitempty"`
	Style    map[string]bool `json:"style,omitempty"`
	Elements []slackElement  `json:"elements,omitempty"`
}

// section returns a line for each fact, with values in a style.
func section(facts []fact, style map[string]bool) slackElement {
	e := slackElement{Type: "rich_text_section"}
	for i, f := range facts {
		name := f.name + ": "
		if i > 0 {
			name = "\n" + name
		}
		e.Elements = append(e.Elements, slackElement{Type: "text", Text: name, Style: map[string]bool{"bold": true}},
			slackElement{Type: "text", Text: f.value, Style: style})
	}
	return e
}
