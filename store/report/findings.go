package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"partnersync/store"
	"partnersync/store/plural"
	"partnersync/store/sanitize"
)

// Severities of findings.
const (
	Stopped  = "stopped"  // the sync does not go on: what changes at the API meanwhile, and changes back, is never known
	Degraded = "degraded" // the sync goes on, but something is missing or will be
)

// Names of findings.
const (
	DatabaseUnusable   = "database_unusable"
	SchemaMismatch     = "schema_mismatch"
	PassOverdue        = "pass_overdue"
	PartnerPaused      = "partner_paused"
	PassFailed         = "pass_failed"
	PassIncomplete     = "pass_incomplete"
	CustomersFailing   = "customers_failing"
	CustomersStale     = "customers_stale"
	RateTooLow         = "rate_too_low"
	SignInRefused      = "sign_in_refused"
	CredentialExpiring = "credential_expiring"
	WebhookDown        = "webhook_down"
)

// The findings there are, by what each of them is about.
var (
	ofProgram = []string{DatabaseUnusable, SchemaMismatch}
	ofPartner = []string{
		PassOverdue, PartnerPaused, PassFailed, PassIncomplete, CustomersFailing, CustomersStale, RateTooLow, SignInRefused,
		CredentialExpiring,
	}
	ofEndpoint = []string{WebhookDown}
)

// severity returns the severity of the findings of a name.
func severity(name string) string {
	switch name {
	case DatabaseUnusable, SchemaMismatch, PassOverdue:
		return Stopped
	}
	return Degraded
}

// Finding is one thing that is not as it should be.
type Finding struct {
	Name     string     `json:"finding"` // one of the names above
	Severity string     `json:"severity"`
	Partner  string     `json:"partner,omitempty"`  // that it is about
	Endpoint string     `json:"endpoint,omitempty"` // the webhook that it is about
	Count    int        `json:"count,omitempty"`    // of the customers or events concerned; 0: it is not about such
	Since    *time.Time `json:"since"`              // nil: not known
	Text     string     `json:"text"`               // a sentence for people
	// Reason is what the API or the database said, for the eyes of those who may see the log; "": nothing.
	Reason string `json:"reason,omitempty"`
	Action string `json:"action"` // what to do about it
	// Causes are why customers fail, the most frequent first.
	Causes []Cause `json:"causes,omitempty"`
}

// Process is what only a running daemon knows of itself. The zero value stands for a program that merely looks.
type Process struct {
	Database *Outage // nil: the database can be used
	Schema   string  // why the schema cannot be used; "": it can
	// Hint says what to do about failures with a code, "" if that is not known; nil: it never is.
	Hint     func(code string) string
	Refused  []RefusedSignIn
	Expiring []Credential // those that it is time to replace
}

// Outage is a time in which the database cannot be used.
type Outage struct {
	Since        time.Time // zero: not known
	Reason, Hint string    // "": not known
}

// RefusedSignIn is a partner's sign-in that was refused.
type RefusedSignIn struct{ Partner, Reason string }

// Credential is something that a partner signs in with, and that ends.
type Credential struct {
	Partner, What string // such as "client certificate"
	Ends          time.Time
	Fix           string // what to do about it, in the infinitive
}

// Findings returns all that is wrong with the sync, what has stopped it first. It is the one judgement of the status
// page, /readyz, the metrics and partnersync status.
func Findings(s State, p Process) []Finding {
	all := p.findings(s.Now)
	for _, settings := range s.Settings {
		all = append(all, s.overdue(settings, p)...)
	}
	for _, pass := range s.Passes {
		all = append(all, s.wentWrong(pass)...)
	}
	for _, f := range s.Freshness {
		if f.Failing > 0 && !f.Dropped {
			repeatedly := ""
			if f.FailingRepeatedly > 0 {
				repeatedly = fmt.Sprintf(", %d for three passes or longer", f.FailingRepeatedly)
			}
			all = append(all, Finding{
				Name: CustomersFailing, Partner: f.Partner, Count: f.Failing, Since: f.FailingSince,
				Text: fmt.Sprintf("%d of %s of partner %s %s failing%s.", f.Failing,
					plural.Of(f.Customers, "customer", "customers"), f.Partner, plural.Word(f.Failing, "is", "are"), repeatedly),
				Causes: s.causes(f.Partner, p.Hint),
				Action: "The view sync_freshness has the reason for each, with the request id to quote to Microsoft's support.",
			})
		}
	}
	for _, c := range s.Stale {
		all = append(all, Finding{
			Name: CustomersStale, Partner: c.Partner, Count: c.Customers, Since: &c.OldestSync,
			Text: fmt.Sprintf("%s of partner %s %s last synced long ago without failing, the stalest at %s.",
				plural.Of(c.Customers, "customer", "customers"), c.Partner, plural.Word(c.Customers, "was", "were"),
				stamp(c.OldestSync)),
			Action: "The view sync_runs says how long passes take, and whether they end.",
		})
	}
	for _, p := range s.Settings {
		all = append(all, p.rateTooLow(s.Now)...)
	}
	for _, b := range s.Backlogs {
		if s.notifies(b.Endpoint) {
			all = append(all, Finding{
				Name: WebhookDown, Endpoint: b.Endpoint, Count: b.Events, Since: &b.Since,
				Text: fmt.Sprintf("Webhook %s cannot be notified: %s.",
					b.Endpoint, plural.Of(b.Events, "event waits", "events wait")),
				Action: "The log says what it answers. An event is given up when it is a day old.",
			})
		}
	}
	for i := range all {
		all[i].Severity = severity(all[i].Name)
		all[i].Reason = sanitize.Shorten(all[i].Reason, longestReason)
	}
	// "stopped" comes before "degraded", in the opposite of their alphabetical order.
	slices.SortStableFunc(all, func(a, b Finding) int { return strings.Compare(b.Severity, a.Severity) })
	return all
}

