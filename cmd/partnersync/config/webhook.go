package config

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"partnersync/store/outbox"
	"partnersync/sync/notify"
	"partnersync/sync/partnercenter"
)

// Webhook is what the configuration says of one webhook.
type Webhook struct {
	Name         string                 // unique; the URL's host if the file gives none
	URL          partnercenter.Secret   // http or https
	Keys         []partnercenter.Secret // that sign what is sent
	Format       string                 // one of notify.Formats
	Events       []string               // nil: all
	Partners     []string               // nil: all
	StuckAfter   time.Duration
	FailingAfter int // passes
}

// webhooks reads the list of webhooks, which may be absent. partners are those of the configuration.
func (s *section) webhooks(key string, partners []Partner) (hooks []Webhook) {
	if !s.has(key) {
		return nil
	}
	lines := map[string]int{} // by name
	for _, item := range s.sections(key, "- url: https://…") {
		hooks = append(hooks, item.webhook(partners, lines))
	}
	return hooks
}

// webhook reads one webhook. lines are those of the webhooks read so far, by name.
func (s *section) webhook(partners []Partner, lines map[string]int) Webhook {
	hook := Webhook{
		URL:          s.webhookURL("url"),
		Keys:         s.webhookKeys("secret", "secret_file"),
		Format:       notify.CloudEvents,
		Events:       s.subset("events", "event", outbox.EventTypes()),
		StuckAfter:   s.duration("stuck_after", 24*time.Hour, time.Second),
		FailingAfter: s.number("failing_after", 3, 1, 1000),
	}
	if v, ok := s.scalar("format"); ok {
		if !slices.Contains(notify.Formats(), v.text) {
			v.wrong("%s is not a format; write one of %s", v, strings.Join(notify.Formats(), ", "))
		}
		hook.Format = v.text
	}
	var names []string
	for _, p := range partners {
		names = append(names, p.Name)
	}
	hook.Partners = s.subset("partners", "partner", names)
	hook.Name = s.webhookName("name", hook.URL, lines)
	s.finish()
	return hook
}

// webhookName reads the name of a webhook in logs, metrics and the outbox, or takes the host of its URL.
func (s *section) webhookName(key string, hookURL partnercenter.Secret, lines map[string]int) string {
	at, name := s.at, ""
	if v, ok := s.scalar(key); ok {
		if !printableName(v.text) {
			v.wrong("%s is not a valid name; write 1 to 64 printable characters, without spaces around them", v)
			return ""
		}
		at, name = v.position, v.text
	} else if u, err := url.Parse(hookURL.Reveal()); err == nil {
		name = u.Host
	}
	at.key = key
	line, twice := lines[name]
	switch {
	case name == "":
	case twice:
		s.doc.mistake(at, "is that of the entry on line %d already, "+
			"since an entry without one is named after its host; give each its own name", line)
	default:
		lines[name] = at.line
	}
	return name
}

// webhookURL reads the URL of a receiver. Messages do not show any of it: a chat's URL is a secret as a whole.
func (s *section) webhookURL(key string) partnercenter.Secret {
	const fix = "; write the one that the receiver gives, such as https://hooks.slack.com/services/…"
	if !s.has(key) {
		s.missing(key, "write the one that the receiver gives")
	}
	v, ok := s.scalar(key)
	if !ok {
		return ""
	}
	v.isSecret()
	u, err := url.Parse(v.text)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		v.wrong("is not an absolute http or https URL" + fix)
		return ""
	case inTheClear(u):
		v.warn("http:// off this machine sends names of customers in the clear; use https://")
	case strings.HasSuffix(strings.ToLower(u.Hostname()), ".webhook.office.com"):
		v.warn("is that of a connector of Teams, which are gone; make a workflow, and write its URL and format: teams")
	}
	return partnercenter.Secret(v.text)
}

// webhookKeys reads the keys that sign what is sent: one in the configuration itself, or the lines of a file, which may
// hold an old key and its successor.
func (s *section) webhookKeys(inline, file string) (keys []partnercenter.Secret) {
	const fix = "write whsec_ and 24 to 64 bytes in base64, such as openssl rand -base64 32 makes"
	v, given := s.scalar(inline)
	text := v.text
	if given {
		v.isSecret()
	}
	if inFile, ok := s.scalar(file); ok {
		if given {
			inFile.wrong("is set along with %s; keep one of the two", inline)
		}
		if text, ok = inFile.secretFile("put the secret that the receiver checks there, or remove the line"); !ok {
			return nil
		}
		v, given = inFile, true
	}
	for line := range strings.FieldsSeq(text) {
		keys = append(keys, partnercenter.Secret(line))
		if _, err := notify.ParseKey(partnercenter.Secret(line)); err != nil {
			v.wrong("%v; %s", err, fix)
		}
	}
	if given && len(keys) == 0 {
		v.wrong("holds no secret; %s", fix)
	}
	return keys
}

// subset reads a list of some of the known words; nil, which means all of them, if there is no such key.
func (s *section) subset(key, what string, known []string) []string {
	if !s.has(key) {
		return nil
	}
	items, ok := s.list(key)
	if ok && len(items) == 0 {
		s.doc.mistake(s.entries[key].position, "is an empty list; name one, or remove the line for all")
	}
	some := []string{}
	for _, item := range items {
		v, ok := s.doc.scalar(item)
		switch {
		case !ok:
		case !slices.Contains(known, v.text):
			v.wrong("%s is not a known %s; known are %s", v, what, strings.Join(known, ", "))
		case slices.Contains(some, v.text):
			v.wrong("%s is repeated; keep one of the two", v)
		default:
			some = append(some, v.text)
		}
	}
	return some
}
