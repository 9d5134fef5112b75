package store

import (
	"context"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// rowsAtOnce is how many rows a statement writes: its arguments are a second copy of them in memory.
const rowsAtOnce = 5000

// Listing is what is known of the listing whose rows are merged.
type Listing struct {
	ObservedAt time.Time // by the database's clock: Claim.ObservedAt
	// Complete: rows that are known and not listed are gone. An incomplete listing removes nothing.
	Complete bool
	// Pages is how many it took. Several pages are no snapshot: an item that is deleted from a page which was read
	// already moves the others up, and one of them is missed. So rows are removed only if a second listing lacks them
	// too.
	Pages int
	// AbsentBefore are the keys that a listing just before this one lacked, as in UnconfirmedError; nil: this is
	// the first.
	AbsentBefore []string
	// Digest stands for the listing; nil: keep none.
	Digest []byte
}

// Outcome counts the rows of a merge.
type Outcome struct {
	Inserted, Changed, Removed, Unchanged int
	// Held is how many rows the mass removal guard kept from being removed, and Unconfirmed how many are kept since
	// only this listing of several pages lacks them.
	Held, Unconfirmed int
	// DevicesDue is set by the merge of a batch list if the run may have device lists of the customer to read.
	DevicesDue bool
}

// merging is the transaction of a merge.
type merging[R any] struct {
	tx          pgx.Tx
	resource    *resource[R]
	claim       Claim // none in a dry run
	list        list
	listing     Listing
	rows        []R
	state       listState
	isFirst     bool // it is the customer's first complete listing, of batches or of devices
	observedAt  time.Time
	diff        difference[R]
	removed     []string // keys
	held        []string // keys that the guard holds back
	unconfirmed []string // keys that this listing of several pages is the first to lack
	outcome     Outcome  // once it is written
}

// maxPagesToReread is the longest listing, in pages, that is read again at once. Of a longer one, the next pass's
// listing is the second.
const maxPagesToReread = 50

// UnconfirmedError is returned for a listing of several pages that lacks known rows. Nothing was written: the list is
// to be read again at once, and merged with these keys as Listing.AbsentBefore.
type UnconfirmedError struct{ Absent []string }

// Error says how many known rows the listing lacks.
func (e *UnconfirmedError) Error() string {
	return fmt.Sprintf("a listing of several pages lacks %d known rows: it is to be read again", len(e.Absent))
}

// merge brings the rows of a list in line with a listing, in one transaction:
//
//   - check the claim, which locks the customer's state until the end: nobody can take the claim over meanwhile;
//   - compare the listed rows with the known ones, so that an unchanged row costs no write and no lock;
//   - append what is superseded to the versions, and bring the current rows up to date;
//   - do what goes along with it (also), and count.
//
// Of a device list, of is the list as it was known.
func merge[R any](
	ctx context.Context, s *Store, r *resource[R], c Claim, of DeviceList, l Listing, rows []R,
	also func(context.Context, *merging[R]) error,
) (done Outcome, err error) {
	at := list{customerID: c.CustomerID, resource: r.table, devices: of}
	err = s.write(ctx, func(tx pgx.Tx) error {
		m := merging[R]{tx: tx, resource: r, claim: c, list: at, listing: l, rows: rows}
		if err := m.compare(ctx, s.worker); err != nil {
			return err
		}
		if mustReread(l.Pages, l.AbsentBefore, m.unconfirmed) {
			return &UnconfirmedError{m.unconfirmed}
		}
		if err := m.write(ctx); err != nil {
			return fmt.Errorf("writing %d new, %d changed and %d removed rows and the state of the list: %w",
				len(m.diff.inserted), len(m.diff.changed), len(m.removed), err)
		}
		inserted, changed := len(m.diff.inserted), len(m.diff.changed)
		m.outcome = Outcome{
			Inserted: inserted, Changed: changed, Removed: len(m.removed),
			Unchanged: len(rows) - inserted - changed, Held: len(m.held), Unconfirmed: len(m.unconfirmed),
		}
		if err := also(ctx, &m); err != nil {
			return err
		}
		done = m.outcome
		counts := Counts{Inserted: done.Inserted, Changed: done.Changed, Removed: done.Removed, Unchanged: done.Unchanged}
		if m.state.Counted {
			counts.Unchanged = 0 // this is a second try, whose first one was committed
		}
		shard := crc32.ChecksumIEEE([]byte(c.CustomerID)) % 16 // merges at the same time do not wait for each other
		batch := &pgx.Batch{}
		queueCounts(batch, c.Run.ID, int(shard), counts)
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return Outcome{}, fmt.Errorf("merging the %s: %w", at, err)
	}
	return done, nil
}

// compare checks the claim, and finds out how the listed rows differ from the known ones.
func (m *merging[R]) compare(ctx context.Context, worker string) error {
	const fence = `
		UPDATE partnersync.customer_state
		SET last_attempt_at = clock_timestamp()
		WHERE customer_id = @customer_id::uuid AND owner = @worker::uuid AND lease_epoch = @epoch`
	const first = `
		SELECT true
		FROM partner_center.customers
		WHERE customer_id = @customer_id::uuid
		  AND (@resource = 'device_batches' AND first_listed_at IS NULL OR @resource = 'devices' AND devices_first_listed_at IS NULL)`
	// In a cluster, what the customer's last owner wrote may be in doubt on the customer's node: prepared, and not yet
	// committed. It holds this lock, which is taken on that node, until then. There is a row in any case.
	const waitForDoubts = `
		SELECT pg_advisory_xact_lock(hashtextextended('partnersync: merges of customer ' || @customer_id, 0))
		FROM (SELECT count(*) FROM (
		    SELECT FROM partner_center.device_batches WHERE customer_id = @customer_id::uuid LIMIT 1) b) n`
	args := m.list.args()
	args["worker"], args["epoch"] = worker, m.claim.Epoch
	claimed := false
	batch := &pgx.Batch{}
	batch.Queue(fence, args).Exec(func(tag pgconn.CommandTag) error {
		claimed = tag.RowsAffected() > 0
		return nil
	})
	if m.listing.Complete {
		batch.Queue(first, args).Query(func(rows pgx.Rows) error {
			m.isFirst = rows.Next()
			return nil
		})
	}
	batch.Queue(waitForDoubts, args)
	err := m.tx.SendBatch(ctx, batch).Close()
	if claimed && sqlState(err) == "57014" { // query_canceled: at the statement's time limit
		return fmt.Errorf("waiting for an earlier write of the customer, which is in doubt on its node of the cluster until "+
			"Citus settles it (citus.recover_2pc_interval): %w", err)
	}
	if err != nil {
		return fmt.Errorf("checking the claim: %w", err)
	}
	if !claimed {
		return ErrClaimLost
	}
	return m.compareWithKnown(ctx, m.claim.Run.ID)
}

// compareWithKnown reads the state and the known rows of the list, compares, and applies the mass removal guard.
func (m *merging[R]) compareWithKnown(ctx context.Context, run int64) (err error) {
	args := m.list.args()
	args["run"] = run
	batch := &pgx.Batch{}
	batch.Queue(readListStateSQL, args).Query(func(rows pgx.Rows) error {
		s := &m.state // it stays empty where there is no row
		row := []any{&s.ObservedAt, &s.ConfirmedAt, &s.ConfirmedPages, &s.HeldBefore, &s.Counted}
		_, err := pgx.ForEachRow(rows, row, func() error { return nil })
		return err
	})
	batch.Queue(m.resource.sql.known, args).Query(func(rows pgx.Rows) (err error) {
		m.diff, err = m.resource.compare(m.rows, stream[R](rows))
		return err
	})
	if err := m.tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("comparing with the list as it is known: %w", err)
	}
	// Later than any earlier listing of the list, even if the database's clock has gone back.
	m.observedAt = m.listing.ObservedAt.UTC().Truncate(time.Microsecond)
	if last := m.state.ObservedAt; last != nil && !m.observedAt.After(*last) {
		m.observedAt = last.Add(time.Microsecond)
	}
	if m.listing.Complete {
		m.removed, m.held, m.unconfirmed = removals(m.diff.known, m.diff.absent, absence{
			pages: m.listing.Pages, absentBefore: m.listing.AbsentBefore, heldBefore: m.state.HeldBefore,
			holdsAll: !m.resource.ofBatch, // that a batch has no devices any more is believed
		})
	}
	return nil
}

// write appends what is superseded to the versions, brings the current rows up to date, and leaves the list's state.
func (m *merging[R]) write(ctx context.Context) error {
	const noteFirstListing = `
		UPDATE partner_center.customers
		SET first_listed_at         = CASE WHEN @resource = 'device_batches' THEN @observed_at::timestamptz
		                                   ELSE first_listed_at END,
		    devices_first_listed_at = CASE WHEN @resource = 'devices' THEN @observed_at::timestamptz
		                                   ELSE devices_first_listed_at END
		WHERE customer_id = @customer_id::uuid`
	r, batch := m.resource, &pgx.Batch{}
	common := m.list.args()
	common["observed_at"], common["confirmed_at"] = m.observedAt, m.state.ConfirmedAt
	// A listing of several pages may have missed what was back already: only that of one page shows that a row was
	// absent.
	common["absence_certain"] = m.state.ConfirmedPages <= 1
	superseded := m.superseded()
	common["superseded"], common["removed"] = superseded, m.removed
	if len(superseded) > 0 {
		batch.Queue(r.sql.supersede, common)
	}
	if len(m.removed) > 0 {
		batch.Queue(r.sql.remove, common)
	}
	for _, write := range []struct {
		sql  string
		rows []*R
	}{
		{r.sql.change, listedRows(m.diff.changed)}, {r.sql.refresh, listedRows(m.diff.refreshed)}, {r.sql.insert, m.diff.inserted},
	} {
		for rows := range slices.Chunk(write.rows, rowsAtOnce) {
			r.queueRows(batch, write.sql, common, rows)
			if err := m.tx.SendBatch(ctx, batch).Close(); err != nil {
				return err
			}
			batch = &pgx.Batch{}
		}
	}
	held := slices.Concat(m.held, m.unconfirmed)
	batch.Queue(writeListStateSQL, m.list.writeListStateArgs(m.claim.Run.ID, m.listing, m.observedAt, len(m.rows), held))
	if m.isFirst { // last: in a cluster, nobody else writes to the table meanwhile
		batch.Queue(noteFirstListing, common)
	}
	return m.tx.SendBatch(ctx, batch).Close()
}

// superseded returns the keys of the rows whose versions end.
func (m *merging[R]) superseded() []string {
	return slices.Concat(m.resource.keys(listedRows(m.diff.changed)), m.removed)
}

// differs reports whether the merge opens a version of any row.
func (m *merging[R]) differs() bool {
	return len(m.diff.inserted)+len(m.diff.changed)+len(m.removed) > 0
}
