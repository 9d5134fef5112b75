package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/store"
	"partnersync/store/cron"
)

// hourly is a configuration of two partners with a pass every hour, configured two hours before minute(0).
func hourly(t *testing.T) State {
	t.Helper()
	s := State{Now: minute(1)}
	for _, partner := range []string{"contoso", "fabrikam"} {
		s.Settings = append(s.Settings,
			Settings{Partner: partner, Schedule: schedule(t, "@hourly"), Endpoints: []string{"chat"}, ConfiguredAt: minute(-120)})
	}
	return s
}

func schedule(t *testing.T, spec string) cron.Schedule {
	t.Helper()
	s, err := cron.Parse(spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFindings(t *testing.T) {
	t.Parallel()
	const overdue = "stopped pass_overdue The pass of partner contoso is overdue: "
	reason := "AADSTS7000215"
	at := func(n int) *time.Time { return new(minute(n)) }
	passes := func(l LastPass) func(*State, *Process) {
		l.Partner = "contoso"
		return func(s *State, _ *Process) { s.Passes = []LastPass{l} }
	}
	process := func(p Process) func(*State, *Process) { return func(_ *State, into *Process) { *into = p } }
	fresh := func(f PartnerFreshness) func(*State, *Process) {
		f.Partner = "contoso"
		return func(s *State, _ *Process) { s.Freshness = []PartnerFreshness{f} }
	}
	for _, test := range []struct {
		name string
		make func(*State, *Process)
		want []string // severity, name, text
	}{
		{"nothing is known", func(s *State, _ *Process) { *s = State{} }, nil},
		{"all is well", passes(LastPass{EndedAt: at(0), State: store.Complete, Customers: 3}), nil},
		{"customers that wait for their first pass", fresh(PartnerFreshness{Customers: 3, NeverSynced: 2}), nil},
		{"some customers failed", passes(LastPass{EndedAt: at(0), State: store.Partial, Customers: 3}), nil},
		{"it waits for the database", process(Process{Database: &Outage{Since: minute(0), Reason: reason, Hint: "wait"}}),
			[]string{"stopped database_unusable The database cannot be used."}},
		{"the schema is another release's", process(Process{Schema: "version 99"}),
			[]string{"stopped schema_mismatch The database's schema is not this release's."}},
		{"no progress for three intervals", passes(LastPass{ScheduledEndedAt: at(-179)}), nil},
		{"no progress for longer", passes(LastPass{ScheduledEndedAt: at(-180)}),
			[]string{overdue + "the last scheduled pass ended at 2025-12-31T21:00:00Z, 3 ticks of the schedule ago."}},
		{"nor did the pass that goes on make any", passes(LastPass{ScheduledEndedAt: at(-300), BeganAt: at(-240),
			ProgressedAt: at(-190)}),
			[]string{overdue + "a pass last made progress at 2025-12-31T20:50:00Z, 4 ticks of the schedule ago."}},
		{"passes of another kind end", passes(LastPass{EndedAt: at(0), State: store.Complete, BeganAt: at(-240)}),
			[]string{overdue +
				"no scheduled pass has ended since the first began at 2025-12-31T20:00:00Z, 4 ticks of the schedule ago."}},
		{"of ticks that lie apart, the last two count", func(s *State, _ *Process) {
			s.Settings[0].Schedule = schedule(t, "0,20 0 * * *") // 20 minutes, and the rest of a day
			s.Passes = []LastPass{{Partner: "contoso", ScheduledEndedAt: at(-1400)}}
		}, nil},
		{"of ticks that come fast, a minute is waited for", func(s *State, _ *Process) {
			s.Settings[0].Schedule = schedule(t, "@every 2s")
			s.Passes = []LastPass{{Partner: "contoso", ScheduledEndedAt: at(0)}}
		}, nil},
		{"the API makes the partner wait", passes(LastPass{ScheduledEndedAt: at(-200), PausedUntil: at(3)}),
			[]string{"degraded partner_paused The API makes partner contoso wait until 2026-01-01T00:03:00Z: " +
				"the last scheduled pass ended at 2025-12-31T20:40:00Z."}},
		{"it makes the partner wait, but there was progress",
			passes(LastPass{ScheduledEndedAt: at(-100), PausedUntil: at(3)}), nil},
		{"no progress since the sign-in is refused", func(s *State, p *Process) {
			s.Passes = []LastPass{{Partner: "contoso", ScheduledEndedAt: at(-400)}}
			p.Refused = []RefusedSignIn{{"contoso", reason}}
		}, []string{"degraded sign_in_refused The sign-in of partner contoso is refused."}},
		{"nothing since it was configured", func(s *State, _ *Process) { s.Settings[1].ConfiguredAt = minute(-300) },
			[]string{"stopped pass_overdue The pass of partner fabrikam is overdue: " +
				"no scheduled pass has ended since the partner was configured at 2025-12-31T19:00:00Z, " +
				"5 ticks of the schedule ago."}},
		{"a long pass goes on", passes(LastPass{ScheduledEndedAt: at(-300), BeganAt: at(-240), ProgressedAt: at(0)}), nil},
		{"passes are begun again and again",
			passes(LastPass{ScheduledEndedAt: at(-300), BeganAt: at(-240), ProgressedAt: at(0), Abandoned: 4}),
			[]string{overdue + "the last scheduled pass ended at 2025-12-31T19:00:00Z, 5 ticks of the schedule ago."}},
		{"they never have ended", passes(LastPass{BeganAt: at(-300), ProgressedAt: at(0), Abandoned: 5}),
			[]string{overdue +
				"no scheduled pass has ended since the first began at 2025-12-31T19:00:00Z, 5 ticks of the schedule ago."}},
		{"the pass failed", passes(LastPass{EndedAt: at(0), State: store.Failed, Error: &reason}),
			[]string{"degraded pass_failed The last pass of partner contoso failed."}},
		{"the pass found nobody", passes(LastPass{EndedAt: at(0), State: store.Failed}),
			[]string{"degraded pass_failed The last pass of partner contoso found no customers."}},
		{"all failed", passes(LastPass{EndedAt: at(0), State: store.Failed, Customers: 3}),
			[]string{"degraded pass_failed In the last pass of partner contoso every customer failed."}},
		{"the customers could not be listed",
			passes(LastPass{EndedAt: at(0), State: store.Partial, Customers: 3, Error: &reason}),
			[]string{"degraded pass_incomplete The last pass of partner contoso went wrong in part."}},
		{"of a partner that is not configured", func(s *State, _ *Process) {
			s.Passes = []LastPass{{Partner: "old", EndedAt: at(-900), State: store.Failed, Error: &reason}}
			s.Freshness = []PartnerFreshness{{Partner: "old", Customers: 2, Failing: 2, Dropped: true}}
		}, nil},
		{"a customer fails", fresh(PartnerFreshness{Customers: 1, Failing: 1}),
			[]string{"degraded customers_failing 1 of 1 customer of partner contoso is failing."}},
		{"customers fail", fresh(PartnerFreshness{Customers: 1234, Failing: 4, NeverSynced: 4}),
			[]string{"degraded customers_failing 4 of 1234 customers of partner contoso are failing."}},
		{"a customer fails in three passes in a row", fresh(PartnerFreshness{Customers: 12, Failing: 2, FailingRepeatedly: 1}),
			[]string{"degraded customers_failing 2 of 12 customers of partner contoso are failing, 1 for three passes or longer."}},
		{"customers are stale", func(s *State, _ *Process) { s.Stale = []StaleCustomers{{"contoso", 2, minute(-999)}} },
			[]string{"degraded customers_stale 2 customers of partner contoso were last synced long ago without failing, " +
				"the stalest at 2025-12-31T07:21:00Z."}},
		{"a sign-in is refused", process(Process{Refused: []RefusedSignIn{{"contoso", reason}}}),
			[]string{"degraded sign_in_refused The sign-in of partner contoso is refused."}},
		{"credentials end", process(Process{Expiring: []Credential{
			{"contoso", "client secret", minute(9), "make a new one"}, {"contoso", "refresh token", minute(-9), "sign in again"},
		}}), []string{
			"degraded credential_expiring The client secret of partner contoso expires at 2026-01-01T00:09:00Z.",
			"degraded credential_expiring The refresh token of partner contoso expired at 2025-12-31T23:51:00Z.",
		}},
		{"a webhook is down", func(s *State,
			_ *Process) {
			s.Backlogs = []Backlog{{"chat", 1, minute(0)}, {"removed", 5, minute(0)}}
		},
			[]string{"degraded webhook_down Webhook chat cannot be notified: 1 event waits."}},
		{"what has stopped it comes first", func(s *State, p *Process) {
			s.Passes = []LastPass{{
				Partner: "contoso", EndedAt: at(-240), ScheduledEndedAt: at(-240), State: store.Failed, Customers: 1,
			}}
			p.Refused = []RefusedSignIn{{"fabrikam", reason}}
		}, []string{
			overdue + "the last scheduled pass ended at 2025-12-31T20:00:00Z, 4 ticks of the schedule ago.",
			"degraded sign_in_refused The sign-in of partner fabrikam is refused.",
			"degraded pass_failed In the last pass of partner contoso every customer failed.",
		}},
	} {
		s, p := hourly(t), Process{}
		test.make(&s, &p)
		var got []string
		for _, f := range Findings(s, p) {
			got = append(got, strings.Join([]string{f.Severity, f.Name, f.Text}, " "))
			if f.Action == "" {
				t.Errorf("%s: %s does not say what to do", test.name, f.Name)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", test.name, diff)
		}
	}
}

// What the API and the database say is kept apart from what anybody may read at /readyz.
func TestFindings_textsHoldNoReason(t *testing.T) {
	t.Parallel()
	secret := "hush"
	s := hourly(t)
	s.Passes = []LastPass{
		{Partner: "contoso", EndedAt: new(minute(0)), State: store.Failed, Error: &secret},
		{Partner: "fabrikam", EndedAt: new(minute(0)), State: store.Partial, Error: &secret},
	}
	p := Process{Database: &Outage{Reason: secret}, Schema: secret, Refused: []RefusedSignIn{{"contoso", secret}}}
	all := Findings(s, p)
	for _, f := range all {
		if f.Reason != secret {
			t.Errorf("%s has the reason %q", f.Name, f.Reason)
		}
		if strings.Contains(f.Text+f.Action, secret) {
			t.Errorf("%s tells everybody: %s %s", f.Name, f.Text, f.Action)
		}
	}
	if len(all) != 5 {
		t.Errorf("%d findings, want 5", len(all))
	}
}

func TestPossible_hasEachFinding(t *testing.T) {
	t.Parallel()
	s := hourly(t)
	s.Settings = append(s.Settings, Settings{Partner: "refused", Schedule: schedule(t, "@hourly"), ConfiguredAt: minute(0)})
	possible := map[string]bool{}
	for _, f := range Possible(s) {
		possible[fmt.Sprint(f)] = true
	}
	if want := 2 + 3*9 + 1; len(possible) != want {
		t.Errorf("%d findings are possible, want %d", len(possible), want)
	}
	s.Passes = []LastPass{
		{Partner: "contoso", ScheduledEndedAt: new(minute(-900)), State: store.Partial, Error: new("x")},
		{Partner: "fabrikam", State: store.Failed, ScheduledEndedAt: new(minute(-900)), PausedUntil: new(minute(2))},
	}
	s.Freshness = []PartnerFreshness{{Partner: "contoso", Customers: 1, Failing: 1}}
	s.Stale = []StaleCustomers{{"contoso", 1, minute(0)}}
	s.Backlogs = []Backlog{{"chat", 1, minute(0)}}
	p := Process{Database: &Outage{}, Schema: "x", Refused: []RefusedSignIn{{"refused", "x"}},
		Expiring: []Credential{{"contoso", "secret", minute(0), "x"}}}
	names := map[string]bool{}
	for _, f := range Findings(s, p) {
		names[f.Name] = true
		if !possible[fmt.Sprint(Finding{Name: f.Name, Severity: f.Severity, Partner: f.Partner, Endpoint: f.Endpoint})] {
			t.Errorf("%+v is not among the possible ones", f)
		}
	}
	if len(names) != 11 {
		t.Errorf("%d names were found, want all 11: %v", len(names), names)
	}
}
