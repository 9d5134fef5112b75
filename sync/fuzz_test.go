package sync

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"partnersync/store"
	"partnersync/sync/partnercenter/partnercentertest"
)

// FuzzBatchIDs lets the API have batches of any names (there is a tab between them), and looks for them, and for the
// device in each, in the database: the names have to come through JSON, PostgreSQL and URLs.
func FuzzBatchIDs(f *testing.F) {
	f.Add(strings.Join([]string{
		"Test batch", "a/b", "/", "//", "a?b=c", "#", "50%", "%2F", "%00", "...", "a/../b", "+", ";x=y", "a&b", `\`, `"`, "\x00", "a\nb",
		"caf\u00e9", "cafe\u0301", "\u202e", "😀", "https://elsewhere.test/x", "{id}", "$1", "'; --", strings.Repeat("x",
			1000),
		strings.Repeat("x", 1001), strings.Repeat("é", 501), strings.Repeat("\x00",
			400), "case", "Case", " ", "devices", "/devices?x",
	}, "\t"))
	f.Add("..\tplain\t.")
	f.Fuzz(func(t *testing.T, names string) {
		if len(names) > 20_000 || !utf8.ValidString(names) { // other text gets lost in JSON already
			return
		}
		w := newWorld(t, partnercentertest.Options{}).reading()
		customer := w.customers(1)[0]
		ids := map[string]string{} // as received, by how they are stored
		dots := 0                  // no URL can have them
		for _, id := range strings.Split(names, "\t") {
			stored, _ := storedID(id)
			if _, ok := ids[stored]; ok || id == "" || len(ids) > 100 {
				continue
			}
			if ids[stored] = id; id == "." || id == ".." {
				dots++
			}
			w.fill(customer, id, 1)
		}
		run := w.once()
		if want := int64(2*len(ids) - dots); run.Inserted != want || (run.State == store.Complete) != (dots == 0) {
			t.Errorf("%d rows inserted, want %d: %+v", run.Inserted, want, run)
		}
		stored := slices.Sorted(maps.Keys(ids))
		w.want(strings.Join(stored, "\n"), `SELECT batch_id FROM partner_center.device_batches ORDER BY batch_id`)
		reached := slices.DeleteFunc(stored, func(id string) bool { return id == "." || id == ".." })
		w.want(strings.Join(reached, "\n"), `SELECT batch_id FROM partner_center.devices ORDER BY batch_id`)
		if again := w.once(); again.Inserted+again.Changed+again.Removed != 0 {
			t.Errorf("changes the second time: %+v", again)
		}
	})
}
