package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// stay is a time in which a device is listed in a batch. Times are days of January 2026, noon UTC, as numbers: it came after
// one day and by another, and so it left.
type stay struct {
	customer, batch, id string // "": alpha, b and d
	serial              string // "-": none
	came, by            int    // came 0: it was never there before
	left, goneBy        int    // 0: it is listed
	versions            []int  // days on which something else changed
}

// dayOfJanuary is two digits, and "" for 0.
func dayOfJanuary(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%02d", n)
}

// stays writes what is known of one device in one batch: all its stays there, in their order.
func (w *world) stays(all ...stay) {
	w.t.Helper()
	var versions []deviceVersion
	for _, s := range all {
		v := deviceVersion{customer: s.customer, batch: s.batch, id: s.id, serial: s.serial, after: dayOfJanuary(s.came), from: dayOfJanuary(s.by)}
		versions = append(versions, v)
		for _, n := range s.versions {
			v.after, v.from, v.policies = v.from, dayOfJanuary(n), assigned(fmt.Sprintf("o=%d", n))
			versions = append(versions, v)
		}
		if s.goneBy != 0 {
			v.after, v.from, v.removed = dayOfJanuary(s.left), dayOfJanuary(s.goneBy), true
			versions = append(versions, v)
		}
	}
	for i, v := range versions {
		if i < len(versions)-1 {
			v.to = versions[i+1].from
		}
		w.device(v)
	}
}

const movesQuery = `SELECT concat_ws('|', CASE customer_id WHEN $1 THEN 'alpha' ELSE 'beta' END, batch_id, device_id, coalesce(serial_number, '-'),
	CASE to_customer_id WHEN $1 THEN 'alpha' ELSE 'beta' END, to_batch_id, to_device_id,
	to_char(left_after AT TIME ZONE 'UTC', 'DD'), to_char(left_by AT TIME ZONE 'UTC', 'DD'),
	coalesce(to_char(arrived_after AT TIME ZONE 'UTC', 'DD'), '-'), to_char(arrived_by AT TIME ZONE 'UTC', 'DD'))
	FROM partner_center.device_moves ORDER BY left_by, left_after, customer_id = $1 DESC, batch_id, device_id`

// bothCustomers makes alpha and beta known.
func (w *world) bothCustomers() {
	w.t.Helper()
	for _, c := range []string{alpha, beta} {
		w.exec("INSERT INTO partner_center.customers (customer_id, partner, company_name, first_seen_at) VALUES ($1, 'contoso', 'Company', '2026-01-01T00:00Z')", c)
	}
}

