package historytest_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"partnersync/store"
	"partnersync/store/historytest"
	"partnersync/store/storetest"
	"partnersync/sync"
	"partnersync/sync/partnercenter"
	"partnersync/sync/partnercenter/partnercentertest"
	"partnersync/sync/passtest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// contoso is the customer whose history is checked.
const contoso = "47021739-3426-40bf-9601-61b4b6d7c793"

// world is an emulated API and a database that a runner keeps in step with it.
type world struct {
	passtest.World
	t      *testing.T
	runner *sync.Runner
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{World: passtest.New(t, partnercentertest.Options{Timeline: true, DevicePageSize: 2, Speed: 1000}), t: t}
	client, _ := passtest.Client(t, partnercenter.Options{BaseURL: w.URL})
	partner := sync.Partner{Name: "contoso", Client: client, Policies: true, Devices: true, DevicesRefresh: time.Hour}
	w.runner = &sync.Runner{
		Store: store.New(w.DB.Pool, store.Options{}), Partners: []sync.Partner{partner},
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	return w
}

func (w *world) once() {
	w.t.Helper()
	if _, err := w.runner.Once(w.t.Context(), sync.Request{Kind: store.Once}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) check(o historytest.Options) []historytest.Damage {
	w.t.Helper()
	var served []historytest.Serving
	var changed []historytest.Change
	record := w.API.Timeline()
	for _, s := range record.Servings {
		served = append(served, historytest.Serving{
			List: historytest.List(s.List), At: s.At, CorrelationID: s.CorrelationID, First: s.First, Body: s.Body,
		})
	}
	for _, c := range record.Changes {
		changed = append(changed, historytest.Change{List: historytest.List(c.List), Key: c.Key, At: c.At})
	}
	damages, err := historytest.Check(w.t.Context(), w.DB.Pool, served, changed, o)
	if err != nil {
		w.t.Fatal(err)
	}
	return damages
}

// sql runs a statement and returns how many rows it affected.
func (w *world) sql(statement string) int64 {
	w.t.Helper()
	tag, err := w.DB.Pool.Exec(w.t.Context(), statement)
	if err != nil {
		w.t.Fatalf("%s: %v", statement, err)
	}
	return tag.RowsAffected()
}

// exec runs a statement that must affect a row.
func (w *world) exec(statement string) {
	w.t.Helper()
	if w.sql(statement) == 0 {
		w.t.Fatalf("%s: no row", statement)
	}
}

func (w *world) status(batchID, status string) {
	w.API.PutBatch(contoso,
		partnercentertest.Batch{ID: batchID, Status: status, CreatedBy: "relecloud.onmicrosoft.com", DevicesCount: 5})
}

func (w *world) device(id, serial string, policies ...partnercentertest.PolicyAssignment) {
	w.API.PutDevice(contoso, "a", partnercentertest.Device{ID: id, SerialNumber: serial, Policies: policies})
}

// live adds, changes, removes and returns batches, devices and a policy over seven passes. Batch a is queued, processing,
// finished, absent and reopened; b stays.
func (w *world) live() {
	w.t.Helper()
	w.API.AddCustomer(partnercentertest.Customer{ID: contoso})
	w.status("b", "finished")
	w.status("a", "queued")
	for i := range 5 {
		w.device(fmt.Sprint("d", i), fmt.Sprint("serial ", i))
	}
	w.API.PutPolicy(contoso,
		partnercentertest.Policy{ID: "p", Name: "Kiosk", Settings: []string{"skip_eula", "remove_oem_preinstalls"}})
	w.API.PutPolicy(contoso, partnercentertest.Policy{ID: "q", Name: "Office"})
	w.once()
	w.status("a", "processing")
	w.device("d1", "another", partnercentertest.PolicyAssignment{Key: "z", Value: "p"},
		partnercentertest.PolicyAssignment{Key: "o_o_b_e", Value: "q"})
	w.once()
	w.API.RemoveDevice(contoso, "a", "d2")
	w.API.PutPolicy(contoso, partnercentertest.Policy{ID: "p", Name: "Kiosks"})
	w.once()
	w.once() // nothing new
	w.status("a", "finished")
	w.API.RemovePolicy(contoso, "q")
	w.once()
	w.API.RemoveBatch(contoso, "a")
	w.once()
	w.status("a", "reopened")
	w.device("d1", "another")
	w.once()
}

func TestCheck_findsNothingInATrueHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.live()
	if damages := w.check(historytest.Options{CaughtUp: true, OneProcess: true}); len(damages) != 0 {
		t.Errorf("found %v", damages)
	}
	var versions int
	const count = `SELECT count(*) FROM partner_center.device_history`
	if err := w.DB.Pool.QueryRow(t.Context(), count).Scan(&versions); err != nil || versions < 5+1+1+4+1 {
		t.Errorf("%d versions of devices, %v: the history is not as rich as it was meant to be", versions, err)
	}
}

func TestCheck_findsNothingAfterAListingThatBrokeOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.live()
	w.device("d1", "once more")
	w.device("d3", "serial 3")
	w.device("d4", "serial 4") // on a second page, which does not come
	w.status("a", "processing")
	remove := w.API.Fail(partnercentertest.Fault{Path: "/devices$", Skip: 1, Status: 400})
	w.once()
	remove()
	if damages := w.check(historytest.Options{OneProcess: true}); len(damages) != 0 {
		t.Errorf("found %v", damages)
	}
}

