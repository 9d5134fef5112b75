package store

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// rowsAtOnce is how many rows are inserted by a statement: all that it is given is in memory once more.
const rowsAtOnce = 5000

// Listing is what is known of the listing whose rows are merged.
type Listing struct {
	ObservedAt time.Time // by the database's clock: Claim.ObservedAt
	// Complete: rows that are known and not listed are gone. An incomplete listing removes nothing.
	Complete bool
	// Digest stands for the listing; nil: keep none.
	Digest []byte
}

// Outcome counts the rows of a merge.
type Outcome struct {
	Inserted, Changed, Removed, Unchanged int
	// Held is how many rows the mass removal guard kept from being removed.
	Held int
	// DevicesDue is set by the merge of a batch list if there is a device list to be read now.
	DevicesDue bool
}

// The statements of a merge, for a resource's {table} and {versions}. First compare, so that an unchanged row costs no
// write and no lock; then write what differs. i is the listed row, k the known one.
const (
	knownSQL = `
SELECT {key}, removed_at, {sent}
FROM partner_center.{table}
WHERE {scope}`

	// Whether each listed row that differs from the known one opens a version.
	compareSQL = `
SELECT i.{key},
       k.removed_at IS NOT NULL
       OR {opens a version}
FROM {incoming}
JOIN partner_center.{table} k ON {scope} AND k.{key} = i.{key}
WHERE k.removed_at IS NOT NULL
   OR {differs}`

	// A version ends where its successor begins.
	supersedeSQL = `
INSERT INTO partner_center.{versions} ({scope columns}, {names}, valid_from, not_before, removed_at, valid_to)
SELECT {scope columns}, {names}, valid_from, not_before, removed_at, @observed_at::timestamptz
FROM partner_center.{table}
WHERE {scope} AND {key} = ANY (@keys::text[])`

	// Not COPY, which is faster: a server that waits for the rows of a frozen client heeds no time-out before they come, and
	// so would keep its locks.
	insertSQL = `
INSERT INTO partner_center.{table} ({scope columns}, {names}, valid_from)
SELECT {scope values}, {names}, @observed_at::timestamptz
FROM {incoming}`

	changeSQL = `
UPDATE partner_center.{table} k
SET {assignments},
    not_before = greatest(@confirmed_at::timestamptz, k.valid_from),
    valid_from = @observed_at::timestamptz,
    removed_at = NULL
FROM {incoming}
WHERE {scope} AND k.{key} = i.{key}`

	// What opens no version is updated in place.
	refreshSQL = `
UPDATE partner_center.{table} k
SET {quiet assignments}
FROM {incoming}
WHERE {scope} AND k.{key} = i.{key}`

	removeSQL = `
UPDATE partner_center.{table} k
SET not_before = greatest(@confirmed_at::timestamptz, k.valid_from),
    valid_from = @observed_at::timestamptz,
    removed_at = @observed_at::timestamptz
WHERE {scope} AND k.{key} = ANY (@keys::text[])`
)

// merge brings the rows of a list in line with a listing. then, if set, does what goes along with it in the same
// transaction.
func merge[R any](
	ctx context.Context, s *Store, r *resource[R], c Claim, batch Batch, l Listing, rows []R,
	then func(context.Context, *merging[R], *Outcome) error,
) (done Outcome, err error) {
	at := list{customerID: c.CustomerID, resource: r.table, batchID: batch.ID}
	err = s.write(ctx, func(tx *transaction) error {
		m := merging[R]{tx: tx, resource: r, claim: c, list: at, batch: batch, listing: l, rows: rows}
		done, err = m.run(ctx, then)
		return err
	})
	if err != nil {
		return Outcome{}, fmt.Errorf("merging the %s: %w", at, err)
	}
	return done, nil
}

// merging is the transaction of a merge.
type merging[R any] struct {
	tx       *transaction
	resource *resource[R]
	claim    Claim
	list     list
	batch    Batch // whose devices are listed
	listing  Listing
	rows     []R
	state    listState
	compared *comparison[R]
	diff     difference
	removed  []string  // keys
	last     pgx.Batch // what is still to be sent: in the end, or when something needs it done
}

