package report

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"partnersync/store"
	"partnersync/store/cron"
)

func (w *world) state() State {
	w.t.Helper()
	s, err := w.State(w.t.Context())
	w.ok(err)
	return s
}

func (w *world) configured(partner, schedule string) {
	w.t.Helper()
	w.exec(`INSERT INTO partnersync.partner_settings (partner, schedule, timezone, endpoints, configured_at) VALUES ($1,
		$2, 'UTC', '{chat}', $3)
		ON CONFLICT (partner) DO UPDATE SET schedule = excluded.schedule`, partner, schedule, minute(0))
}

func TestState_countsEachCustomerByHowItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.threeCustomers()
	w.exec(`UPDATE partnersync.customer_state SET last_success_at = now() - interval '7 hours'
		WHERE customer_id = $1::uuid`, alpha)
	s := w.state()
	if len(s.Freshness) != 1 || s.Freshness[0].OldestSync == nil {
		t.Fatalf("%+v", s.Freshness)
	}
	got := s.Freshness[0]
	if age := s.Now.Sub(*got.OldestSync); age < 7*time.Hour {
		t.Errorf("the oldest sync is %s ago, want 7h or little more", age)
	}
	want := PartnerFreshness{
		Partner: "contoso", Customers: 3, Failing: 1, NeverSynced: 2, NeverSyncedFailing: 1, OverHour: 1, OverSixHours: 1,
		FailingSince: new(minute(1)),
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(got, "OldestSync"), cmpopts.EquateApproxTime(0)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for failures, want := range map[int]int{2: 0, 3: 1, 4: 1} {
		w.exec(`UPDATE partnersync.customer_state SET consecutive_failures = $1 WHERE consecutive_failures > 0`, failures)
		if got := w.state().Freshness[0]; got.Failing != 1 || got.FailingRepeatedly != want {
			t.Errorf("%d failures in a row: %+v, want %d failing repeatedly", failures, got, want)
		}
	}
	w.configured("fabrikam", "@hourly")
	if s := w.state(); !s.Freshness[0].Dropped {
		t.Errorf("of a partner that has left the configuration: %+v", s.Freshness)
	}
}

func TestState_progressCountsWhileAPassGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`INSERT INTO partnersync.partner_state (partner) VALUES ('contoso')`)
	w.exec(`INSERT INTO partnersync.workers (worker_id, host, version, started_at, heartbeat_at, lease)
		VALUES (gen_random_uuid(), '', '', $1, $1, '1 minute')`, minute(2))
	w.exec(`INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, state, customers_total)
		VALUES ('contoso', 'scheduled', $1, $1, 'running', 3)`, minute(1))
	w.exec(`INSERT INTO partnersync.run_workers (run_id, worker_id) SELECT run_id, worker_id FROM partnersync.runs,
		partnersync.workers`)
	last := func() LastPass {
		t.Helper()
		s := w.state()
		if len(s.Passes) != 1 || s.Passes[0].Partner != "contoso" {
			t.Fatalf("%+v", s.Passes)
		}
		return s.Passes[0]
	}
	if going := last(); going.ProgressedAt != nil || going.EndedAt != nil || !going.BeganAt.Equal(minute(1)) {
		t.Errorf("of a first pass that has begun: %+v", going)
	}
	w.exec(`UPDATE partnersync.run_workers SET progressed_at = $1`, minute(3))
	w.exec(`INSERT INTO partnersync.partner_pauses (partner, paused_until) VALUES ('contoso', now() + interval '1 minute')`)
	if going := last(); !going.ProgressedAt.Equal(minute(3)) || going.PausedUntil == nil {
		t.Errorf("of a first pass that goes on: %+v", going)
	}
	w.exec(`UPDATE partnersync.partner_pauses SET paused_until = now() - interval '1 second'`)
	w.exec(`UPDATE partnersync.runs SET state = 'partial', finished_at = $1, error = 'no token'`, minute(5))
	w.exec(`INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, finished_at, state)
		VALUES ('contoso', 'once', $1, $1, $1, 'complete')`, minute(4))
	ended := last()
	if !ended.EndedAt.Equal(minute(5)) || !ended.ScheduledEndedAt.Equal(minute(5)) || ended.ProgressedAt != nil ||
		ended.PausedUntil != nil || ended.State != store.Partial ||
		ended.Customers != 3 || *ended.Error != "no token" {
		t.Errorf("of an ended run: %+v", ended)
	}
	for i, state := range []string{"abandoned", "abandoned", "running"} {
		w.exec(`INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, state) VALUES ('contoso',
			'scheduled', $1, $1, $2)`, minute(6+i), state)
	}
	if left := last(); left.Abandoned != 2 || !left.BeganAt.Equal(minute(6)) || !left.EndedAt.Equal(minute(5)) {
		t.Errorf("of runs left by their workers: %+v", left)
	}
}