func TestCheck_findsNothingWhereADeviceIsBackInTheSecondReading(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.live()
	for _, id := range []string{"d2", "d3", "d4"} { // two pages, so that lists which lack a device are read again
		w.device(id, "serial")
	}
	w.status("a", "processing")
	w.once()
	w.API.RemoveDevice(contoso, "a", "d2")
	w.once()
	w.API.RemoveDevice(contoso, "a", "d3")
	w.device("d5", "serial")
	requests := 0
	remove := w.API.Fail(partnercentertest.Fault{Path: "/devices$", Before: func() {
		if requests++; requests == 3 {
			w.device("d2", "serial")
		}
	}})
	w.once()
	remove()
	const back = `SELECT EXISTS (SELECT 1 FROM partner_center.devices back
		JOIN partner_center.devices gone ON gone.device_id = 'd3' AND gone.removed_at = back.valid_from
		WHERE back.device_id = 'd2' AND back.removed_at IS NULL)`
	var isBack bool
	if err := w.DB.Pool.QueryRow(t.Context(), back).Scan(&isBack); err != nil || !isBack {
		t.Fatalf("d2 did not return when d3 was removed, after %d requests: %v", requests, err)
	}
	if damages := w.check(historytest.Options{CaughtUp: true, OneProcess: true}); len(damages) != 0 {
		t.Errorf("found %v", damages)
	}
}

