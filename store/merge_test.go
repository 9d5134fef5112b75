package store

import (
	gocmp "cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const history = `SELECT concat_ws('|', batch_id, status, to_char(valid_from AT TIME ZONE 'UTC', 'HH24:MI'),
	coalesce(to_char(valid_to AT TIME ZONE 'UTC', 'HH24:MI'), '-'),
	coalesce(to_char(not_before AT TIME ZONE 'UTC', 'HH24:MI'), '-'), coalesce(to_char(removed_at AT TIME ZONE 'UTC', 'HH24:MI'), '-'))
	FROM partner_center.device_batch_history WHERE customer_id = $1 AND batch_id = $2 ORDER BY valid_from`

func TestMerge_batchThatChangesVanishesAndReturnsHasFiveVersions(t *testing.T) {
	t.Parallel()
	newWorld(t).fiveVersions()
}

func (w *world) fiveVersions() {
	w.t.Helper()
	others := []DeviceBatch{batch("stays", "finished"), batch("stays too", "finished")}
	list := func(more ...DeviceBatch) []DeviceBatch { return append(slices.Clone(others), more...) }
	w.pass(minute(1), complete("1"), list(batch("b", "queued"))...)
	w.pass(minute(2), complete("2"), list(batch("b", "processing"))...)
	w.pass(minute(3), complete("3"), list(batch("b", "processing"))...)
	w.pass(minute(4), complete("4"), list(batch("b", "finished"))...)
	w.pass(minute(5), complete("5"), list()...)
	w.pass(minute(6), complete("6"), list(batch("b", "finished"))...)
	five := `
		b|queued|00:01|00:02|-|-
		b|processing|00:02|00:04|00:01|-
		b|finished|00:04|00:05|00:03|-
		b|finished|00:05|00:06|00:04|00:05
		b|finished|00:06|-|00:05|-`
	w.want(five, history, alpha, "b")
	if done := w.pass(minute(7), complete("7"), list(batch("b", "finished"))...); done != (Outcome{Unchanged: 3}) {
		w.t.Errorf("the same pass again: %+v, want nothing but unchanged rows", done)
	}
	w.want(five, history, alpha, "b")
	w.want("stays|finished|00:01|-|-|-", history, alpha, "stays")
}

func TestMerge_absentTwiceIsOneRemoval(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pass(minute(1), complete("1"), batch("a", "finished"), batch("b", "finished"))
	first := w.pass(minute(2), complete("2"), batch("a", "finished"))
	second := w.pass(minute(3), complete("3"), batch("a", "finished"))
	if first.Removed != 1 || second.Removed != 0 {
		t.Errorf("removed %d and then %d, want 1 and 0", first.Removed, second.Removed)
	}
	w.want("b|finished|00:01|00:02|-|-\nb|finished|00:02|-|00:01|00:02", history, alpha, "b")
}

// A listing of several pages may have missed a batch that was back already, so that it bounds nothing.
func TestMerge_returnIsNotBoundedByAListingOfSeveralPages(t *testing.T) {
	t.Parallel()
	for pages, notBefore := range map[int]string{1: "00:03", 2: "00:02"} {
		w := newWorld(t)
		w.pass(minute(1), complete("1"), batch("a", "finished"), batch("b", "finished"))
		w.pass(minute(2), complete("2"), batch("a", "finished"))
		w.pass(minute(3), Listing{Complete: true, Digest: []byte("3"), Pages: pages}, batch("a", "queued"))
		w.pass(minute(4), complete("4"), batch("a", "finished"), batch("b", "finished"))
		w.want("b|finished|00:01|00:02|-|-\nb|finished|00:02|00:04|00:01|00:02\nb|finished|00:04|-|"+notBefore+"|-", history, alpha, "b")
		w.want("a|finished|00:04|-|00:03|-", history+" DESC LIMIT 1", alpha, "a")
	}
}

func TestMerge_whatOpensAVersion(t *testing.T) {
	t.Parallel()
	day := time.Date(2017, 7, 25, 1, 51, 0, 0, time.UTC)
	known := DeviceBatch{
		BatchID: "b", Status: ptr("queued"), CreatedBy: ptr("Contoso"), CreationDate: &day, DevicesCount: ptr(int32(5)),
		Extra: `{"a": 1}`,
	}
	tests := []struct {
		name   string
		change func(*DeviceBatch)
		opens  bool
	}{
		{"nothing", func(*DeviceBatch) {}, false},
		{"status", func(b *DeviceBatch) { b.Status = ptr("finished") }, true},
		{"status in another case", func(b *DeviceBatch) { b.Status = ptr("Queued") }, true},
		{"status gone", func(b *DeviceBatch) { b.Status = nil }, true},
		{"created_by", func(b *DeviceBatch) { b.CreatedBy = ptr("Fabrikam") }, true},
		{"created_by gone", func(b *DeviceBatch) { b.CreatedBy = nil }, true},
		{"devices_count", func(b *DeviceBatch) { b.DevicesCount = ptr(int32(6)) }, true},
		{"creation_date by a second", func(b *DeviceBatch) { b.CreationDate = ptr(day.Add(time.Second)) }, true},
		{"creation_date back by a second", func(b *DeviceBatch) { b.CreationDate = ptr(day.Add(-time.Second)) }, true},
		{"creation_date gone", func(b *DeviceBatch) { b.CreationDate = nil }, true},
		{"creation_date by less than a second", func(b *DeviceBatch) { b.CreationDate = ptr(day.Add(999 * time.Millisecond)) }, false},
		{"extra", func(b *DeviceBatch) { b.Extra = `{"a": 2}` }, false},
		{"extra gone", func(b *DeviceBatch) { b.Extra = "" }, false},
	}
	w := newWorld(t)
	for _, test := range tests {
		w.run(test.name, func(t *testing.T) {
			w.pass(minute(1), complete("1"), known)
			changed := known
			test.change(&changed)
			done := w.pass(minute(2), complete("2"), changed)
			want, versions := Outcome{Unchanged: 1}, "1"
			if test.opens {
				want, versions = Outcome{Changed: 1}, "2"
			}
			if done != want {
				t.Errorf("merge: %+v, want %+v", done, want)
			}
			w.want(versions, "SELECT concat_ws('|', count(*)) FROM partner_center.device_batch_history WHERE customer_id = $1", w.customer)
			w.want(gocmp.Or(changed.Extra, "{}"), "SELECT concat_ws('|', extra) FROM partner_center.device_batches WHERE customer_id = $1", w.customer)
		})
	}
}

func TestMerge_storedDateIsKeptWhereItIsEqual(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	day := time.Date(2017, 7, 25, 1, 51, 0, 0, time.UTC)
	w.pass(minute(1), complete("1"), DeviceBatch{BatchID: "b", Status: ptr("queued"), CreationDate: &day})
	w.pass(minute(2), complete("2"), DeviceBatch{BatchID: "b", Status: ptr("finished"), CreationDate: ptr(day.Add(time.Millisecond))})
	w.want("0", "SELECT concat_ws('|', extract(microseconds FROM creation_date)::int) FROM partner_center.device_batches")
}

func TestMerge_notBeforeIsTheLastConfirmationOrTheVersionBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pass(minute(1), Listing{}, batch("b", "queued")) // never confirmed
	w.pass(minute(2), Listing{}, batch("b", "processing"))
	w.pass(minute(3), complete("3"), batch("b", "processing"))
	w.pass(minute(4), Listing{}, batch("b", "finished"))
	w.pass(minute(5), Listing{}, batch("b", "finished_with_errors"))
	w.want(`
		b|queued|00:01|00:02|-|-
		b|processing|00:02|00:04|00:01|-
		b|finished|00:04|00:05|00:03|-
		b|finished_with_errors|00:05|-|00:04|-`, history, alpha, "b")
}

func TestMerge_incompleteListingRemovesNothingAndClearsTheDigest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pass(minute(1), complete("1"), batch("a", "queued"), batch("b", "queued"))
	done := w.pass(minute(2), Listing{Digest: []byte("2")}, batch("a", "finished"), batch("c", "queued"))
	if want := (Outcome{Inserted: 1, Changed: 1}); done != want {
		t.Errorf("merge: %+v, want %+v", done, want)
	}
	w.want("a|finished|-\nb|queued|-\nc|queued|-", "SELECT concat_ws('|', batch_id, status, coalesce(removed_at::text, '-')) FROM partner_center.device_batches ORDER BY batch_id")
	w.want("t|2026-01-01 00:01:00|2026-01-01 00:02:00",
		"SELECT concat_ws('|', digest IS NULL, confirmed_at AT TIME ZONE 'UTC', observed_at AT TIME ZONE 'UTC') FROM partnersync.list_state")
}

func TestMerge_massRemovalIsHeldUntilALaterRunConfirmsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var all []DeviceBatch
	for i := range 12 {
		all = append(all, batch(fmt.Sprintf("b%02d", i), "finished"))
	}
	w.pass(minute(1), complete("1"), all...)
	if done := w.pass(minute(2), complete("2"), all[:5]...); done.Removed != 0 || done.Held != 7 {
		t.Errorf("first listing that lacks 7 of 12: %+v, want 7 held", done)
	}
	w.want("t|2026-01-01 00:01:00|7", "SELECT concat_ws('|', digest IS NULL, confirmed_at AT TIME ZONE 'UTC', cardinality(held)) FROM partnersync.list_state")
	// An incomplete listing in between neither confirms nor forgets.
	w.pass(minute(3), Listing{}, all[:1]...)
	if done := w.pass(minute(4), complete("4"), slices.Concat(all[:4], all[5:6])...); done.Removed != 6 || done.Held != 1 {
		t.Errorf("second listing, with one more gone and one back: %+v, want 6 removed and 1 held", done)
	}
	if done := w.pass(minute(5), complete("5"), slices.Concat(all[:4], all[5:6])...); done.Removed != 1 || done.Held != 0 {
		t.Errorf("third listing: %+v, want 1 removed", done)
	}
	w.want("5", "SELECT concat_ws('|', count(*)) FROM partner_center.device_batches WHERE removed_at IS NULL")
	w.want("b06|finished|00:01|00:04|-|-\nb06|finished|00:04|-|00:01|00:04", history, alpha, "b06")
}

func TestMerge_sameRunCannotConfirmWhatItHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pass(minute(1), complete("1"), batch("only", "finished"))
	run := w.begin(Scheduled, alpha)
	for n := range 2 {
		claim := w.claim(run)
		done, err := w.MergeDeviceBatches(t.Context(), claim, Listing{Complete: true, ObservedAt: minute(2 + n)}, nil)
		w.ok(err)
		if done.Held != 1 || done.Removed != 0 {
			t.Errorf("listing %d of the run: %+v, want 1 held", n+1, done)
		}
		w.leave(Run{ID: -1, Partner: "contoso"}) // lets the claim go
	}
}

func TestMerge_batchesOfOtherCustomersAreLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Scheduled, alpha, beta)
	for n, id := range []string{alpha, beta} {
		claim := w.claim(run)
		if claim.CustomerID != id {
			t.Fatalf("claimed %s, want %s", claim.CustomerID, id)
		}
		_, err := w.MergeDeviceBatches(t.Context(), claim, Listing{Complete: true, ObservedAt: minute(n)},
			[]DeviceBatch{batch("same name", "finished"), batch(id, "queued")})
		w.ok(err)
	}
	w.want("4|0", "SELECT concat_ws('|', count(*), count(removed_at)) FROM partner_center.device_batches")
}

func TestMerge_idsSurviveUnchanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := []string{
		"with space", "a/b", `quo"te'`, "100%", "emoji 😀", "Case", "case", "é", "e\u0301", "\u202egnirts", "a\u200bb", " a", "a ",
		"'); DROP TABLE x; --", incompressible(1000),
	}
	var rows []DeviceBatch
	for _, id := range ids {
		rows = append(rows, batch(id, "finished"))
	}
	for n := range 2 {
		want := Outcome{Inserted: len(ids)}
		if n == 1 {
			want = Outcome{Unchanged: len(ids)}
		}
		if done := w.pass(minute(n), Listing{Complete: true}, rows...); done != want {
			t.Errorf("pass %d: %+v, want %+v", n+1, done, want)
		}
	}
	slices.Sort(ids)
	w.want(strings.Join(ids, "\n"), "SELECT concat_ws('|', batch_id) FROM partner_center.device_batches ORDER BY batch_id")
	if done := w.pass(minute(3), Listing{Complete: true}, rows[5:]...); done.Removed != 5 {
		t.Errorf("removed %d of 5", done.Removed)
	}
}