func TestState_staleCustomersDoNotFailAndAreOlderThanRoundsTake(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.threeCustomers()
	w.configured("fabrikam", "@hourly")
	w.configured("contoso", "@hourly")
	for _, tt := range []struct {
		what          string
		age           time.Duration
		urgent        bool
		rounds        string // urgent_round and round of the partner; "": no scheduled pass has ended
		schedule      string
		staleExpected bool
	}{
		{"where no scheduled pass has ended, within a day", 7 * time.Hour, true, "", "@hourly", false},
		{"where no scheduled pass has ended, after a day", 25 * time.Hour, true, "", "@hourly", true},
		{"urgent, within three ticks", 2 * time.Hour, true, "'1 hour', '1 hour'", "@hourly", false},
		{"urgent, after more than three ticks", 5 * time.Hour, true, "'1 hour', '1 hour'", "@hourly", true},
		{"urgent, within three rounds", 5 * time.Hour, true, "'2 hours', '9 hours'", "@hourly", false},
		{"urgent, of a schedule of every month", 7 * time.Hour, true, "'1 hour', '1 hour'", "0 12 1 * *", false},
		{"urgent, of a schedule that cannot be read", 7 * time.Hour, true, "'1 hour', '1 hour'", "of another release", false},
		{"at rest, within a day", 20 * time.Hour, false, "'1 hour', '1 hour'", "@hourly", false},
		{"at rest, after a day", 25 * time.Hour, false, "'1 hour', '1 hour'", "@hourly", true},
		{"at rest, within three rounds", 25 * time.Hour, false, "'1 hour', '9 hours'", "@hourly", false},
		{"at rest, after three rounds", 28 * time.Hour, false, "'1 hour', '9 hours'", "@hourly", true},
	} {
		w.configured("contoso", tt.schedule)
		w.exec("UPDATE partnersync.partner_state SET urgent_round = NULL, round = NULL")
		if tt.rounds != "" {
			w.exec("UPDATE partnersync.partner_state SET (urgent_round, round) = (SELECT a::interval, b::interval FROM (VALUES (" + tt.rounds + ")) v (a, b))")
		}
		w.exec(`UPDATE partnersync.customer_state SET last_success_at = now() - $1::interval,
			unfinished_at = CASE WHEN $2 THEN now() END, changed_at = NULL`, tt.age, tt.urgent)
		got := w.state().Stale
		if (len(got) == 1) != tt.staleExpected || len(got) == 1 && (got[0].Partner != "contoso" || got[0].Customers != 1) {
			t.Errorf("%s: %+v", tt.what, got)
		}
	}
}

func TestState_backlogsAreOfWebhooksThatFailed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const put = `INSERT INTO partnersync.outbox (message_id, endpoint, subject, type, data, created_at, next_at, attempts)
		VALUES (gen_random_uuid(), $1, 's', 'batch.finished', '{}', $2, now(), $3)`
	w.exec(put, "chat", minute(1), 3)
	w.exec(put, "chat", minute(2), 0)
	w.exec(put, "new", minute(3), 1) // its first attempt may still go on
	w.exec(put, "removed", minute(4), 2)
	want := []Backlog{{"chat", 2, minute(1)}, {"removed", 1, minute(4)}}
	if diff := cmp.Diff(want, w.state().Backlogs, cmpopts.EquateApproxTime(0)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestStaleBefore(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 12, 0, 30, 0, time.UTC) // a Wednesday
	for spec, want := range map[string]string{
		"@every 1s":    "2026-03-04 11:59:30",
		"*/15 * * * *": "2026-03-04 11:15:00",
		"0 9 * * 1-5":  "2026-02-27 09:00:00",
		"30 12 1 * *":  "2025-12-01 12:30:00",
		"0 0 29 2 *":   "2021-02-28 12:00:30", // it does not look farther back
		"*/5 9 * * 1":  "2026-03-02 09:40:00",
		"0 12 * * *":   "2026-03-01 12:00:00",
		"* 0-11 * * *": "2026-03-04 11:56:00",
	} {
		schedule, err := cron.Parse(spec, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := staleBefore(schedule, now).UTC().Format(time.DateTime); got != want {
			t.Errorf("%s: %s, want %s", spec, got, want)
		}
	}
	if got := staleBefore(cron.Schedule{}, now); !got.Equal(now.Add(-24 * time.Hour)) {
		t.Errorf("without a schedule: %s", got)
	}
}
