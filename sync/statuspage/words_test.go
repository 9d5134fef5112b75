package statuspage

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"partnersync/store/report"
)

func TestCount(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1 000", 1234567: "1 234 567", -1000: "−1 000"} {
		if got := strings.ReplaceAll(count(n), "\u202f", " "); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestStatusClass(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]string{
		"queued": "queued", "Processing": "processing", "in-progress": "processing", "FINISHED": "finished",
		"finished-with-errors": "errors",
		"finished_with_errors": "errors", "gone": "gone", "": "other", "unknown": "other", "x' onload='": "other",
	} {
		if got := statusClass(status); got != want {
			t.Errorf("%q: %s, want %s", status, got, want)
		}
	}
}

func TestNiceTop(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]int64{0: 2, 1: 2, 2: 2, 3: 4, 5: 6, 9: 10, 10: 10, 11: 20, 13: 20, 56: 60, 99: 100,
		101: 200, 999_999: 1_000_000, 1_000_001: 2_000_000} {
		if got := niceTop(n); got != want {
			t.Errorf("%d: %d, want %d", n, got, want)
		}
	}
}

// daysOf returns what the batches in a status were, day by day.
func daysOf(status string, first time.Time, batches ...int64) (days []report.StatusDay) {
	for n, batches := range batches {
		days = append(days, report.StatusDay{Status: status, Day: first.AddDate(0, 0, n), Batches: batches})
	}
	return days
}

func TestBatchesView_partsOfADayFillItsColumn(t *testing.T) {
	t.Parallel()
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	finished, queued := slices.Repeat([]int64{30}, 30), make([]int64, 30)
	finished[29], queued[10] = 40, 10
	v := newBatchesView(report.Batches{FirstDay: first,
		Days: slices.Concat(daysOf("finished", first, finished...), daysOf("queued", first, queued...))})
	if v.Total != 40 || v.Ticks[0] != 40 || len(v.Columns) != shownDays {
		t.Fatalf("total %d, ticks %v, %d days", v.Total, v.Ticks, len(v.Columns))
	}
	for n, want := range map[int]string{0: "1 January: 30 finished", 9: "10 January: 30 finished",
		10: "11 January: 30 finished and 10 queued", 29: "30 January: 40 finished"} {
		if got := v.Columns[n].Title; got != want {
			t.Errorf("day %d: %q, want %q", n, got, want)
		}
	}
	parts := v.Columns[10].Parts
	if finished, queued := parts[0], parts[3]; finished.Y != 250 || finished.Height != 750 || queued.Y != 0 ||
		queued.Height != 250 {
		t.Errorf("parts %+v", parts)
	}
}

func TestBatchesView_leavesOutDaysThatWerePruned(t *testing.T) {
	t.Parallel()
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	v := newBatchesView(report.Batches{FirstDay: first, KnownDay: first.AddDate(0, 0, 28),
		Days: daysOf("finished", first.AddDate(0, 0, 27), 30, 40, 40)})
	if len(v.Columns) != 2 || v.Columns[0].X != 28 || v.Columns[0].Title != "29 January: 40 finished" || v.Total != 40 {
		t.Errorf("%d batches, columns %+v", v.Total, v.Columns)
	}
}

func TestHistoryView_joinsVersionsOfOneStatus(t *testing.T) {
	t.Parallel()
	at := func(n int) *time.Time { m := time.Date(2026, 1, 1, 0, n, 0, 0, time.UTC); return &m }
	queued, finished := "queued", "finished"
	v := newHistoryView(report.BatchHistory{Status: &finished, RemovedAt: at(30), Versions: []report.BatchVersion{
		{Status: &queued, ValidFrom: *at(0), ValidTo: at(1)}, {Status: &queued, ValidFrom: *at(1), ValidTo: at(10)},
		{Status: &finished, ValidFrom: *at(10), ValidTo: at(30)}, {Status: &finished, ValidFrom: *at(30), Removed: true},
	}}, *at(100))
	if v.Now != gone || len(v.Steps) != 3 {
		t.Fatalf("%+v", v)
	}
	whole := 0.0
	for i, want := range []struct {
		status string
		lasted time.Duration
	}{{"queued", 10 * time.Minute}, {"finished", 20 * time.Minute}, {gone, 70 * time.Minute}} {
		if st := v.Steps[i]; st.Status != want.status || st.Lasted != want.lasted || st.X != whole {
			t.Errorf("step %d: %+v, want %+v", i, st, want)
		}
		whole += v.Steps[i].Width
	}
	if whole < 999.9 || whole > 1000.1 {
		t.Errorf("the steps are %v wide together", whole)
	}
}

func FuzzSearched(f *testing.F) {
	f.Add("a b")
	f.Add("\x00\xff%")
	f.Add(strings.Repeat("ü", 600))
	f.Fuzz(func(t *testing.T, text string) {
		got := searched(map[string][]string{"q": {text}})
		if !utf8.ValidString(got) || strings.Contains(got, "\x00") || len(got) > longestSearch+len("…") {
			t.Errorf("%q became %q", text, got)
		}
	})
}
