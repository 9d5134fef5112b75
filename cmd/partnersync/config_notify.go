package main

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"partnersync/store"
	"partnersync/sync/notify"
	"partnersync/sync/partnercenter"
)

// notifyConfig is what the configuration says of one webhook.
type notifyConfig struct {
	Name         string               // unique; the URL's host if the file has none
	URL          partnercenter.Secret // http or https
	Keys         []partnercenter.Secret
	Format       string   // notify.CloudEvents or notify.Text
	Events       []string // nil: all
	Partners     []string // nil: all
	StuckAfter   time.Duration
	FailingAfter int // passes
}

// notify reads the list of webhooks; there may be none. partners are those that the configuration has.
func (s *section) notify(key string, partners []partnerConfig) (hooks []notifyConfig) {
	if !s.has(key) {
		return nil
	}
	items, _ := s.list(key)
	lines := map[string]int{}
	for _, item := range items {
		entries, ok := mapping(item.node)
		if !ok {
			s.doc.mistake(item.place, "an entry is keys and values; write - url: https://… and its other keys below")
			continue
		}
		if len(entries) > 0 {
			item.place = placeOf(entries[0].Key, key)
		}
		hooks = append(hooks, s.doc.section(entries, item.place).webhook(partners, lines))
	}
	return hooks
}

// webhook reads one webhook. lines are those of the names that are taken.
func (s *section) webhook(partners []partnerConfig, lines map[string]int) notifyConfig {
	c := notifyConfig{
		URL:          s.webhookURL("url"),
		Keys:         s.webhookKeys("secret", "secret_file"),
		Format:       notify.CloudEvents,
		Events:       s.someOf("events", "event", store.EventTypes()),
		StuckAfter:   s.duration("stuck_after", 24*time.Hour, time.Second),
		FailingAfter: s.number("failing_after", 3, 1, 1000),
	}
	if v, ok := s.scalar("format"); ok {
		if v.text != notify.CloudEvents && v.text != notify.Text {
			v.wrong("%s is no format; write cloudevents, or text for Slack and Teams", v)
		}
		c.Format = v.text
	}
	var names []string
	for _, p := range partners {
		names = append(names, p.Name)
	}
	c.Partners = s.someOf("partners", "partner", names)
	c.Name = s.webhookName("name", c.URL, lines)
	s.finish()
	return c
}

// webhookName reads what the webhook is called in logs and metrics, and in the outbox.
func (s *section) webhookName(key string, hook partnercenter.Secret, lines map[string]int) string {
	at, name := s.at, ""
	if v, ok := s.scalar(key); ok {
		if !printableName(v.text) {
			v.wrong("%s is no name; write 1 to 64 printable characters, without spaces around them", v)
			return ""
		}
		at, name = v.place, v.text
	} else if u, err := url.Parse(hook.Reveal()); err == nil {
		name = u.Host
	}
	at.key = key
	line, twice := lines[name]
	switch {
	case name == "":
	case twice:
		s.doc.mistake(at, "is that of the entry on line %d already, since an entry without one is named after its host; give each its own name", line)
	default:
		lines[name] = at.line
	}
	return name
}

// webhookURL reads the URL of a receiver. Nothing of it is shown: a chat's is a secret as a whole.
func (s *section) webhookURL(key string) partnercenter.Secret {
	const fix = "; write the one that the receiver gives, such as https://hooks.slack.com/services/…"
	if !s.has(key) {
		s.missing(key, "write the one that the receiver gives")
	}
	v, ok := s.scalar(key)
	if !ok {
		return ""
	}
	u, err := url.Parse(v.text)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		v.wrong("is no absolute http or https URL" + fix)
		return ""
	case inTheClear(u):
		v.warn("http:// off this machine sends names of customers in the clear; use https://")
	}
	return partnercenter.Secret(v.text)
}

// webhookKeys reads the secrets that sign what is sent: one, or the lines of a file, which may have the old one and the new.
func (s *section) webhookKeys(inline, file string) (keys []partnercenter.Secret) {
	text := ""
	v, given := s.scalar(inline)
	if given {
		text = v.text
	}
	if inFile, ok := s.scalar(file); ok {
		if given {
			inFile.wrong("stands beside %s; keep one of the two", inline)
		}
		data, err := readAtMost(inFile.text, 64<<10)
		if err != nil {
			inFile.wrong("%s cannot be read: %v; put the secret that the receiver checks there, or remove the line", inFile, err)
			return nil
		}
		inFile.warnIfExposed()
		v, given, text = inFile, true, string(data)
	}
	for _, line := range strings.Fields(text) {
		keys = append(keys, partnercenter.Secret(line))
		if _, err := notify.ParseKey(partnercenter.Secret(line)); err != nil {
			v.wrong("%v; write whsec_ and 24 to 64 bytes in base64, such as openssl rand -base64 32 makes", err)
		}
	}
	if given && len(keys) == 0 {
		v.wrong("holds no secret; write whsec_ and 24 to 64 bytes in base64, such as openssl rand -base64 32 makes")
	}
	return keys
}

// someOf reads a list of some of the known words; nil, which is all of them, where there is no such key.
func (s *section) someOf(key, what string, known []string) []string {
	if !s.has(key) {
		return nil
	}
	items, ok := s.list(key)
	if ok && len(items) == 0 {
		s.doc.mistake(s.entries[key].place, "is an empty list; name one, or remove the line for all")
	}
	some := []string{}
	for _, item := range items {
		v, ok := s.doc.scalar(item)
		switch {
		case !ok:
		case !slices.Contains(known, v.text):
			v.wrong("%s is no %s known here; known are %s", v, what, strings.Join(known, ", "))
		case slices.Contains(some, v.text):
			v.wrong("%s is here a second time; keep one of the two", v)
		default:
			some = append(some, v.text)
		}
	}
	return some
}
