package sync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"
)

// withoutDatabase returns a Runner without a database, and what it logs.
func withoutDatabase() (*Runner, *testLog) {
	logger, log := newLog()
	return &Runner{Logger: logger}, log
}

// since returns since when who has been waiting, if it is.
func (o *outages) since(who string) (time.Time, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w, waiting := o.waits[who]
	return w.Since, waiting
}

// lines returns what is logged as "after this time: message; error; hint".
func (l *testLog) lines(t *testing.T) (lines []string) {
	t.Helper()
	for line := range strings.Lines(l.String()) {
		var entry struct {
			Time           time.Time
			Msg, Err, Hint string
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		hint, _, _ := strings.Cut(entry.Hint, ":")
		lines = append(lines,
			fmt.Sprint(entry.Time.Sub(l.start).Round(time.Second), ": ", entry.Msg, "; ", entry.Err, "; ", hint))
	}
	return lines
}

func wantLogged(t *testing.T, log *testLog, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, log.lines(t)); diff != "" {
		t.Errorf("log: (-want +got)\n%s", diff)
	}
}

func serverError(code, message string) error {
	return fmt.Errorf("asking: %w", &pgconn.PgError{Severity: "FATAL", Code: code, Message: message})
}

const fullDisk = "asking: FATAL: no space (SQLSTATE 53100); the server's disk is full"

// away makes do fail until the time given, and counts the calls.
func away(until time.Duration, calls *int) func(context.Context) error {
	start := time.Now()
	return func(context.Context) error {
		*calls++
		if time.Since(start) < until {
			return serverError("53100", "no space")
		}
		return nil
	}
}

func TestAwait_manyTriesFewLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, log := withoutDatabase()
		calls := 0
		if err := r.Await(t.Context(), "contoso", away(3*time.Hour, &calls)); err != nil {
			t.Error(err)
		}
		if calls < 300 {
			t.Errorf("%d tries in three hours", calls)
		}
		const waiting = ": waiting for the database; " + fullDisk
		wantLogged(t, log, "0s"+waiting, "1m3s"+waiting, "3m3s"+waiting, "7m3s"+waiting, "15m3s"+waiting,
			"31m3s"+waiting, "1h3m3s"+waiting,
			"2h3m3s"+waiting, "3h0m3s: the database can be used again; ; ")
	})
}

func TestAwait_goesOnSoonAfterAnyOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, outage := range []time.Duration{2 * time.Second, 20 * time.Second, 10 * time.Minute, 3 * time.Hour} {
			r, _ := withoutDatabase()
			calls, began := 0, time.Now()
			if err := r.Await(t.Context(), "contoso", away(outage, &calls)); err != nil {
				t.Error(err)
			}
			if late := time.Since(began) - outage; late >= 5*time.Second {
				t.Errorf("went on %s after an outage of %s", late, outage)
			}
		}
	})
}

func TestAwait_manyWaitersAreOneOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, log := withoutDatabase()
		var g errgroup.Group
		for i := range 20 {
			g.Go(func() error {
				calls := 0
				return r.Await(t.Context(), fmt.Sprint("partner ", i), away(time.Duration(20+i)*time.Second, &calls))
			})
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		wantLogged(t, log, "0s: waiting for the database; "+fullDisk, "39s: the database can be used again; ; ")
	})
}

func TestAwait_eachNewHintIsLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, log := withoutDatabase()
		codes := []string{"57P03", "28P01", "57P03", "28P01", "57P03"}
		err := r.Await(t.Context(), "contoso", func(context.Context) error {
			if len(codes) == 0 {
				return nil
			}
			code := codes[0]
			codes = codes[1:]
			return serverError(code, "no")
		})
		if err != nil {
			t.Error(err)
		}
		wantLogged(t, log,
			"0s: waiting for the database; asking: FATAL: no (SQLSTATE 57P03); the server stops or starts",
			"1s: waiting for the database; asking: FATAL: no (SQLSTATE 28P01); check the user and the password in database_url (in a URL, % is written as %25 and @ as %40), and the server's pg_hba.conf",
			"15s: the database can be used again; ; ")
	})
}

func TestAwait_flappingDatabaseIsNotLoggedInALoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, log := withoutDatabase()
		for range 200 {
			r.databaseFailed("contoso", serverError("53100", "no space"))
			r.databaseWorks("contoso")
			_ = wait(t.Context(), 20*time.Second)
		}
		if n := len(log.lines(t)); n < 4 || n > 16 {
			t.Errorf("%d lines of 200 outages in an hour", n)
		}
		// Long after, another outage is logged at once.
		_ = wait(t.Context(), 10*time.Minute)
		before := len(log.lines(t))
		r.databaseFailed("contoso", serverError("53100", "no space"))
		if n := len(log.lines(t)) - before; n != 1 {
			t.Errorf("%d lines of a new outage", n)
		}
	})
}

func TestWaiting_isTheLongestWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _ := withoutDatabase()
		if w, waiting := r.Waiting(); waiting {
			t.Errorf("waits for %+v", w)
		}
		start := time.Now()
		r.databaseFailed("contoso", serverError("53100", "no\n\tspace"))
		_ = wait(t.Context(), time.Minute)
		r.databaseFailed("fabrikam", errors.New("other"))
		r.databaseFailed("contoso", serverError("53100", "still\nno space"))
		w, waiting := r.Waiting()
		if want := "asking: FATAL: still; no space (SQLSTATE 53100)"; !waiting || !w.Since.Equal(start) ||
			w.Reason != want || w.Hint == "" {
			t.Errorf("waits %t for %+v, want since %s: %s", waiting, w, start, want)
		}
		r.databaseWorks("contoso")
		if w, waiting := r.Waiting(); !waiting || w.Reason != "other" || !w.Since.Equal(start.Add(time.Minute)) {
			t.Errorf("waits %t for %+v", waiting, w)
		}
		r.databaseWorks("fabrikam")
		if w, waiting := r.Waiting(); waiting {
			t.Errorf("still waits for %+v", w)
		}
	})
}

func TestWaiting_mayBeAskedWhileOthersWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, log := withoutDatabase()
		var g errgroup.Group
		for i := range 8 {
			g.Go(func() error {
				who := fmt.Sprint(i)
				for range 100 {
					r.databaseFailed(who, serverError("53100", "no space"))
					if _, waiting := r.Waiting(); !waiting {
						t.Error("nobody waits")
					}
					r.databaseWorks(who)
				}
				return nil
			})
		}
		_ = g.Wait()
		if w, waiting := r.Waiting(); waiting {
			t.Errorf("still waits for %+v", w)
		}
		if len(log.lines(t)) > 2 {
			t.Errorf("logged: %s", log)
		}
	})
}

func TestAwait_endOfTheContextIsNoRecovery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, log := withoutDatabase()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		calls := 0
		if err := r.Await(ctx, "start", away(time.Hour, &calls)); err == nil {
			t.Error("no error")
		}
		wantLogged(t, log, "0s: waiting for the database; "+fullDisk)
		if w, waiting := r.Waiting(); waiting {
			t.Errorf("still waits for %+v", w)
		}
	})
}