func TestDeviceMoves(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		stays [][]stay // of each device in each batch
		want  string   // customer, batch, device, serial number, to customer, batch, device, left after, by, arrived after, by
	}{
		{"to another batch", [][]stay{{{serial: "S", by: 2, left: 4, goneBy: 5}}, {{batch: "c", id: "e", serial: "S", by: 5}}},
			"alpha|b|d|S|alpha|c|e|04|05|-|05"},
		{"to another customer", [][]stay{{{serial: "S", by: 2, left: 4, goneBy: 5}}, {{customer: beta, serial: "S", by: 7}}},
			"alpha|b|d|S|beta|b|d|04|05|-|07"},
		{"only gone", [][]stay{{{serial: "S", by: 2, left: 4, goneBy: 5}}, {{batch: "c", serial: "T", by: 5}}}, ""},
		{"seen there before it was missed here", [][]stay{{{serial: "S", by: 2, left: 4, goneBy: 8}}, {{batch: "c", serial: "S", by: 5}}},
			"alpha|b|d|S|alpha|c|d|04|08|-|05"},
		{"seen there when it was last seen here", [][]stay{{{serial: "S", by: 2, left: 4, goneBy: 8}}, {{batch: "c", serial: "S", by: 4}}}, ""},
		{"the serial number in another case, with blanks", [][]stay{{{serial: " s-1", by: 2, left: 4, goneBy: 5}}, {{batch: "c", serial: "S-1 ", by: 5}}},
			"alpha|b|d| s-1|alpha|c|d|04|05|-|05"},
		{"changed before and after", [][]stay{{{serial: "S", by: 2, left: 4, goneBy: 5, versions: []int{3, 4}}},
			{{batch: "c", serial: "S", by: 5, versions: []int{6, 8}}}},
			"alpha|b|d|S|alpha|c|d|04|05|-|05"},
		{"from batch to batch to batch", [][]stay{{{serial: "S", by: 2, left: 4, goneBy: 5}},
			{{batch: "c", serial: "S", by: 6, left: 8, goneBy: 9}}, {{batch: "e", serial: "S", by: 9}}}, `
			alpha|b|d|S|alpha|c|d|04|05|-|06
			alpha|c|d|S|alpha|e|d|08|09|-|09`},
		{"on at once, missed late", [][]stay{{{serial: "S", by: 2, left: 4, goneBy: 12}},
			{{batch: "c", serial: "S", by: 6, left: 6, goneBy: 11}}, {{batch: "e", serial: "S", by: 10}}}, `
			alpha|c|d|S|alpha|e|d|06|11|-|10
			alpha|b|d|S|alpha|c|d|04|12|-|06`},
		{"there and back", [][]stay{{{serial: "S", by: 2, left: 4, goneBy: 5}, {serial: "S", came: 7, by: 8}},
			{{batch: "c", serial: "S", by: 5, left: 7, goneBy: 8}}}, `
			alpha|b|d|S|alpha|c|d|04|05|-|05
			alpha|c|d|S|alpha|b|d|07|08|07|08`},
		{"back where it was", [][]stay{{{serial: "S", by: 2, left: 4, goneBy: 5}, {serial: "S", came: 5, by: 6}}}, ""},
		{"back where it was, and then on", [][]stay{{{serial: "S", by: 2, left: 4, goneBy: 5}, {serial: "S", came: 5, by: 6, left: 8, goneBy: 9}},
			{{batch: "c", serial: "S", by: 9, left: 11, goneBy: 12}}, {{batch: "e", serial: "S", by: 12}}}, `
			alpha|b|d|S|alpha|c|d|08|09|-|09
			alpha|c|d|S|alpha|e|d|11|12|-|12`},
		{"another id in the same batch", [][]stay{{{serial: "S", by: 2, left: 4, goneBy: 5}}, {{id: "e", serial: "S", by: 5}}}, ""},
		{"two with the serial number, of which one goes", [][]stay{{{serial: "S", by: 2, left: 4, goneBy: 5}}, {{id: "e", serial: "S", by: 3}},
			{{batch: "c", serial: "S", by: 6}}}, ""},
		{"two with the serial number, which both go", [][]stay{{{serial: "S", by: 2, left: 4, goneBy: 5}}, {{id: "e", serial: "S", by: 2, left: 4, goneBy: 5}},
			{{batch: "c", serial: "S", by: 6}}}, ""},
		{"two with the serial number, one after the other", [][]stay{{{serial: "S", by: 2, left: 4, goneBy: 5}},
			{{id: "e", serial: "S", by: 2, left: 7, goneBy: 8}}, {{batch: "c", serial: "S", by: 9}}},
			"alpha|b|e|S|alpha|c|d|07|08|-|09"},
		{"two with the serial number, which go between the same passes", [][]stay{{{serial: "S", by: 2, left: 4, goneBy: 7}},
			{{id: "e", batch: "e", serial: "S", by: 3, left: 5, goneBy: 8}}, {{batch: "c", serial: "S", by: 9}}}, ""},
		{"two with the serial number, of which one came back", [][]stay{{{serial: "S", by: 2, left: 4, goneBy: 5}, {serial: "S", came: 8, by: 9, left: 10, goneBy: 11}},
			{{id: "e", batch: "e", serial: "S", by: 3, left: 6, goneBy: 15}}, {{batch: "c", serial: "S", by: 12}}}, `
			alpha|b|d|S|alpha|c|d|10|11|-|12
			alpha|e|e|S|alpha|b|d|06|15|08|09`},
		{"two that arrive at once", [][]stay{{{serial: "S", by: 2, left: 4, goneBy: 5}}, {{batch: "c", serial: "S", by: 6}}, {{batch: "c", id: "e", serial: "S", by: 6}}}, ""},
		{"two that arrive one after the other", [][]stay{{{serial: "S", by: 2, left: 4, goneBy: 5}}, {{batch: "c", serial: "S", by: 6}},
			{{batch: "c", id: "e", serial: "S", by: 7}}},
			"alpha|b|d|S|alpha|c|d|04|05|-|06"},
		{"no serial number", [][]stay{{{serial: "-", by: 2, left: 4, goneBy: 5}}, {{batch: "c", serial: " ", by: 6}}, {{batch: "c", id: "e", serial: "", by: 6}}},
			"alpha|b|d|-|alpha|c|d|04|05|-|06"},
		{"a serial number at one end", [][]stay{{{serial: "-", by: 2, left: 4, goneBy: 5}}, {{batch: "c", serial: "S", by: 6, left: 7, goneBy: 8}},
			{{customer: beta, serial: "", by: 9}}},
			"alpha|b|d|-|beta|b|d|04|05|-|09"},
		{"a serial number that is another's id", [][]stay{{{serial: "E", by: 2, left: 4, goneBy: 5}}, {{batch: "c", id: "E", serial: "-", by: 6}}}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.bothCustomers()
			for _, s := range test.stays {
				w.stays(s...)
			}
			w.want(test.want, movesQuery, alpha)
		})
	}
}