func TestCheck_findsDamage(t *testing.T) {
	t.Parallel()
	const (
		joined = `UPDATE partner_center.device_batch_versions v SET valid_to = n.valid_from
			FROM partner_center.device_batch_versions n WHERE v.status = 'queued' AND n.status = 'finished'
			AND n.removed_at IS NULL`
		forgotten = `DELETE FROM partner_center.device_batch_versions WHERE status = 'processing'`
		uncounted = `UPDATE partnersync.run_counts SET changed = changed - 1 WHERE (run_id, shard) = (SELECT run_id, shard
			FROM partnersync.run_counts WHERE changed > 0 LIMIT 1)`
	)
	w := newWorld(t)
	w.live()
	restore := w.keep()
	o := historytest.Options{CaughtUp: true, OneProcess: true}
	for _, test := range []struct {
		name string
		sql  []string
		want historytest.Kind
	}{
		{"a version is missing", []string{forgotten}, historytest.Gap},
		{"a version is missing and its predecessor takes its place", []string{forgotten, joined}, historytest.Miscounted},
		{"and it was not counted", []string{forgotten, joined, uncounted}, historytest.Lost},
		{"a version with its moment is missing", []string{
			`DELETE FROM partner_center.device_batch_versions WHERE status = 'finished' AND removed_at IS NULL`,
			`UPDATE partner_center.device_batch_versions v SET valid_to = n.valid_from
				FROM partner_center.device_batch_versions n WHERE v.status = 'processing' AND n.removed_at IS NOT NULL`,
		}, historytest.Lost},
		{"a current row is missing", []string{`DELETE FROM partner_center.device_batches
			WHERE batch_id = 'a'`}, historytest.Lost},
		{"an item is missing", []string{`DELETE FROM partner_center.device_batches WHERE batch_id = 'b'`}, historytest.Lost},
		{"a device is missing", []string{`DELETE FROM partner_center.devices WHERE device_id = 'd0'`}, historytest.Lost},
		{"a policy is missing", []string{`DELETE FROM partner_center.configuration_policies WHERE policy_id = 'q'`},
			historytest.Lost},
		{"a version twice", []string{
			`INSERT INTO partner_center.device_batch_versions (customer_id, batch_id, status, created_by, creation_date, devices_count, valid_from, not_before, valid_to)
				SELECT customer_id, batch_id, status, created_by, creation_date, devices_count, valid_from, not_before, valid_from + (valid_to - valid_from) / 2 FROM partner_center.device_batch_versions WHERE status = 'processing'`,
			`UPDATE partner_center.device_batch_versions v SET valid_from = o.valid_to, not_before = o.valid_from
				FROM partner_center.device_batch_versions o
				WHERE v.status = 'processing' AND o.status = 'processing' AND v.valid_from = o.valid_from
				AND v.valid_to > o.valid_to`,
		}, historytest.Duplicate},
		{"a removal twice", []string{
			`INSERT INTO partner_center.device_batch_versions (customer_id, batch_id, valid_from, not_before, removed_at, valid_to)
				SELECT customer_id, batch_id, valid_from, not_before, valid_from, valid_from + (valid_to - valid_from) / 2
				FROM partner_center.device_batch_versions WHERE removed_at IS NOT NULL`,
			`UPDATE partner_center.device_batch_versions v
				SET valid_from = o.valid_to, removed_at = o.valid_to, not_before = o.valid_from
				FROM partner_center.device_batch_versions o
				WHERE v.status IS NOT NULL AND v.removed_at IS NOT NULL AND o.status IS NULL AND v.batch_id = o.batch_id`,
		}, historytest.Duplicate},
		{"a device's version twice", []string{
			`INSERT INTO partner_center.device_versions (customer_id, batch_id, device_id, serial_number, uploaded_date, policies, valid_from, valid_to)
				SELECT customer_id, batch_id, device_id, serial_number, uploaded_date, policies, valid_from - interval '1 ms', valid_from
				FROM partner_center.device_versions WHERE device_id = 'd0' AND not_before IS NULL`,
			`UPDATE partner_center.device_versions SET not_before = valid_from - interval '1 ms' WHERE device_id = 'd0'
				AND not_before IS NULL AND removed_at IS NULL`,
		}, historytest.Duplicate},
		{"a version ends late",
			[]string{`UPDATE partner_center.device_batch_versions SET valid_to = valid_to + interval '1 ms'
				WHERE status = 'queued'`},
			historytest.Overlap},
		{"a version ends early",
			[]string{`UPDATE partner_center.device_batch_versions SET valid_to = valid_to - interval '1 us'
				WHERE status = 'queued'`},
			historytest.Gap},
		{"the current version began before its predecessor",
			[]string{`UPDATE partner_center.device_batches SET valid_from = valid_from - interval '1 day' WHERE batch_id = 'a'`},
			historytest.Backwards},
		{"two states in the wrong order", []string{
			`UPDATE partner_center.device_batch_versions
				SET status = CASE status WHEN 'queued' THEN 'processing' ELSE 'queued' END
				WHERE status IN ('queued', 'processing')`,
		}, historytest.Backwards},
		{"an old state after a newer one",
			[]string{`UPDATE partner_center.device_batches SET status = 'queued', creation_date = (SELECT creation_date
				FROM partner_center.device_batch_versions WHERE status = 'queued') WHERE batch_id = 'a'`}, historytest.Backwards},
		{"a state that nobody served",
			[]string{`UPDATE partner_center.device_batch_versions SET status = 'lost in space'
				WHERE status = 'processing'`}, historytest.Unserved},
		{"a policy assignment that nobody served", []string{`UPDATE partner_center.device_versions
			SET policies = '[{"key": "o_o_b_e", "value": "p"}]' WHERE serial_number = 'another'
			AND removed_at IS NULL`}, historytest.Unserved},
		{"settings that nobody served", []string{`UPDATE partner_center.configuration_policy_versions
			SET policy_settings = '{skip_eula}' WHERE name = 'Kiosk'`}, historytest.Unserved},
		{"a history that begins too early",
			[]string{`UPDATE partner_center.device_batches SET valid_from = valid_from - interval '1 hour'
				WHERE batch_id = 'b'`},
			historytest.Unserved},
		{"a removal that was none", []string{`UPDATE partner_center.device_batches SET removed_at = valid_from
			WHERE batch_id = 'b'`},
			historytest.Lost},
		{"a return that was none", []string{`UPDATE partner_center.device_batch_versions SET removed_at = NULL
			WHERE removed_at IS NOT NULL`},
			historytest.Duplicate},
		{"a device that outlives its batch",
			[]string{`UPDATE partner_center.devices SET removed_at = NULL WHERE device_id = 'd0'`}, historytest.Unserved},
		{"a removal at another time",
			[]string{`UPDATE partner_center.device_batch_versions SET removed_at = removed_at - interval '1 ms'
				WHERE removed_at IS NOT NULL`},
			historytest.Bounds},
		{"a first version with a bound",
			[]string{`UPDATE partner_center.device_batches SET not_before = valid_from - interval '1 ms' WHERE batch_id = 'b'`},
			historytest.Bounds},
		{"a later version without one", []string{`UPDATE partner_center.device_batches SET not_before = NULL
			WHERE batch_id = 'a'`},
			historytest.Bounds},
		{"a bound before the version before",
			[]string{`UPDATE partner_center.device_batches SET not_before = not_before - interval '1 day' WHERE batch_id = 'a'`},
			historytest.Bounds},
		{"a bound after the change",
			[]string{`UPDATE partner_center.device_batch_versions SET not_before = valid_from - interval '1 us'
				WHERE status = 'processing'`},
			historytest.Bounds},
		{"a count too many", []string{`UPDATE partnersync.run_counts SET inserted = inserted + 1
			WHERE (run_id, shard) = (SELECT run_id, shard FROM partnersync.run_counts LIMIT 1)`}, historytest.Miscounted},
		{"an uncounted removal", []string{`UPDATE partnersync.run_counts SET removed = 0 WHERE removed > 0`},
			historytest.Miscounted},
		{"the present is not the last listing",
			[]string{`UPDATE partner_center.configuration_policies SET name = 'Kiosk 2' WHERE policy_id = 'p'`},
			historytest.Behind},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.t = t
			if damages := w.check(o); len(damages) != 0 {
				t.Fatalf("before anything was damaged, found %v", damages)
			}
			for _, sql := range test.sql {
				w.exec(sql)
			}
			damages := w.check(o)
			if !slices.ContainsFunc(damages, func(d historytest.Damage) bool { return d.Kind == test.want }) {
				t.Errorf("found no damage of kind %s, but %v", test.want, damages)
			}
			restore()
		})
	}
}

