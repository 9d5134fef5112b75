package main

import (
	"iter"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"

	"partnersync/sync"
	"partnersync/sync/partnercenter"
)

// partnerConfig is what the configuration says of one partner.
type partnerConfig struct {
	Name              string // unique
	Cloud             string // known to partnercenter.CloudNamed
	TenantID          string // a GUID, a domain or the first label of one
	ClientID          string
	ClientSecret      partnercenter.Secret // from the file or from the file it names
	Customers         []string             // ids in lower case; nil: all, and empty: none
	ExcludeCustomers  []string             // ids in lower case; not read even if they are among Customers
	Devices           bool
	Policies          bool
	DevicesRefresh    time.Duration
	RequestsPerMinute int           // 0: no limit of ours
	Concurrency       int           // 1 to 64 customers at a time
	Schedule          sync.Schedule // its own or the configuration's
	APIURL            string        // "": the cloud's
	AuthorityURL      string        // "": the cloud's
}

// tenant is a GUID or a domain, or may become one. It is a segment of the token URL, which must not be "..".
var tenant = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*$`)

// taken says what the partners read so far have taken.
type taken struct {
	names     map[string]int    // line by name
	customers map[string]string // partner's name by customer id
}

// partners reads the list of partners.
func (s *section) partners(key string, c *config) []partnerConfig {
	if !s.has(key) {
		s.missing(key, "list at least one, such as deploy/partnersync.yaml has")
		return nil
	}
	items, ok := s.list(key)
	if ok && len(items) == 0 {
		s.doc.mistake(s.entries[key].place, "is an empty list; list at least one partner")
	}
	var partners []partnerConfig
	earlier := taken{names: map[string]int{}, customers: map[string]string{}}
	for _, item := range items {
		entries, ok := mapping(item.node)
		if !ok {
			s.doc.mistake(item.place, "a partner is keys and values; write - name: contoso and its other keys below")
			continue
		}
		if len(entries) > 0 {
			item.place = placeOf(entries[0].Key, key)
		}
		partners = append(partners, s.doc.section(entries, item.place).partner(c, earlier))
	}
	return partners
}

// partner reads one partner.
func (s *section) partner(c *config, earlier taken) partnerConfig {
	p := partnerConfig{
		Name:              s.partnerName("name", earlier),
		Cloud:             s.cloud("cloud"),
		TenantID:          s.tenantID("tenant_id"),
		ClientID:          s.required("client_id", "write the id that Entra shows for the application"),
		ClientSecret:      s.clientSecret(),
		ExcludeCustomers:  s.excludedCustomers("exclude_customers"),
		Devices:           s.flag("devices", true),
		Policies:          s.flag("policies", true),
		DevicesRefresh:    s.duration("devices_refresh", 24*time.Hour, time.Second),
		RequestsPerMinute: s.number("requests_per_minute", 500, 0, 1_000_000),
		Concurrency:       s.number("concurrency", 8, 1, 64),
		Schedule:          s.schedule("schedule", c.Schedule, c.Timezone),
		APIURL:            s.baseURL("api_url"),
		AuthorityURL:      s.baseURL("authority_url"),
	}
	p.Customers = s.customers("customers", p, earlier)
	s.finish()
	return p
}

func (s *section) partnerName(key string, earlier taken) string {
	if !s.has(key) {
		s.missing(key, "give the partner a name of your own, such as contoso")
	}
	v, ok := s.scalar(key)
	line, twice := earlier.names[v.text]
	switch {
	case !ok:
		return ""
	case !printableName(v.text):
		v.wrong("%s is no name; write 1 to 64 printable characters, without spaces around them", v)
		return ""
	case twice:
		v.wrong("%s is the partner's on line %d already; give each its own name", v, line)
	default:
		earlier.names[v.text] = v.line
	}
	return v.text
}

// printableName reports whether a partner may be named so: the name becomes a metric's label, a flag's argument, a
// PostgreSQL text and part of log lines.
func printableName(name string) bool {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	return name != "" && utf8.ValidString(name) && utf8.RuneCountInString(name) <= 64 &&
		strings.TrimSpace(name) == name && !strings.ContainsFunc(name, unprintable)
}

func (s *section) cloud(key string) string {
	v, ok := s.scalar(key)
	if !ok {
		return "global"
	}
	if _, known := partnercenter.CloudNamed(v.text); !known {
		v.wrong("%s is no cloud known here; write global, usgov, china or germany", v)
	} else if v.text != "global" {
		v.warn("the API documentation promises device deployment in the global cloud only; expect refusals in %s", v.text)
	}
	return v.text
}

func (s *section) tenantID(key string) string {
	const example = "such as contoso.onmicrosoft.com"
	if !s.has(key) {
		s.missing(key, "write the partner's tenant as a GUID or a domain "+example)
	}
	v, ok := s.scalar(key)
	if ok && !tenant.MatchString(v.text) {
		v.wrong("%s is no tenant; write its GUID or a domain of it %s", v, example)
	}
	return v.text
}

// customers reads all, which is nil, or the list of the customers to read.
func (s *section) customers(key string, p partnerConfig, earlier taken) []string {
	if !s.has(key) {
		return nil
	}
	e := s.entries[key]
	list, isList := e.node.(*ast.SequenceNode)
	if !isList {
		if v, ok := s.doc.scalar(e); ok && v.text != "all" {
			v.wrong("%s is neither; write all, or a list of customer ids", v)
		}
		return nil
	}
	ids := []string{} // nil would mean all
	for id, v := range s.customerIDs(key) {
		ids = append(ids, id)
		owner, twice := earlier.customers[id]
		switch {
		case slices.Contains(p.ExcludeCustomers, id):
		case twice:
			v.warn("%s is a customer of %q and of %q, and will fail under one of them; list it under one partner", v, owner, p.Name)
		default:
			earlier.customers[id] = p.Name
		}
	}
	if len(list.Values) == 0 {
		s.doc.warn(e.place, "lists no customer, and a pass without any fails; write all, or at least one customer id")
	}
	return ids
}

func (s *section) excludedCustomers(key string) []string {
	var ids []string
	for id := range s.customerIDs(key) {
		ids = append(ids, id)
	}
	return ids
}

// customerIDs yields the ids of a list, in lower case, each with the value it is from, and reports the others.
func (s *section) customerIDs(key string) iter.Seq2[string, scalar] {
	return func(yield func(string, scalar) bool) {
		items, _ := s.list(key)
		lines := map[string]int{}
		for _, item := range items {
			v, ok := s.doc.scalar(item)
			if !ok {
				continue
			}
			id := v.customerID()
			if line, twice := lines[id]; twice {
				v.wrong("%s is here a second time, after line %d; keep one of the two", v, line)
			} else if id != "" {
				lines[id] = v.line
				if !yield(id, v) {
					return
				}
			}
		}
	}
}

// clientSecret reads the one credential there must be.
func (s *section) clientSecret() partnercenter.Secret {
	unavailable := s.unavailableSignIns("client_certificate_file", "federated_token_file", "app_user")
	inline, inFile := s.has("client_secret"), s.has("client_secret_file")
	switch {
	case inline && inFile:
		s.doc.mistake(s.entries["client_secret_file"].place, "stands beside client_secret; keep one of the two")
	case !inline && !inFile && !unavailable:
		s.missing("client_secret_file", "name the file that holds the application's secret, or write client_secret")
	}
	// Both are read even so, for their own mistakes.
	var secret partnercenter.Secret
	if v, ok := s.scalar("client_secret"); ok {
		secret = v.secret(v.text)
	}
	if v, ok := s.scalar("client_secret_file"); ok {
		secret = v.secretFromFile()
	}
	return secret
}

// unavailableSignIns reports the keys there are of ways to sign in that are known, but not available.
func (s *section) unavailableSignIns(keys ...string) bool {
	found := false
	for _, key := range keys {
		if s.has(key) && (key != "app_user" || s.flag(key, true)) {
			s.doc.mistake(s.entries[key].place, "is not available: this version signs in by client_secret or client_secret_file only; use one")
			found = true
		}
	}
	return found
}

// secret takes one trailing line break off a secret, and reports what can be none.
func (v scalar) secret(text string) partnercenter.Secret {
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	switch {
	case strings.TrimSpace(text) == "":
		v.wrong("holds no secret; put the application's client secret there")
	case strings.ContainsAny(text, "\r\n"):
		v.wrong("holds more than one line; leave nothing but the client secret")
	}
	return partnercenter.Secret(text)
}

// secretFromFile reads the secret from the file that the value names.
func (v scalar) secretFromFile() partnercenter.Secret {
	data, err := readAtMost(v.text, 64<<10)
	if err != nil {
		v.wrong("%s cannot be read: %v; put the application's client secret there", v, err)
		return ""
	}
	v.warnIfExposed()
	return v.secret(string(data))
}

// warnIfExposed warns of a secret's file that others can read.
func (v scalar) warnIfExposed() {
	if wrong := exposure(v.text); wrong != "" {
		v.warn("%q %s", v.text, wrong)
	}
}