// incompressible returns n bytes that PostgreSQL's compression cannot shorten.
func incompressible(n int) string {
	b, x := make([]byte, n), uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = '!' + byte(x>>24)%90
	}
	return string(b)
}

func TestMerge_observedTimesNeverGoBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pass(minute(9), complete("1"), batch("b", "queued"))
	w.pass(minute(5), complete("2"), batch("b", "processing"))
	w.pass(minute(5), complete("3"), batch("b", "finished"))
	w.want("queued|0\nprocessing|1\nfinished|2",
		"SELECT concat_ws('|', status, extract(microseconds FROM valid_from)::int) FROM partner_center.device_batch_history ORDER BY valid_from")
}

func TestMerge_lostClaimWritesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Scheduled, alpha)
	stale := w.claim(run)
	w.die()
	other := w.another()
	claim := other.claim(run)
	_, err := w.MergeDeviceBatches(t.Context(), stale, complete("1"), []DeviceBatch{batch("b", "queued")})
	if !errors.Is(err, ErrClaimLost) {
		t.Errorf("merge under a lost claim: %v, want ErrClaimLost", err)
	}
	lost, err := w.RecordResults(t.Context(), run, []Result{{Claim: stale, Failure: &Failure{Code: "late"}, Requests: 7}})
	if w.ok(err); lost != 1 {
		t.Errorf("recorded under a lost claim: %d lost, want 1", lost)
	}
	w.want("0|0|0", "SELECT concat_ws('|', (SELECT count(*) FROM partner_center.device_batches), (SELECT count(*) FROM partnersync.list_state), "+
		"(SELECT requests FROM partner_center.sync_runs))")
	_, err = other.MergeDeviceBatches(t.Context(), claim, complete("1"), []DeviceBatch{batch("b", "queued")})
	w.ok(err)
	other.record(run, Result{Claim: claim})
	w.want("1|0|1", "SELECT concat_ws('|', customers_ok, customers_failed, inserted) FROM partner_center.sync_runs")
}

