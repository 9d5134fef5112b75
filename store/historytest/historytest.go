// Package historytest checks the history in the database against a record of what the API served: that nothing was
// lost, duplicated or put out of order, whatever happened to the processes that wrote it. The emulator keeps such a
// record.
//
// It shares no code with what it checks: it reads the tables and the served bodies itself. This is what holds of a
// true history:
//
//   - The versions of an item join without gap or overlap, each differs from the one before, and the last is current.
//   - At each moment when versions of a list begin, the whole list was as one listing had served it, and these listings
//     are in the order in which they were served. A listing of which some pages are missing may lack items.
//   - valid_from lies within the listing, and the change to the version within (not_before, valid_from]: by the record
//     it happened after not_before, and a listing at not_before still had the version before.
//   - The runs' counts are those of the versions.
//
// A listing that was never written is no damage in itself, since the process that asked for it may have been
// killed. [Options] says when it is one: the batches of a customer must have been written once their reader goes on
// to the policies. Nothing of that kind can be said of policies and devices, because the next request may come from
// another process: a state of theirs that was served, never written and followed by another goes unnoticed, unless
// it is the last.
//
// What a listing lacks may stay where the mass removal guard may hold it, or where only one listing of several pages
// lacks it; [Options.CaughtUp] still tells whether it is removed in the end. Fields beyond those that the API documents
// are not provided for.
package historytest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// List is one list of the API.
type List struct {
	CustomerID string // lower case
	Kind       string // deviceBatches, policies or devices
	BatchID    string // of a list of devices
}

// Serving is one page of a list as it was served, whole and unaltered. Whether it arrived is another matter.
type Serving struct {
	List
	At            time.Time // when the list was like this
	CorrelationID string    // the same for all pages of a listing, and for all listings of a customer in a pass
	First         bool      // it is the page with which the list begins
	Body          []byte    // may be shared with other servings
}

// Change is a moment at which an item of a list changed, appeared or disappeared.
type Change struct {
	List
	Key string // the item's id
	At  time.Time
}

// Kind is a way in which a history can be damaged.
type Kind string

// The ways in which a history can be damaged.
const (
	Lost       Kind = "lost"       // a state that was served and written is missing
	Duplicate  Kind = "duplicate"  // a version does not differ from the one before
	Overlap    Kind = "overlap"    // a version ends after the next one begins
	Gap        Kind = "gap"        // a version ends before the next one begins
	Backwards  Kind = "backwards"  // a version began, or was served, before its predecessor
	Unserved   Kind = "unserved"   // a version was served at no time near its valid_from
	Bounds     Kind = "bounds"     // not_before or removed_at is wrong
	Miscounted Kind = "miscounted" // the runs' counts are not those of the versions
	Behind     Kind = "behind"     // the current rows are not what was served last
)

// Damage is one place at which a history is damaged.
type Damage struct {
	Kind Kind
	List List
	Key  string    // the item's id; "" if the list or the whole history is meant
	At   time.Time // where in the history
	Text string
}

// String says everything in one line.
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
	return fmt.Sprintf("%s: %s, at %s: %s", d.Kind, where, clock(d.At), d.Text)
}

// DefaultSlack is the slack of the zero [Options].
const DefaultSlack = 10 * time.Second

// Options say what is known about the circumstances.
type Options struct {
	// Slack is how long before a page was served its listing may have been observed: a request takes its time, and
	// a page follows those before it. 0: DefaultSlack.
	Slack time.Duration
	// CaughtUp: nothing has changed since the last listings, which were complete and have been written. The current
	// rows must then be what was served last.
	CaughtUp bool
	// Pruned: superseded versions or runs may have been removed, so that a history may begin anywhere.
	Pruned bool
	// OneProcess: there was one process at a time, and it reads policies. When it goes on from a customer's batches
	// to the policies, it has written the batches, so that these must be in the history.
	OneProcess bool
}

// Check compares the history in a database with what was served and what changed meanwhile, and returns what is
// wrong with it, ordered by list and time. Servings must be in the order of their times, and the clocks of the
// database's machine and of this one must agree.
func Check(ctx context.Context, db *pgxpool.Pool, served []Serving, changed []Change, o Options) ([]Damage, error) {
	c := &checker{Options: o, histories: map[List]history{}, changed: map[item][]time.Time{}}
	c.Slack = cmp.Or(c.Slack, DefaultSlack)
	if err := c.read(ctx, db); err != nil {
		return nil, err
	}
	var err error
	if c.served, err = listings(served); err != nil {
		return nil, err
	}
	for _, change := range changed {
		k := item{change.List, change.Key}
		c.changed[k] = append(c.changed[k], change.At)
	}
	for l, h := range c.histories {
		for key, versions := range h {
			c.checkVersions(l, key, versions)
		}
		c.checkOrigins(l, h)
		c.checkRemovedWithBatch(l, h)
	}
	for l := range c.served {
		c.checkWritten(l)
	}
	if !c.Pruned {
		c.checkCounts()
	}
	slices.SortFunc(c.damages, func(a, b Damage) int {
		return cmp.Or(
			cmp.Compare(a.List.CustomerID, b.List.CustomerID), cmp.Compare(a.List.Kind, b.List.Kind),
			cmp.Compare(a.List.BatchID, b.List.BatchID),
			a.At.Compare(b.At), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Kind, b.Kind))
	})
	return c.damages, nil
}

// checker is one check.
type checker struct {
	Options
	histories map[List]history
	counted   counts // by the runs
	served    map[List][]listing
	changed   map[item][]time.Time
	damages   []Damage
}

// item is an item of a list.
type item struct {
	List
	key string
}

func (c *checker) damaged(k Kind, l List, key string, at time.Time, format string, args ...any) {
	c.damages = append(c.damages, Damage{Kind: k, List: l, Key: key, At: at, Text: fmt.Sprintf(format, args...)})
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05.000000") }
