package store

import (
	"cmp"
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// difference is what sets a listing apart from the known rows of its list.
type difference[R any] struct {
	inserted  []*R        // listed, but not known
	changed   []change[R] // listed otherwise than known, or known as removed: they open a version
	refreshed []change[R] // listed otherwise in columns that open no version
	absent    []string    // keys that are known and not removed, but not listed
	known     int         // rows that are known and not removed
}

// change is a row that is listed otherwise than it is known.
type change[R any] struct{ listed, known *R }

// compare says how the listed rows differ from the known ones, of which each comes once. It is what a merge writes and
// what a dry run prints. In the rows of changes, columns that are equal take the known value, which may be written
// otherwise: of two equal dates the stored one stays.
func (r *resource[R]) compare(listed []R, known iter.Seq2[*R, error]) (d difference[R], err error) {
	var positions map[string]int // of the listed rows that have not been met, by key; made for the first known row
	for k, err := range known {
		if err != nil {
			return d, err
		}
		if positions == nil {
			positions = make(map[string]int, len(listed))
			for i := range listed {
				positions[r.key(&listed[i])] = i
			}
		}
		removed := r.removedAt(k) != nil
		if !removed {
			d.known++
		}
		i, isListed := positions[r.key(k)]
		if !isListed {
			if !removed {
				d.absent = append(d.absent, r.key(k))
			}
			continue
		}
		delete(positions, r.key(k))
		differs, opensVersion := r.compareRow(&listed[i], k)
		switch {
		case removed, opensVersion:
			d.changed = append(d.changed, change[R]{&listed[i], k})
		case differs:
			d.refreshed = append(d.refreshed, change[R]{&listed[i], k})
		}
	}
	unmet := len(positions)
	if positions == nil {
		unmet = len(listed)
	}
	d.inserted = make([]*R, 0, unmet)
	for i := range listed {
		if _, ok := positions[r.key(&listed[i])]; ok || positions == nil {
			d.inserted = append(d.inserted, &listed[i])
		}
	}
	return d, nil
}

// compareRow says whether the listed row differs from the known one, and whether that opens a version. Where they are
// equal, the listed row takes the known value.
func (r *resource[R]) compareRow(listed, known *R) (differs, opensVersion bool) {
	for _, c := range r.columns {
		if c.equal(listed, known) {
			c.copy(listed, known)
			continue
		}
		differs = true
		opensVersion = opensVersion || !slices.Contains(r.inPlace, c.name)
	}
	return differs, opensVersion
}

// describe says in words how a changed row differs: each column, from what, to what, such as "status: queued ->
// finished".
func (r *resource[R]) describe(c change[R]) (changes []string) {
	if r.removedAt(c.known) != nil {
		changes = append(changes, "it is back")
	}
	for _, column := range r.columns {
		if !slices.Contains(r.inPlace, column.name) && !column.equal(c.listed, c.known) {
			changes = append(changes, column.name+": "+column.text(c.known)+" -> "+column.text(c.listed))
		}
	}
	return changes
}

// listedRows returns the rows of changes as they are listed.
func listedRows[R any](changes []change[R]) []*R {
	rows := make([]*R, len(changes))
	for i, c := range changes {
		rows[i] = c.listed
	}
	return rows
}

// stream reads the rows of a query one after the other, so that they are never all in memory.
func stream[R any](rows pgx.Rows) iter.Seq2[*R, error] {
	return func(yield func(*R, error) bool) {
		defer rows.Close()
		for rows.Next() {
			if row, err := pgx.RowToAddrOfStructByName[R](rows); !yield(row, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(nil, err)
		}
	}
}

// absence is what is known of rows that a complete listing lacks, besides their keys.
type absence struct {
	pages        int      // of the listing
	absentBefore []string // keys that a listing just before lacked; nil: there was none
	heldBefore   []string // keys that were held back, or unconfirmed, in an earlier run
	// holdsAll: the mass removal guard holds a complete listing that lacks all known rows, however few they are.
	holdsAll bool
}

// removals decides what becomes of the keys that a complete listing lacks: which are removed, which the mass removal
// guard holds back, and which are unconfirmed, since only this listing of several pages lacks them.
//
// The guard does not believe a listing at once that lacks more than half, and more than 5, of the known rows (or, with
// holdsAll, all of them): only what an earlier run's listing lacked too is removed, and the rest is held back for a
// later one to confirm.
func removals(known int, absent []string, a absence) (remove, hold, unconfirmed []string) {
	if mustReread(a.pages, a.absentBefore, without(absent, a.heldBefore)) {
		return nil, nil, absent
	}
	many := len(absent) > 5 && 2*len(absent) > known
	all := a.holdsAll && len(absent) == known
	switch {
	case many || all:
		hold = without(absent, a.heldBefore)
		return without(absent, hold), hold, nil
	case a.pages > 1:
		unconfirmed = without(without(absent, a.heldBefore), a.absentBefore)
		return without(absent, unconfirmed), nil, unconfirmed
	}
	return absent, nil, nil
}

// mustReread reports whether a listing of so many pages that lacks rows is to be read again at once. absentBefore is
// what one just before lacked; nil: there was none.
func mustReread(pages int, absentBefore, absent []string) bool {
	return len(absent) > 0 && absentBefore == nil && pages > 1 && pages <= maxPagesToReread
}

// without returns the keys that are not among others.
func without(keys, others []string) (rest []string) {
	among := make(map[string]bool, len(others))
	for _, key := range others {
		among[key] = true
	}
	for _, key := range keys {
		if !among[key] {
			rest = append(rest, key)
		}
	}
	return rest
}

// equalJSON reports whether two JSON texts stand for the same value, as jsonb has it: the order of members and white
// space do not matter, of equal names the last one counts, and numbers are equal as decimals.
func equalJSON(a, b string) bool {
	if a == b {
		return true
	}
	x, err := decodeJSON(a)
	if err != nil {
		return false
	}
	y, err := decodeJSON(b)
	return err == nil && equalValues(x, y)
}

func decodeJSON(text string) (value any, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	err = d.Decode(&value)
	return value, err
}

func equalValues(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, equalValues)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equalValues)
	case json.Number:
		b, ok := b.(json.Number)
		return ok && (a == b || decimalOf(a) == decimalOf(b))
	}
	return a == b // strings, booleans and null
}

// decimal is a number as its digits, without zeros at either end, and the power of ten of the last one.
type decimal struct {
	negative bool
	digits   string // "" is zero
	exponent int
}

// decimalOf reads a number as JSON writes it, without the loss that a float would bring.
func decimalOf(n json.Number) (d decimal) {
	text, negative := strings.CutPrefix(string(n), "-")
	mantissa, exponent := text, ""
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa, exponent = text[:i], text[i+1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	significant := strings.TrimRight(digits, "0")
	if significant == "" {
		return decimal{}
	}
	power, _ := strconv.Atoi(cmp.Or(exponent, "0"))
	return decimal{negative, significant, power - len(fraction) + len(digits) - len(significant)}
}
