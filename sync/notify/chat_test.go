package notify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"partnersync/store/outbox"
	"partnersync/store/plural"
	"partnersync/store/sanitize"
)

const page = "https://sync.example.com/partnersync/"

// failing is the event whose summary has the most parts.
var failing = func() outbox.Notification {
	n := of(outbox.CustomerFailing, outbox.EventData{ConsecutiveFailures: 3, FailingSince: &noon, ErrorCode: "20002",
		Error: "GET https://api.example/v1: 403\nForbidden", RequestID: "1a2b", CorrelationID: "3c4d"})
	n.MessageID = "00000000-0000-0000-0000-000000000001"
	return n
}()

// readCard reads a message for Teams, which may hold nothing but what this package writes, and checks what the schema of
// Adaptive Cards 1.4 asks of it.
func readCard(t *testing.T, body []byte) card {
	t.Helper()
	var message struct {
		Type        string
		Attachments []struct {
			ContentType string
			Content     json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &message); err != nil {
		t.Fatal(err)
	}
	if message.Type != "message" || len(message.Attachments) != 1 ||
		message.Attachments[0].ContentType != "application/vnd.microsoft.card.adaptive" {
		t.Fatalf("the envelope is %s", body)
	}
	var c card
	decoder := json.NewDecoder(bytes.NewReader(message.Attachments[0].Content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		t.Fatal(err)
	}
	if c.Type != "AdaptiveCard" || c.Version != "1.4" || len(c.Body) == 0 {
		t.Errorf("the card is a %s of version %s with %d elements", c.Type, c.Version, len(c.Body))
	}
	for _, e := range c.Body {
		checkElement(t, e)
	}
	for _, a := range c.Actions {
		if a.Title == "" || (a.Type == "Action.OpenUrl") != (a.URL != "") ||
			(a.Type == "Action.ToggleVisibility") != (len(a.TargetElements) == 1) {
			t.Errorf("action %+v", a)
		}
	}
	return c
}

func checkElement(t *testing.T, e element) {
	t.Helper()
	oneOf := func(what, got string, known ...string) {
		t.Helper()
		if got != "" && !slices.Contains(known, got) {
			t.Errorf("%s is %q", what, got)
		}
	}
	oneOf("spacing", e.Spacing, "none", "small", "medium")
	switch e.Type {
	case "Container":
		if len(e.Items) == 0 || e.Inlines != nil {
			t.Errorf("container %+v", e)
		}
		for _, item := range e.Items {
			checkElement(t, item)
		}
	case "RichTextBlock":
		if len(e.Inlines) == 0 || e.Items != nil {
			t.Errorf("text %+v", e)
		}
		for _, r := range e.Inlines {
			oneOf("color", string(r.Color), "good", "warning", "attention")
			oneOf("font", r.FontType, "monospace")
			oneOf("size", r.Size, "small", "medium", "large")
			oneOf("weight", r.Weight, "bolder")
			if r.Type != "TextRun" || r.Text == "" || strings.Contains(r.Text, "{{") {
				t.Errorf("run %+v", r)
			}
		}
	default:
		t.Errorf("%s, whose text may be Markdown", e.Type)
	}
}

// lines returns what can be read on the card, without what is hidden; monospace as `code`, and --- for a separator.
func (c card) lines() (lines []string) {
	var add func(elements []element)
	add = func(elements []element) {
		for _, e := range elements {
			if e.Separator {
				lines = append(lines, "---")
			}
			line := ""
			for _, r := range e.Inlines {
				if r.FontType == "monospace" {
					r.Text = "`" + r.Text + "`"
				}
				line += r.Text
			}
			if line != "" && e.IsVisible == nil {
				lines = append(lines, line)
			}
			add(e.Items)
		}
	}
	add(c.Body)
	for _, a := range c.Actions {
		lines = append(lines, "["+a.Title+"]("+a.URL+strings.Join(a.TargetElements, ",")+")")
	}
	return lines
}

// teamsCard returns the card about the events.
func teamsCard(t *testing.T, pageURL string, all ...outbox.Notification) (c card, body []byte) {
	t.Helper()
	body, contentType, err := message(Teams, pageURL, all)
	if err != nil || contentType != "application/json; charset=utf-8" {
		t.Fatalf("type %s, error %v", contentType, err)
	}
	return readCard(t, body), body
}

func TestMessage_card(t *testing.T) {
	t.Parallel()
	removed := of(outbox.BatchRemoved,
		outbox.EventData{BatchID: "a b", Status: ptr("queued"), FromStatus: ptr("queued"), DevicesCount: ptr(int32(0))})
	finished := of(outbox.BatchFinished,
		outbox.EventData{BatchID: "a b", Status: ptr("finished"), FromStatus: ptr("processing")})
	tests := []struct {
		name   string
		page   string
		events []outbox.Notification
		want   []string
	}{
		{"one", page, []outbox.Notification{failing}, []string{
			"● Customer failing", "Customer: Contoso", "Failed since: 2026-03-01 12:00 UTC, in 3 passes in a row",
			"Partner: contoso", "Noted: 2026-03-01 12:00 UTC", "`GET https://api.example/v1: 403 Forbidden`",
			"Error code: `20002`", "Request id: `1a2b`", "Correlation id: `3c4d`", "Customer id: `" + alpha + "`",
			"Event id: `" + failing.MessageID + "`",
			"[Open status page](https://sync.example.com/partnersync/customers/" + alpha + ")",
		}},
		{"one of a batch", page, []outbox.Notification{removed}, []string{
			"● Batch removed", "Customer: Contoso", "Batch: a b", "Status: queued", "Devices: 0", "Partner: contoso",
			"Noted: 2026-03-01 12:00 UTC", "Customer id: `" + alpha + "`", "Event id: `" + removed.MessageID + "`",
			"[Open status page](https://sync.example.com/partnersync/customers/" + alpha + "?batch=a+b)",
		}},
		{"several, the urgent first, and no page", "", []outbox.Notification{finished, examples[6].notification},
			[]string{
				"2 events", "1\u00a0×\u00a0Partner cannot sign in, 1\u00a0×\u00a0Batch finished", "---",
				"● Partner cannot sign in", "Partner: contoso", "Noted: 0001-01-01 00:00 UTC",
				"`AADSTS7000215: wrong secret`", "---",
				"● Batch finished", "Customer: Contoso", "Batch: a b", "Status: processing → finished", "Partner: contoso",
				"Noted: 2026-03-01 12:00 UTC", "Customer id: `" + alpha + "`", "Event id: `" + finished.MessageID + "`",
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, _ := teamsCard(t, tt.page, tt.events...)
			if diff := cmp.Diff(tt.want, c.lines()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestMessage_cardOfEachEvent(t *testing.T) {
	t.Parallel()
	for _, tt := range examples {
		c, _ := teamsCard(t, "", tt.notification)
		if _, known := titles[tt.notification.Type]; !known && c.lines()[0] != "● "+tt.notification.Type {
			t.Errorf("the title of %s is %s", tt.notification.Type, c.lines()[0])
		}
	}
	for _, kind := range outbox.EventTypes() {
		if _, known := titles[kind]; !known {
			t.Errorf("%s has no title", kind)
		}
	}
}

// Teams refuses a message of 28 kB. However long names and errors are, a card has the id of each event, and says how many
// it does not show.
func TestMessage_cardIsSmallEnough(t *testing.T) {
	t.Parallel()
	wide := strings.Repeat("<", 300)
	long := outbox.EventData{Partner: strings.Repeat("&", 64), CompanyName: &wide, BatchID: strings.Repeat("<", 1000),
		Status: &wide, FromStatus: ptr(wide[1:]), CreatedBy: &wide, StatusSince: &noon, DevicesCount: ptr(int32(7))}
	failed := outbox.EventData{Partner: long.Partner, CompanyName: &wide, Error: strings.Repeat("\u00a0", 750),
		ErrorCode: wide, RequestID: wide, CorrelationID: wide, ConsecutiveFailures: 3, FailingSince: &noon}
	for _, n := range []int{1, 2, 26, maxGathered} {
		for name, data := range map[string]outbox.EventData{"short": {Partner: "contoso"}, "long": long, "failed": failed} {
			t.Run(fmt.Sprint(n, " ", name), func(t *testing.T) {
				t.Parallel()
				var all []outbox.Notification
				for i := range n {
					all = append(all, outbox.Notification{
						Type: outbox.BatchStuck, MessageID: fmt.Sprintf("id-%032d.", i), CreatedAt: noon, Data: data,
					})
				}
				c, body := teamsCard(t, page, all...)
				if len(body) >= 28_000 {
					t.Errorf("%d bytes", len(body))
				}
				for _, each := range all {
					if !bytes.Contains(body, []byte(each.MessageID)) {
						t.Errorf("it lacks the event %s", each.MessageID)
					}
				}
				lines := c.lines()
				shown := 0
				for _, line := range lines {
					if line == "● Batch stuck" {
						shown++
					}
				}
				leftOut := fmt.Sprintf("Left out for want of space: %s (%d\u00a0×\u00a0Batch stuck).",
					plural.Of(n-shown, "event", "events"), n-shown)
				if said := slices.Contains(lines, leftOut); shown == 0 || said != (shown < n) {
					t.Errorf("%d of %d events are shown, and it says so: %v", shown, n, said)
				}
			})
		}
	}
}

func TestMessage_slack(t *testing.T) {
	t.Parallel()
	body, contentType, err := message(Slack, page, []outbox.Notification{failing})
	if err != nil || contentType != "application/json; charset=utf-8" {
		t.Fatalf("type %s, error %v", contentType, err)
	}
	var got any
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	type object = map[string]any
	bold, code := object{"bold": true}, object{"code": true}
	element := func(text string, style object) object {
		if style == nil {
			return object{"type": "text", "text": text}
		}
		return object{"type": "text", "text": text, "style": style}
	}
	want := object{
		"text": text(failing),
		"blocks": []any{
			object{"type": "header", "text": object{"type": "plain_text", "text": "Customer failing"}},
			object{"type": "rich_text", "elements": []any{
				object{"type": "rich_text_section", "elements": []any{
					element("Customer: ", bold), element("Contoso", nil),
					element("\nFailed since: ", bold), element("2026-03-01 12:00 UTC, in 3 passes in a row", nil),
					element("\nPartner: ", bold), element("contoso", nil),
					element("\nNoted: ", bold), element("2026-03-01 12:00 UTC", nil),
				}},
				object{"type": "rich_text_preformatted", "elements": []any{
					element("GET https://api.example/v1: 403 Forbidden", nil),
				}},
				object{"type": "rich_text_section", "elements": []any{
					element("Error code: ", bold), element("20002", code),
					element("\nRequest id: ", bold), element("1a2b", code),
					element("\nCorrelation id: ", bold), element("3c4d", code),
					element("\nCustomer id: ", bold), element(alpha, code),
					element("\nEvent id: ", bold), element(failing.MessageID, code),
				}},
				object{"type": "rich_text_section", "elements": []any{
					object{"type": "link", "url": "https://sync.example.com/partnersync/customers/" + alpha,
						"text": "Open status page"},
				}},
			}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestPageOf(t *testing.T) {
	t.Parallel()
	const base = "https://sync.example.com/a"
	batch := of(outbox.BatchStuck, outbox.EventData{BatchID: "../a&b=c"})
	other := batch
	other.Data.CustomerID = "45c44870-ef77-4fdd-b6fe-3dacb075cff2"
	partner := outbox.Notification{Type: outbox.SignInFailed, Data: outbox.EventData{Partner: "contoso"}}
	tests := []struct {
		name, base string
		all        []outbox.Notification
		want       string
	}{
		{"not known", "", []outbox.Notification{batch}, ""},
		{"a batch", base, []outbox.Notification{batch}, base + "/customers/" + alpha + "?batch=..%2Fa%26b%3Dc"},
		{"several of a customer", base + "/", []outbox.Notification{batch, failing}, base + "/customers/" + alpha},
		{"of two customers", base, []outbox.Notification{batch, other}, base + "/"},
		{"a partner", base + "/", []outbox.Notification{partner}, base + "/"},
		{"at a host's root", "https://sync.example.com", []outbox.Notification{partner}, "https://sync.example.com/"},
	}
	for _, tt := range tests {
		if got := pageOf(tt.base, tt.all); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// FuzzCard checks that a name is shown as it is, whatever is in it, and as nothing else.
func FuzzCard(f *testing.F) {
	for _, seed := range []string{"Contoso", "", "**bold** [a](https://b.example)", "{{DATE(2017-02-14T06:08:39Z)}}",
		"{{{{TIME(", "<at>all</at>", "\x1b[31mred\x1b[0m", "a\u202eb\u2028c\r\nd", "\xff", " "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		name = sanitize.ForStorage(name)
		n := of(outbox.BatchStuck, outbox.EventData{BatchID: "b"})
		n.Data.CompanyName = &name
		c, _ := teamsCard(t, page, n)
		lines := c.lines()
		shown := slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "Customer: ") })
		want := strings.TrimSpace(sanitize.Line(name))
		if shown != (want != "") || shown && !slices.Contains(lines, "Customer: "+want) {
			t.Errorf("%q is shown as %q", name, lines)
		}
	})
}