// keep copies the tables that are to be damaged, and returns a function that restores them.
func (w *world) keep() (restore func()) {
	tables := []string{
		"partner_center.device_batches", "partner_center.device_batch_versions", "partner_center.devices",
		"partner_center.device_versions",
		"partner_center.configuration_policies", "partner_center.configuration_policy_versions", "partnersync.run_counts",
	}
	w.sql("CREATE SCHEMA kept")
	for _, table := range tables {
		_, name, _ := strings.Cut(table, ".")
		w.sql("CREATE TABLE kept." + name + " AS TABLE " + table)
	}
	return func() {
		for _, table := range tables {
			_, name, _ := strings.Cut(table, ".")
			w.sql("TRUNCATE " + table)
			w.sql("INSERT INTO " + table + " TABLE kept." + name)
		}
	}
}

func TestCheck_findsWhatWasServedAndNeverWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.live()
	w.status("a", "seen by nobody")
	w.exec(`CREATE TABLE kept AS SELECT * FROM partner_center.device_batches`)
	w.once()
	// This undoes what the pass has merged.
	w.exec(`UPDATE partner_center.device_batches b
		SET status = k.status, valid_from = k.valid_from, not_before = k.not_before, creation_date = k.creation_date
		FROM kept k WHERE (k.customer_id, k.batch_id) = (b.customer_id, b.batch_id)`)
	w.exec(`DELETE FROM partner_center.device_batch_versions v USING kept k WHERE v.batch_id = k.batch_id
		AND v.valid_from = k.valid_from`)
	w.exec(`UPDATE partnersync.run_counts SET changed = changed - 1 WHERE run_id = (SELECT max(run_id)
		FROM partnersync.runs) AND changed > 0`)
	if damages := w.check(historytest.Options{}); len(damages) != 0 {
		t.Errorf("a listing that nobody may have received: found %v", damages)
	}
	damages := w.check(historytest.Options{OneProcess: true})
	if len(damages) != 1 || damages[0].Kind != historytest.Lost {
		t.Errorf("found %v, want the listing that was lost", damages)
	}
}

func TestDamage_saysWhere(t *testing.T) {
	t.Parallel()
	d := historytest.Damage{
		Kind: historytest.Gap, Key: "d1", At: time.Date(2026, 1, 5, 8, 0, 0, 1000, time.UTC),
		Text: "the version before ended at 07:59:59.000000",
		List: historytest.List{CustomerID: contoso, Kind: partnercentertest.DeviceList, BatchID: "Sales laptops"},
	}
	const want = `gap: devices of customer ` + contoso +
		`, batch "Sales laptops", "d1", at 08:00:00.000001: the version before ended at 07:59:59.000000`
	if got := d.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
