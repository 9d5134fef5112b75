package store

import (
	"strings"
	"testing"
	"time"

	"partnersync/store/storetest"
)

// On a database without the schema every statement fails.
func TestStore_errorsSayWhatTheyAreAbout(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := New(storetest.Empty(t).Pool, Options{})
	run := Run{ID: 7, Partner: "contoso", Kind: Once}
	c := Claim{Run: run, Candidate: Candidate{CustomerID: alpha}}
	tests := []struct {
		want string
		do   func() error
	}{
		{"writing the heartbeat: ", func() error { return s.Heartbeat(ctx) }},
		{"taking the worker off the list: ", func() error { return s.Leave(ctx) }},
		{"opening a once run of partner contoso: ", func() error {
			_, err := s.OpenRun(ctx, RunRequest{Partner: "contoso", Kind: Once})
			return err
		}},
		{"finishing run 7 of partner contoso: ", func() error { _, err := s.FinishRun(ctx, run, WhenDone); return err }},
		{"leaving run 7 of partner contoso: ", func() error { _, err := s.LeaveRun(ctx, run); return err }},
		{"claiming the enumeration of partner contoso: ", func() error { _, _, err := s.ClaimEnumeration(ctx, run); return err }},
		{"writing the customers of partner contoso: ", func() error {
			_, err := s.RecordEnumeration(ctx, EnumerationClaim{Run: run}, Enumeration{})
			return err
		}},
		{"claiming customers of partner contoso: ", func() error { _, err := s.ClaimCustomers(ctx, run, FirstTurn, nil); return err }},
		{"merging the device_batches of customer " + alpha + ": ", func() error {
			_, err := s.MergeDeviceBatches(ctx, c, Listing{}, nil)
			return err
		}},
		{"recording the results of 1 customer of partner contoso: ", func() error {
			_, err := s.RecordResults(ctx, run, []Result{{Claim: c}})
			return err
		}},
		{"pausing partner contoso: ", func() error { return s.Pause(ctx, "contoso", time.Second) }},
		{"reading the pace of partner contoso: ", func() error { _, err := s.Pace(ctx, "contoso"); return err }},
		{"comparing the device_batches of customer nobody: ", func() error {
			// A schema that is there, but another one, does not count as empty.
			if _, err := s.pool.Exec(ctx, "CREATE SCHEMA partnersync; CREATE TABLE partnersync.list_state ()"); err != nil {
				return err
			}
			_, err := s.CompareDeviceBatches(ctx, "nobody", Listing{}, nil)
			return err
		}},
	}
	for _, test := range tests {
		if err := test.do(); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("got %v, want an error that begins with %q", err, test.want)
		}
	}
}

func TestStore_closedPoolIsAnError(t *testing.T) {
	t.Parallel()
	s := New(storetest.New(t).Pool, Options{})
	s.pool.Close()
	ctx := t.Context()
	for _, do := range []func() error{
		func() error { _, err := s.KnownCustomers(ctx, "contoso"); return err },
		func() error { _, err := s.PartnerOf(ctx, alpha); return err },
	} {
		if err := do(); err == nil {
			t.Error("a query over a closed pool succeeded; only a missing schema counts as empty")
		}
	}
}

func TestOpenPool_showsNoPassword(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"postgres://u:hush@host:port/db", "postgres://u@host/db?password=hush&sslmode=wrong", "host=h port=p password='hush it'", "postgres://u:hu%sh@host/db",
		"postgres://u:hush@127.0.0.1:1/db?sslmode=disable",
	} {
		_, err := OpenPool(t.Context(), url)
		if err == nil || strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "hu%sh") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
