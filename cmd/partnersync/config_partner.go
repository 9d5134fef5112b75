package main

import (
	"iter"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"

	"partnersync/store/cron"
	"partnersync/sync/partnercenter"
)

// partnerConfig is what the configuration says of one partner.
type partnerConfig struct {
	Name               string // unique
	Cloud              string // known to partnercenter.CloudNamed
	TenantID           string // a GUID, a domain or the first label of one
	ClientID           string
	ClientSecret       partnercenter.Secret // from the file or from the file it names
	ClientSecretFile   string               // that file, read again for each token; "": none
	SecretExpires      time.Time            // as the configuration says; zero: not known
	CertificateFile    string               // or the application signs in with this,
	FederatedTokenFile string               // or with this, and then the environment's AZURE_… may stand for other keys
	AppUser            bool                 // or on behalf of a user; ClientSecret is that of a confidential application
	Customers          []string             // ids in lower case; nil: all, and empty: none
	ExcludeCustomers   []string             // ids in lower case; not read even if they are among Customers
	Devices            bool
	Policies           bool
	DevicesRefresh     time.Duration
	RequestsPerMinute  int           // 0: no limit of ours
	Concurrency        int           // 1 to 64 customers at a time
	Schedule           cron.Schedule // its own or the configuration's
	APIURL             string        // "": the cloud's
	AuthorityURL       string        // "": the cloud's

	Transport http.RoundTripper // of its requests, in tests; nil: the network
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
	p := s.signIn()
	federated := p.FederatedTokenFile != ""
	p.Name = s.partnerName("name", earlier)
	p.TenantID = s.tenantID("tenant_id", federated)
	p.ClientID = s.clientID("client_id", federated)
	p.ExcludeCustomers = s.excludedCustomers("exclude_customers")
	p.Devices = s.flag("devices", true)
	p.Policies = s.flag("policies", true)
	p.DevicesRefresh = s.duration("devices_refresh", 24*time.Hour, time.Second)
	p.RequestsPerMinute = s.number("requests_per_minute", 500, 0, 1_000_000)
	p.Concurrency = s.number("concurrency", 8, 1, 64)
	p.Schedule = s.schedule("schedule", c.Schedule, c.Timezone)
	p.APIURL = s.baseURL("api_url")
	p.Cloud, p.AuthorityURL = s.authority(federated)
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
		v.warn("%s", cloudWarning(v.text))
	}
	return v.text
}

// cloudWarning says what the API documentation does not promise of a cloud.
func cloudWarning(cloud string) string {
	if cloud == "germany" {
		return "the API documentation of today no longer has the cloud germany, which was closed to new customers in 2018; expect refusals"
	}
	return "the API documentation promises device deployment in the global cloud only; expect refusals in " + cloud
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

// secret returns the secret that the text holds, and reports what can be none.
func (v scalar) secret(text string) partnercenter.Secret {
	secret, err := partnercenter.ParseSecret(text)
	if err != nil {
		v.wrong("%v", err)
	}
	return secret
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
