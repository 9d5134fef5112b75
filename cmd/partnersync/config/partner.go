package config

import (
	"cmp"
	"iter"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/google/uuid"

	"partnersync/store/cron"
	"partnersync/sync/partnercenter"
)

// Partner is what the configuration says of one partner.
type Partner struct {
	Name               string               // unique
	Cloud              string               // known to partnercenter.CloudNamed
	TenantID           string               // a GUID or a domain
	ClientID           string               // a GUID
	ClientSecret       partnercenter.Secret // written in the file or read from ClientSecretFile
	ClientSecretFile   string               // read again for each token; "": none
	SecretExpires      time.Time            // as the configuration says; zero: unknown
	CertificateFile    string               // or the application signs in with this certificate,
	FederatedTokenFile string               // or with this token; then AZURE_… variables may stand for other keys,
	AppUser            bool                 // or on behalf of a user; a confidential application has a ClientSecret too
	Customers          []string             // ids in lower case; nil: all, and empty: none
	ExcludeCustomers   []string             // ids in lower case; not read even if they are among Customers
	Devices            bool
	Policies           bool
	DevicesRefresh     time.Duration
	RequestsPerMinute  int           // 0: unlimited
	Concurrency        int           // 1 to 64 customers at a time
	Schedule           cron.Schedule // its own or the configuration's
	APIURL             string        // "": the cloud's
	AuthorityURL       string        // "": the cloud's
}

// Credentials returns what the partner's application signs in with. The caller adds how a user's token is rotated.
func (p Partner) Credentials() partnercenter.Credentials {
	cloud, _ := partnercenter.CloudNamed(p.Cloud)
	return partnercenter.Credentials{
		AuthorityURL: cmp.Or(p.AuthorityURL, cloud.AuthorityURL), Scope: cloud.Scope,
		TenantID: p.TenantID, ClientID: p.ClientID,
		ClientSecret: p.ClientSecret, ClientSecretFile: p.ClientSecretFile,
		CertificateFile: p.CertificateFile, FederatedTokenFile: p.FederatedTokenFile,
	}
}

// What Entra takes for an application and for a tenant, which is a segment of the token URL. It knows no tenant by a
// single word.
var (
	guid   = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
	domain = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]*$`)
)

func isTenant(id string) bool { return guid.MatchString(id) || domain.MatchString(id) }

// earlierPartners is what the partners read so far have used.
type earlierPartners struct {
	lines     map[string]int    // by partner name
	customers map[string]string // partner name by customer id
}

// partners reads the list of partners.
func (s *section) partners(key string, c *Config) (partners []Partner) {
	if !s.has(key) {
		s.missing(key, "list at least one, such as deploy/partnersync.yaml has")
		return nil
	}
	e := s.entries[key]
	if list, ok := e.node.(*ast.SequenceNode); ok && len(list.Values) == 0 {
		s.doc.mistake(e.position, "is an empty list; list at least one partner")
	}
	earlier := earlierPartners{lines: map[string]int{}, customers: map[string]string{}}
	for _, item := range s.sections(key, "- name: contoso") {
		partners = append(partners, item.partner(c, earlier))
	}
	return partners
}

// partner reads one partner.
func (s *section) partner(c *Config, earlier earlierPartners) Partner {
	p := s.signIn()
	federated := p.FederatedTokenFile != ""
	p.Name = s.partnerName("name", earlier)
	p.TenantID = s.tenantID("tenant_id", federated)
	p.ClientID = s.clientID("client_id", federated)
	p.ExcludeCustomers = s.excludedCustomers("exclude_customers")
	p.Devices = s.boolean("devices", true)
	p.Policies = s.boolean("policies", true)
	p.DevicesRefresh = s.duration("devices_refresh", 24*time.Hour, time.Second)
	p.RequestsPerMinute = s.number("requests_per_minute", 500, 0, 1_000_000)
	p.Concurrency = s.number("concurrency", 8, 1, 64)
	p.Schedule = s.schedule("schedule", c.Schedule, c.Timezone)
	p.APIURL = s.apiURL("api_url")
	p.Cloud, p.AuthorityURL = s.authority(federated)
	p.Customers = s.customers("customers", p, earlier)
	s.finish()
	return p
}

func (s *section) partnerName(key string, earlier earlierPartners) string {
	if !s.has(key) {
		s.missing(key, "give the partner a name of your own, such as contoso")
	}
	v, ok := s.scalar(key)
	line, twice := earlier.lines[v.text]
	switch {
	case !ok:
		return ""
	case !printableName(v.text):
		v.wrong("%s is not a valid name; write 1 to 64 printable characters, without spaces around them", v)
		return ""
	case twice:
		v.wrong("%s is the partner's on line %d already; give each its own name", v, line)
	default:
		earlier.lines[v.text] = v.line
	}
	return v.text
}

// printableName reports whether a partner or webhook may have the name, which becomes a metric's label, the argument of
// a flag, text in PostgreSQL and part of log lines.
func printableName(name string) bool {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	return name != "" && utf8.ValidString(name) && utf8.RuneCountInString(name) <= 64 &&
		strings.TrimSpace(name) == name && !strings.ContainsFunc(name, unprintable)
}

// customers reads the word all, which is nil, or a list of customers.
func (s *section) customers(key string, p Partner, earlier earlierPartners) []string {
	if !s.has(key) {
		return nil
	}
	e := s.entries[key]
	list, isList := e.node.(*ast.SequenceNode)
	if !isList {
		if v, ok := s.doc.scalar(e); ok && v.text != "all" {
			v.wrong("%s is neither; write all or a list of customer ids", v)
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
			v.warn("%s is a customer of %q and of %q, and will fail under one of them; list it under one partner",
				v, owner, p.Name)
		default:
			earlier.customers[id] = p.Name
		}
	}
	if len(list.Values) == 0 {
		s.doc.warn(e.position,
			"lists no customer, and a pass without any fails; write all, or at least one customer id")
	}
	return ids
}

func (s *section) excludedCustomers(key string) (ids []string) {
	for id := range s.customerIDs(key) {
		ids = append(ids, id)
	}
	return ids
}

// customerIDs yields the ids of a list, in lower case, each with the value it was read from. It reports invalid and
// duplicate ones.
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
				v.wrong("%s repeats line %d; keep one of the two", v, line)
			} else if id != "" {
				lines[id] = v.line
				if !yield(id, v) {
					return
				}
			}
		}
	}
}

// customerID reads a customer's id, in lower case. It is "" for a mistake, which is reported.
func (v scalar) customerID() string {
	id, err := uuid.Parse(v.text)
	if err != nil || len(v.text) != len("00000000-0000-0000-0000-000000000000") {
		v.wrong("%s is not a customer id; write its tenant id, such as 47021739-3426-40bf-9601-61b4b6d7c793", v)
		return ""
	}
	return id.String()
}