func (m *merging[R]) run(ctx context.Context, then func(context.Context, *merging[R], *Outcome) error) (done Outcome, err error) {
	if err := m.enter(ctx); err != nil {
		return done, err
	}
	if m.diff, err = m.compared.difference(ctx, m.tx, m.list); err != nil {
		return done, err
	}
	var hold []string
	m.removed, hold = m.resource.gone(m.listing, m.diff, m.state)
	done = Outcome{
		Inserted: len(m.diff.inserted), Changed: len(m.diff.changed), Removed: len(m.removed),
		Unchanged: len(m.rows) - len(m.diff.inserted) - len(m.diff.changed), Held: len(hold),
	}
	if err := m.write(ctx, hold); err != nil {
		return done, err
	}
	if then != nil {
		if err := then(ctx, m, &done); err != nil {
			return done, err
		}
	}
	counts := Counts{Inserted: done.Inserted, Changed: done.Changed, Removed: done.Removed, Unchanged: done.Unchanged}
	if m.state.counted {
		counts.Unchanged = 0 // this is a second try, whose first one came to the commit
	}
	counts.queue(&m.last, m.claim.Run.ID, shard(m.claim.CustomerID))
	err = m.flush(ctx, m.tx.end) // which adds to done
	return done, err
}

// enter locks the customer's state, so that nobody can take the claim over before the transaction ends, and then reads the
// state of the list and compares what is known of it.
func (m *merging[R]) enter(ctx context.Context) error {
	const fence = `
		UPDATE partnersync.customer_state
		SET last_attempt_at = clock_timestamp()
		WHERE customer_id = @customer_id::uuid AND lease_epoch = @epoch`
	batch, held := &pgx.Batch{}, false
	batch.Queue(fence, pgx.NamedArgs{"customer_id": m.claim.CustomerID, "epoch": m.claim.Epoch}).Exec(func(tag pgconn.CommandTag) error {
		held = tag.RowsAffected() > 0
		return nil
	})
	batch.Queue(listStateSQL, m.list.stateArgs(m.claim.Run.ID)).QueryRow(m.state.scan)
	m.compared = &comparison[R]{resource: m.resource, rows: m.rows}
	m.compared.queue(batch, m.list)
	if err := m.tx.send(ctx, batch); err != nil {
		return fmt.Errorf("checking the claim and reading the list as it is known: %w", err)
	}
	if !held {
		return ErrClaimLost
	}
	return nil
}

// shard spreads the counts of customers that are merged at the same time.
func shard(customerID string) int {
	h := fnv.New32a()
	h.Write([]byte(customerID))
	return int(h.Sum32() % 16)
}

// write appends what is superseded to the versions, brings the current rows up to date, and leaves the state of the list. The
// last of it is left for the end.
func (m *merging[R]) write(ctx context.Context, hold []string) error {
	sql := m.resource.sql
	queue := func(sql string, rows []int, keys []string) {
		if len(rows) > 0 || len(keys) > 0 {
			m.last.Queue(sql, m.args(rows, keys))
		}
	}
	queue(sql.supersede, nil, m.superseded())
	queue(sql.change, m.diff.changed, nil)
	queue(sql.remove, nil, m.removed)
	queue(sql.refresh, m.diff.refreshed, nil)
	for some := range slices.Chunk(m.diff.inserted, rowsAtOnce) {
		if err := m.flush(ctx, m.tx.send); err != nil {
			return err
		}
		queue(sql.insert, some, nil)
	}
	m.last.Queue(leaveListSQL, m.leaveListArgs(hold))
	return nil
}

// flush sends what has been queued.
func (m *merging[R]) flush(ctx context.Context, send func(context.Context, *pgx.Batch) error) error {
	batch := m.last
	if m.last = (pgx.Batch{}); batch.Len() == 0 {
		return nil
	}
	if err := send(ctx, &batch); err != nil {
		return fmt.Errorf("writing %d new, %d changed and %d removed rows and the state of the list: %w",
			len(m.diff.inserted), len(m.diff.changed), len(m.removed), err)
	}
	return nil
}

// superseded returns the keys of the rows whose versions end.
func (m *merging[R]) superseded() []string {
	return slices.Concat(m.resource.keys(pick(m.rows, m.diff.changed)), m.removed)
}

// args are those of a statement that writes the rows at these positions, or with these keys.
func (m *merging[R]) args(rows []int, keys []string) pgx.NamedArgs {
	args := m.list.args()
	args["observed_at"], args["confirmed_at"], args["keys"] = m.observedAt(), m.state.confirmedAt, keys
	m.resource.args(pick(m.rows, rows), args)
	return args
}

func pick[R any](rows []R, positions []int) []R {
	if len(positions) == len(rows) {
		return rows
	}
	picked := make([]R, len(positions))
	for i, p := range positions {
		picked[i] = rows[p]
	}
	return picked
}

// observedAt is later than that of any earlier listing, even if the database's clock went back.
func (m *merging[R]) observedAt() time.Time {
	observed := m.listing.ObservedAt.UTC().Truncate(time.Microsecond)
	if m.state.observedAt == nil {
		return observed
	}
	if earliest := m.state.observedAt.Add(time.Microsecond); observed.Before(earliest) {
		return earliest
	}
	return observed
}
