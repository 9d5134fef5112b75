package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/store/outbox"
	"partnersync/sync/notify"
	"partnersync/sync/partnercenter"
)

const (
	webhookKey      = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	otherWebhookKey = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
)

// notified is the minimal configuration with one webhook, whose lines begin with the seventh of the file.
func notified(lines ...string) string {
	return minimal + "notify:\n  - " + strings.Join(lines, "\n    ") + "\n"
}

func TestLoad_webhooks(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(webhookKey+"\n"+otherWebhookKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	day := 24 * time.Hour
	tests := []struct {
		name, content string
		want          Webhook
	}{
		{"the least", notified("url: https://hooks.example.com/a?b"),
			Webhook{Name: "hooks.example.com", URL: "https://hooks.example.com/a?b", Format: "cloudevents",
				StuckAfter: day, FailingAfter: 3}},
		{"everything", notified("name: chat", "url: ${HOOK}", "format: text", "events: [batch.stuck, customer.failing]",
			"partners: [contoso]",
			"secret: "+webhookKey, "stuck_after: 2d", "failing_after: 1"),
			Webhook{Name: "chat", URL: "https://u:p@hooks/x", Format: "text",
				Events: []string{"batch.stuck", "customer.failing"}, Partners: []string{"contoso"},
				Keys: []partnercenter.Secret{webhookKey}, StuckAfter: 2 * day, FailingAfter: 1}},
		{"for a chat", notified("url: https://a.example", "format: teams"),
			Webhook{Name: "a.example", URL: "https://a.example", Format: "teams", StuckAfter: day, FailingAfter: 3}},
		{"two keys in a file", notified("url: http://localhost:8080/", "secret_file: "+file),
			Webhook{Name: "localhost:8080", URL: "http://localhost:8080/", Format: "cloudevents",
				Keys:       []partnercenter.Secret{webhookKey, otherWebhookKey},
				StuckAfter: day, FailingAfter: 3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := load(t, tt.content, environment{"DATABASE_URL": databaseURL, "HOOK": "https://u:p@hooks/x"})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]Webhook{tt.want}, c.Webhooks); diff != "" || len(c.Warnings) > 0 {
				t.Errorf("warnings %q, (-want +got)\n%s", c.Warnings, diff)
			}
		})
	}
}