func TestDeviceMoves_aSerialNumberThatIsCorrected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.bothCustomers()
	w.stays(stay{serial: "S", by: 2, left: 4, goneBy: 5})
	w.device(deviceVersion{batch: "c", serial: "Z", from: "02", to: "06"})
	w.device(deviceVersion{batch: "c", serial: "S", after: "05", from: "06"})
	w.want("", movesQuery, alpha) // it was there before
	w.stays(stay{batch: "e", serial: "S", by: 8})
	w.want("", movesQuery, alpha)
}

func TestDeviceMoves_keys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.bothCustomers()
	w.stays(stay{batch: "a/b", serial: " s-1", by: 2, left: 4, goneBy: 5})
	w.stays(stay{customer: beta, batch: "c", id: "e", serial: "S-1", by: 5})
	w.want("S-1|"+alpha+"/a~1b/d|"+alpha+"/a/b|"+beta+"/c/e|"+beta+"/c", `SELECT concat_ws('|', serial_key, device_key, batch_key, to_device_key, to_batch_key)
		FROM partner_center.device_moves WHERE serial_key = upper(btrim('s-1 '))`)
}

func TestDeviceMoves_ofCustomersThatLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.bothCustomers()
	w.stays(stay{customer: beta, serial: "S", by: 2})
	w.stays(stay{batch: "c", serial: "S", by: 6, left: 8, goneBy: 9})
	w.stays(stay{batch: "e", serial: "S", by: 9})
	w.want("", movesQuery, alpha) // two are listed at once
	w.exec("UPDATE partner_center.customers SET removed_at = '2026-01-05T12:00Z' WHERE customer_id = $1", beta)
	w.want("alpha|c|d|S|alpha|e|d|08|09|-|09", movesQuery, alpha)
	w.exec("UPDATE partner_center.customers SET pruned_before = '2026-01-08T12:00Z' WHERE customer_id = $1", alpha)
	w.want("alpha|c|d|S|alpha|e|d|08|09|-|09", movesQuery, alpha)
	w.exec("UPDATE partner_center.customers SET pruned_before = '2026-01-08T12:01Z' WHERE customer_id = $1", alpha)
	w.want("", movesQuery, alpha)
}