func TestMerge_unchangedRowsAreNotWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rows := []DeviceBatch{batch("a", "queued"), batch("b", "queued"), batch("c", "finished")}
	w.pass(minute(1), complete("1"), rows...)
	place := "SELECT concat_ws('|', batch_id, ctid, xmin) FROM partner_center.device_batches WHERE batch_id <> 'a' ORDER BY batch_id"
	before := w.lines(place)
	rows[0] = batch("a", "processing")
	w.pass(minute(2), complete("2"), rows...)
	if diff := cmp.Diff(before, w.lines(place)); diff != "" {
		t.Errorf("unchanged rows were rewritten or locked: (-before +after)\n%s", diff)
	}
}

// In a cluster, a transaction in doubt holds this lock on its customer's node; here another session does.
func TestMerge_saysThatAnEarlierWriteIsInDoubt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.begin(Once, alpha)
	claim := w.claim(run)
	inDoubt, err := w.pool.Begin(t.Context())
	w.ok(err)
	const lock = `
		SELECT pg_advisory_xact_lock(hashtextextended('partnersync: merges of customer ' || $1::text, 0))
		FROM (SELECT count(*) FROM partner_center.device_batches WHERE customer_id = $2::uuid) n`
	_, err = inDoubt.Exec(t.Context(), lock, alpha, alpha)
	w.ok(err)
	ended := make(chan error)
	go func() {
		_, err := w.MergeDeviceBatches(t.Context(), claim, complete("1"), []DeviceBatch{batch("a", "queued")})
		ended <- err
	}()
	w.untilLocked()
	w.exec(`SELECT pg_cancel_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active'
		  AND query LIKE '%partnersync: merges of customer%'`)
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "in doubt on its node") {
		t.Errorf("the merge: %v, want what it waited for", err)
	}
	w.ok(inDoubt.Rollback(t.Context()))
	_, err = w.MergeDeviceBatches(t.Context(), claim, complete("1"), []DeviceBatch{batch("a", "queued")})
	w.ok(err)
}