// longestReason is the most bytes of a reason that are shown; the log has all of it.
const longestReason = 300

// Possible returns all the findings that there may be about the partners and the webhooks in the configuration, for
// metrics: one that does not hold is 0 rather than absent.
func Possible(s State) (all []Finding) {
	add := func(name, partner, endpoint string) {
		all = append(all, Finding{Name: name, Severity: severity(name), Partner: partner, Endpoint: endpoint})
	}
	for _, name := range ofProgram {
		add(name, "", "")
	}
	var endpoints []string
	for _, p := range s.Settings {
		for _, name := range ofPartner {
			add(name, p.Partner, "")
		}
		endpoints = append(endpoints, p.Endpoints...)
	}
	slices.Sort(endpoints)
	for _, endpoint := range slices.Compact(endpoints) {
		for _, name := range ofEndpoint {
			add(name, "", endpoint)
		}
	}
	return all
}

func (p Process) findings(now time.Time) (all []Finding) {
	if d := p.Database; d != nil {
		f := Finding{Name: DatabaseUnusable, Text: "The database cannot be used.", Reason: d.Reason, Action: d.Hint}
		if f.Action == "" {
			f.Action = "The log says why. partnersync tries again by itself."
		}
		if !d.Since.IsZero() {
			f.Since = &d.Since
		}
		all = append(all, f)
	}
	if p.Schema != "" {
		all = append(all, Finding{
			Name: SchemaMismatch, Text: "The database's schema is not this release's.", Reason: p.Schema,
			Action: "Run partnersync migrate up, or the release that the schema is of.",
		})
	}
	for _, r := range p.Refused {
		all = append(all, Finding{
			Name: SignInRefused, Partner: r.Partner, Reason: r.Reason,
			Text:   fmt.Sprintf("The sign-in of partner %s is refused.", r.Partner),
			Action: "partnersync check tries it again, and says what is wrong.",
		})
	}
	for _, c := range p.Expiring {
		expires := "expires"
		if c.Ends.Before(now) {
			expires = "expired"
		}
		all = append(all, Finding{
			Name: CredentialExpiring, Partner: c.Partner,
			Text:   fmt.Sprintf("The %s of partner %s %s at %s.", c.What, c.Partner, expires, stamp(c.Ends)),
			Action: "Now is the time to " + c.Fix + ".",
		})
	}
	return all
}

// mostCauses is how many causes of failures are told apart.
const mostCauses = 5

// causes returns why the partner's customers fail, with what to do about it.
func (s State) causes(partner string, hint func(code string) string) (all []Cause) {
	for _, c := range s.Causes {
		switch {
		case c.Partner != partner:
		case len(all) == mostCauses:
			all[mostCauses-1] = Cause{Partner: partner, Code: "other", Customers: all[mostCauses-1].Customers + c.Customers}
		default:
			if hint != nil {
				c.Hint = hint(c.Code)
			}
			if c.Nodes != "" {
				c.Hint = "no answer from " + c.Nodes + "; partnersync check tries each node of the cluster"
			}
			all = append(all, c)
		}
	}
	return all
}

// rateTooLow says whether the rate is too low to read all of the partner's customers at each tick.
func (p Settings) rateTooLow(now time.Time) []Finding {
	if p.Round == nil || p.UrgentRound == nil || p.Schedule.String() == "" {
		return nil
	}
	next := p.Schedule.Next(now)
	interval := p.Schedule.Next(next).Sub(next)
	if *p.Round <= interval {
		return nil
	}
	return []Finding{{
		Name: RateTooLow, Partner: p.Partner,
		Text: fmt.Sprintf("The schedule of partner %s asks for more than its rate allows: %s.", p.Partner,
			store.RoundsInWords(p.RequestsPerMinute, *p.UrgentRound, *p.Round)),
		Action: "Nothing need be done where that is often enough. Otherwise raise requests_per_minute if Microsoft allows more.",
	}}
}

// wentWrong says what went wrong with a partner's last pass as a whole.
func (s State) wentWrong(pass LastPass) []Finding {
	f := Finding{Name: PassFailed, Partner: pass.Partner, Since: pass.EndedAt}
	f.Action = "The view sync_runs has its error; partnersync check says whether sign-in and API work."
	if pass.Error != nil {
		f.Reason = *pass.Error
	}
	switch {
	case !s.configured(pass.Partner):
		return nil
	case pass.State == store.Failed && pass.Error != nil:
		f.Text = fmt.Sprintf("The last pass of partner %s failed.", pass.Partner)
	case pass.State == store.Failed && pass.Customers == 0:
		f.Text = fmt.Sprintf("The last pass of partner %s found no customers.", pass.Partner)
	case pass.State == store.Failed:
		f.Text = fmt.Sprintf("In the last pass of partner %s every customer failed.", pass.Partner)
	case pass.Error != nil:
		f.Name, f.Text = PassIncomplete, fmt.Sprintf("The last pass of partner %s went wrong in part.", pass.Partner)
	default:
		return nil
	}
	return []Finding{f}
}

// stamp is a time within a sentence.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
