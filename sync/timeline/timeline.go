// Package timeline checks the history in the database against the emulator's account of what it served: that nothing was
// lost, doubled or put out of order, whatever happened to the processes that wrote it.
//
//	api := partnercentertest.New(partnercentertest.Options{Timeline: true})
//	…
//	damages, err := timeline.Check(ctx, pool, api.Timeline(), timeline.Options{CaughtUp: true})
//
// It shares no code with what it checks: it reads the tables and the served bodies by itself. What holds of a true history:
//
//   - The versions of an item join without gap or overlap, each differs from the one before, and the last one is current.
//   - Each moment at which versions of a list begin is a listing: all of the list's items as of then are what one serving
//     held, and these servings are in the order in which they were made. A listing of which not all pages came may lack items.
//   - valid_from lies within the serving, and the change to the version in (not_before, valid_from]: by the emulator's own
//     note of changes it came after not_before, and a serving at not_before still held the version before.
//   - The runs' counts are those of the versions.
//
// A serving that nobody wrote is no damage by itself, since whoever asked may have been killed. [Options] says when it is: of
// batches, when their reader went on to the policies. Of policies and devices that is not told, for nothing in what is asked
// next says whether the same process asks, which must have written them, or another one after its death: a state of theirs
// that was served, never written and followed by another goes unnoticed. The last one of a list does not.
//
// Listings that the mass removal guard would hold are not provided for, nor emulators that serve Raw or Extra.
package timeline

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/sync/partnercenter/partnercentertest"
)

// Kind is a way in which a history can be damaged.
type Kind string

// The ways in which a history can be damaged.
const (
	Lost       Kind = "lost"       // a state that was served and written is not there
	Doubled    Kind = "doubled"    // a version that is no different from the one before
	Overlap    Kind = "overlap"    // a version ends after the next one begins
	Gap        Kind = "gap"        // a version ends before the next one begins
	Backwards  Kind = "backwards"  // a version began, or was served, before its predecessor
	Unserved   Kind = "unserved"   // a version that was served at no time near its valid_from
	Bounds     Kind = "bounds"     // not_before or removed_at is not true
	Miscounted Kind = "miscounted" // the runs' counts are not those of the versions
	Behind     Kind = "behind"     // the current rows are not what was served last
)

// Damage is one place at which a history is damaged.
type Damage struct {
	Kind Kind
	List partnercentertest.List
	Key  string    // the item's id; "" if the list or the whole is meant
	At   time.Time // where in the history
	Text string
}

// String says everything in a line.
func (d Damage) String() string {
	where := "the history"
	if d.List.CustomerID != "" {
		where = fmt.Sprintf("%s of customer %s", d.List.Kind, d.List.CustomerID)
	}
	if d.List.BatchID != "" {
		where += fmt.Sprintf(", batch %q", d.List.BatchID)
	}
	if d.Key != "" {
		where += fmt.Sprintf(", %q", d.Key)
	}
	return fmt.Sprintf("%s: %s, at %s: %s", d.Kind, where, d.At.UTC().Format("15:04:05.000000"), d.Text)
}

// DefaultSlack is the slack of the zero [Options].
const DefaultSlack = 10 * time.Second

// Options say what is known of the circumstances.
type Options struct {
	// Slack is how long before a page was served its listing may have been observed: a request takes its time, and a page
	// comes after those before it. 0: DefaultSlack.
	Slack time.Duration
	// CaughtUp: nothing has changed since the last listings, and those were complete and written. The current rows are then
	// what was served last.
	CaughtUp bool
	// Sole: there was one process at a time, which reads policies. Whoever goes on from a customer's batches to its policies
	// has written the batches, so that their states must be there.
	Sole bool
}

// Check compares the history in a database with what an emulator served, and returns what is wrong with it, in the order
// of the lists and times. The clocks of the database's machine and of this one must agree.
func Check(ctx context.Context, db *pgxpool.Pool, t partnercentertest.Timeline, o Options) ([]Damage, error) {
	r, err := read(ctx, db)
	if err != nil {
		return nil, err
	}
	c := &checker{Options: o, records: r}
	c.Slack = cmp.Or(c.Slack, DefaultSlack)
	if c.servings, err = listings(t.Servings); err != nil {
		return nil, err
	}
	c.changes = changes(t.Changes)
	for list := range c.records.histories {
		c.list(list)
	}
	for list := range c.servings {
		c.served(list)
	}
	c.counts()
	slices.SortFunc(c.damages, func(a, b Damage) int {
		return cmp.Or(compareLists(a.List, b.List), a.At.Compare(b.At), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Kind, b.Kind))
	})
	return c.damages, nil
}

func compareLists(a, b partnercentertest.List) int {
	return cmp.Or(cmp.Compare(a.CustomerID, b.CustomerID), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.BatchID, b.BatchID))
}

// checker is one check.
type checker struct {
	Options
	records  records
	servings map[partnercentertest.List][]listing
	changes  map[item][]time.Time
	damages  []Damage
}

func (c *checker) damaged(k Kind, l partnercentertest.List, key string, at time.Time, format string, args ...any) {
	c.damages = append(c.damages, Damage{Kind: k, List: l, Key: key, At: at, Text: fmt.Sprintf(format, args...)})
}

// list checks what the database has of a list.
func (c *checker) list(l partnercentertest.List) {
	h := c.records.histories[l]
	for key, versions := range h {
		c.intervals(l, key, versions)
	}
	c.merges(l, h)
	c.withoutBatch(l, h)
}

// counts compares the runs' counts with the versions.
func (c *checker) counts() {
	var got counts
	for _, h := range c.records.histories {
		for _, versions := range h {
			got.Inserted++
			for _, v := range versions[1:] {
				if v.gone {
					got.Removed++
				} else {
					got.Changed++
				}
			}
		}
	}
	if want := c.records.counts; got != want {
		c.damaged(Miscounted, partnercentertest.List{}, "", time.Time{}, "the runs counted %+v, and there are %+v", want, got)
	}
}