func TestLoad_wrongWebhooks(t *testing.T) {
	t.Parallel()
	const (
		https  = "url: https://a.example/hunter2"
		urlFix = "is not an absolute http or https URL; write the one that the receiver gives, such as " +
			"https://hooks.slack.com/services/…"
		secretFix = "; write whsec_ and 24 to 64 bytes in base64, such as openssl rand -base64 32 makes"
		events    = "batch.finished, batch.finished_with_errors, batch.stuck, batch.removed, customer.failing, " +
			"customer.recovered, partner.sign_in_failed"
		hookKeys = "events, failing_after, format, name, partners, secret, secret_file, stuck_after, url"
		taken    = "is that of the entry on line 7 already, since an entry without one is named after its host; " +
			"give each its own name"
		secretText = "secret: hunter2"
	)
	runMistakeTests(t, []mistakeTest{
		{"no list", minimal + "notify: https://a.example\n",
			`6:1: notify: is not a list; write one item a line, each after "- "`},
		{"no mapping", minimal + "notify:\n  - https\n",
			"7:5: notify: an item is keys and values; write - url: https://… and its other keys below"},
		{"no URL", notified("format: text"), "7:5: url: is missing; write the one that the receiver gives"},
		{"no absolute URL", notified("url: hunter2"), "7:10: url: " + urlFix},
		{"another scheme", notified("url: ftp://hunter2"), "7:10: url: " + urlFix},
		{"unknown key", notified(https, "colour: red"), "8:5: colour: is not a known key; known are " + hookKeys},
		{"unknown format", notified(https, "format: xml"),
			`8:13: format: "xml" is not a format; write one of cloudevents, teams, slack, text`},
		{"unknown event", notified(https, "events: [batch.done]"),
			`8:14: events: "batch.done" is not a known event; known are ` + events},
		{"no event", notified(https, "events: []"),
			"8:5: events: is an empty list; name one, or remove the line for all"},
		{"an event twice", notified(https, "events: [batch.stuck, batch.stuck]"),
			`8:27: events: "batch.stuck" is repeated; keep one of the two`},
		{"unknown partner", notified(https, "partners: [fabrikam]"),
			`8:16: partners: "fabrikam" is not a known partner; known are contoso`},
		{"no key of Standard Webhooks", notified(https, secretText),
			"8:13: secret: does not begin with whsec_" + secretFix},
		{"a short key", notified(https, "secret: whsec_aHVudGVyMg=="),
			"8:13: secret: does not hold 24 to 64 bytes" + secretFix},
		{"no base64", notified(https, "secret: whsec_hunter2!"), "8:13: secret: is no base64 after whsec_" + secretFix},
		{"an empty key", notified(https, "secret: ''"), "8:13: secret: holds no secret" + secretFix},
		{"no file", notified(https, "secret_file: /nowhere"),
			`8:18: secret_file: "/nowhere" cannot be read: no such file or directory; ` +
				"put the secret that the receiver checks there, or remove the line"},
		{"stuck at once", notified(https, "stuck_after: 1ms"),
			`8:18: stuck_after: "1ms" is too short; write at least 1s`},
		{"failing never", notified(https, "failing_after: 0"),
			`8:20: failing_after: "0" is not a number from 1 to 1000; write one such as 3`},
		{"an unprintable name", notified(https, `name: "a\tb"`),
			`8:11: name: "a\tb" is not a valid name; write 1 to 64 printable characters, without spaces around them`},
		{"two of a host", notified(https) + "  - " + https + "\n", "8:5: name: " + taken},
		{"two of a name", notified("name: a.example", https) + "  - " + https + "\n", "9:5: name: " + taken},
	})
}

func TestLoad_warnsOfWebhooks(t *testing.T) {
	t.Parallel()
	tests := []struct{ url, want string }{
		{"http://a.example/hunter2", "in the clear"},
		{"https://contoso.webhook.office.com/webhookb2/hunter2", "a connector of Teams, which are gone"},
	}
	for _, tt := range tests {
		c, err := load(t, notified("url: "+tt.url), env)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], tt.want) || strings.Contains(c.Warnings[0], "hunter2") {
			t.Errorf("warnings: %q, want one of %q", c.Warnings, tt.want)
		}
	}
}

// What deploy/partnersync.yaml has in comments works without them, and webhooks.md tells of each event and format.
func TestDeployed_webhooks(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../deploy/partnersync.yaml")
	if err != nil {
		t.Fatal(err)
	}
	before, example, found := strings.Cut(string(text), "# notify:\n")
	if !found {
		t.Fatal("there is no example")
	}
	secret := filepath.Join(t.TempDir(), "webhook")
	if err := os.WriteFile(secret, []byte(webhookKey), 0o600); err != nil {
		t.Fatal(err)
	}
	example = strings.ReplaceAll(strings.ReplaceAll(example, "#   ", "  "), "/run/secrets/webhook", secret)
	c, err := load(t, before+"notify:\n"+example, environment{
		"DATABASE_URL": databaseURL, "CONTOSO_CLIENT_SECRET": contosoSecret,
		"TEAMS_WEBHOOK_URL": "https://default0123.environment.api.powerplatform.com/a",
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(outbox.EventTypes(), c.Webhooks[0].Events); diff != "" {
		t.Errorf("events of the example: (-want +got)\n%s", diff)
	}
	documentation, err := os.ReadFile("../../../deploy/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range slices.Concat(outbox.EventTypes(), notify.Formats()) {
		if !strings.Contains(string(documentation), "`"+word+"`") {
			t.Errorf("webhooks.md does not tell of %s", word)
		}
	}
}