// TestDeviceMoves_random compares the view with the rule, in loops, over devices that come and go as they please; and
// likewise the view that a Citus cluster has instead.
func TestDeviceMoves_random(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t)
	w.bothCustomers()
	var want []string
	for n := range 60 {
		var all []stay
		for _, customer := range []string{alpha, beta} {
			for _, batch := range []string{"b", "c"} {
				for _, id := range []string{"d", "e"} {
					// Each n has serial numbers of its own, and ids.
					s := stay{customer: customer, batch: batch, id: fmt.Sprintf("%s%d", id, n), serial: "-"}
					if r.IntN(4) > 0 {
						s.serial = fmt.Sprintf("S%d-%d", n, r.IntN(3))
					}
					all = append(all, w.randomStays(r, s)...)
				}
			}
		}
		want = append(want, movesOf(all)...)
	}
	slices.Sort(want)
	compare := func(view string) {
		t.Helper()
		got := strings.Split(w.lines(`SELECT concat_ws('|', customer_id, batch_id, device_id, to_customer_id, to_batch_id, to_device_id,
			extract(day FROM left_by AT TIME ZONE 'UTC'), extract(day FROM arrived_by AT TIME ZONE 'UTC')) FROM partner_center.device_moves`), "\n")
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("seed %d, %s: (-loops +view)\n%s", seed, view, diff)
		}
	}
	compare("the view")
	script, err := os.ReadFile("../deploy/citus.sql")
	w.ok(err)
	replacement := regexp.MustCompile(`(?s)CREATE OR REPLACE VIEW partner_center.device_moves AS.*?;\n`).Find(script)
	if len(replacement) == 0 || len(want) == 0 {
		t.Fatalf("%d moves, and the other view %q", len(want), replacement)
	}
	w.exec(string(replacement))
	compare("the view of a Citus cluster")
}

// randomStays writes up to three stays of a device in a batch.
func (w *world) randomStays(r *rand.Rand, like stay) (all []stay) {
	for at := 2 + r.IntN(8); at < 28 && len(all) < 3 && r.IntN(4) > 0; {
		s := like
		s.by = at
		if len(all) > 0 {
			s.came = all[len(all)-1].goneBy + r.IntN(s.by-all[len(all)-1].goneBy)
		}
		s.left = at + r.IntN(3)
		s.goneBy = s.left + 1 + r.IntN(3)
		at = s.goneBy + 1 + r.IntN(4)
		if s.goneBy > 28 || r.IntN(5) == 0 {
			s.left, s.goneBy, at = 0, 0, 28
		}
		all = append(all, s)
	}
	if len(all) > 0 {
		w.stays(all...)
	}
	return all
}

// movesOf pairs each departure with each arrival elsewhere between which nothing is listed that might be the device. What was
// seen together with it may be there until it is missed, and what was not, until it was last seen.
func movesOf(all []stay) (moves []string) {
	until := func(s stay) int {
		if s.goneBy == 0 {
			return 99
		}
		return s.left
	}
	same := func(a, b stay) bool { return a.serial == b.serial && (a.serial != "-" || a.id == b.id) }
	for i, x := range all {
		for j, y := range all {
			elsewhere := x.customer != y.customer || x.batch != y.batch
			if x.goneBy == 0 || !same(x, y) || !elsewhere || y.by <= x.left {
				continue
			}
			alone := true
			for k, o := range all {
				gone := until(o) < x.left && (o.goneBy <= x.left || until(o) < x.by)
				alone = alone && (k == i || k == j || !same(o, x) || o.by > y.by || gone)
			}
			if alone {
				moves = append(moves, strings.Join([]string{x.customer, x.batch, x.id, y.customer, y.batch, y.id,
					fmt.Sprint(x.goneBy), fmt.Sprint(y.by)}, "|"))
			}
		}
	}
	return moves
}
