package store

import (
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgconn"

	"partnersync/store/storetest"
)

// knownRows streams rows as they are known.
func knownRows[R any](rows []R) iter.Seq2[*R, error] {
	return func(yield func(*R, error) bool) {
		for i := range rows {
			if row := rows[i]; !yield(&row, nil) {
				return
			}
		}
	}
}

// found is a difference by keys.
type found struct {
	inserted, changed, refreshed, absent []string
	known                                int
}

func compared[R any](t *testing.T, r *resource[R], listed, known []R) found {
	t.Helper()
	d, err := r.compare(listed, knownRows(known))
	if err != nil {
		t.Fatal(err)
	}
	return found{r.keys(d.inserted), r.keys(listedRows(d.changed)), r.keys(listedRows(d.refreshed)), d.absent, d.known}
}

func TestCompare_ofListedAndKnownRows(t *testing.T) {
	t.Parallel()
	removed := func(id, status string) DeviceBatch {
		b := batch(id, status)
		b.RemovedAt = ptr(minute(1))
		return b
	}
	noted := batch("a", "queued")
	noted.Extra = `{"note": 1}`
	for name, test := range map[string]struct {
		listed, known []DeviceBatch
		want          found
	}{
		"nothing":        {nil, nil, found{}},
		"nothing known":  {[]DeviceBatch{batch("b", "queued"), batch("a", "queued")}, nil, found{inserted: []string{"b", "a"}}},
		"nothing listed": {nil, []DeviceBatch{batch("a", "queued"), removed("b", "queued")}, found{absent: []string{"a"}, known: 1}},
		"as it was":      {[]DeviceBatch{batch("a", "queued")}, []DeviceBatch{batch("a", "queued")}, found{known: 1}},
		"new": {
			[]DeviceBatch{batch("c", "queued"), batch("a", "queued"), batch("b", "queued")}, []DeviceBatch{batch("a", "queued")},
			found{inserted: []string{"c", "b"}, known: 1},
		},
		"changed":   {[]DeviceBatch{batch("a", "finished")}, []DeviceBatch{batch("a", "queued")}, found{changed: []string{"a"}, known: 1}},
		"refreshed": {[]DeviceBatch{noted}, []DeviceBatch{batch("a", "queued")}, found{refreshed: []string{"a"}, known: 1}},
		"back":      {[]DeviceBatch{batch("a", "queued")}, []DeviceBatch{removed("a", "queued")}, found{changed: []string{"a"}}},
		"ids differ in case": {
			[]DeviceBatch{batch("A", "queued")}, []DeviceBatch{batch("a", "queued")},
			found{inserted: []string{"A"}, absent: []string{"a"}, known: 1},
		},
	} {
		got := compared(t, deviceBatches, test.listed, test.known)
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(found{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

func TestCompare_errorOfTheKnownRows(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	_, err := deviceBatches.compare(nil, func(yield func(*DeviceBatch, error) bool) { yield(nil, broken) })
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of the rows", err)
	}
}

// opensVersion makes each change to a row that is known, and wants it to open a version, or not.
func opensVersion[R any](t *testing.T, r *resource[R], row R, want bool, changes ...func(*R)) {
	t.Helper()
	for i, change := range changes {
		changed := row
		change(&changed)
		if got := compared(t, r, []R{changed}, []R{row}); (len(got.changed) == 1) != want {
			t.Errorf("change %d to %s: %+v, want that it opens a version: %t", i, r.table, got, want)
		}
	}
}

// Each column counts, and so do values that come and go.
func TestCompare_whatOpensAVersion(t *testing.T) {
	t.Parallel()
	at := time.Date(1999, 12, 31, 23, 59, 59, 123456789, time.UTC)
	later, little := at.Add(time.Second), at.Add(-999*time.Millisecond)
	text, other, count, another := ptr(`é "{}',\`), ptr("x"), ptr(int32(-7)), ptr(int32(-8))

	b := DeviceBatch{BatchID: "b", Status: text, CreatedBy: text, CreationDate: &at, DevicesCount: count, Extra: `{"a": 1}`}
	opensVersion(t, deviceBatches, b, true,
		func(b *DeviceBatch) { b.Status = other }, func(b *DeviceBatch) { b.CreatedBy = nil },
		func(b *DeviceBatch) { b.CreationDate = &later }, func(b *DeviceBatch) { b.CreationDate = nil },
		func(b *DeviceBatch) { b.DevicesCount = another }, func(b *DeviceBatch) { b.DevicesCount = nil })
	opensVersion(t, deviceBatches, b, false, func(b *DeviceBatch) { b.Extra = "" }, func(b *DeviceBatch) { b.CreationDate = &little })

	d := Device{
		DeviceID: "d", SerialNumber: text, ProductKey: text, HardwareHash: text, ModelName: text, OEMManufacturerName: text,
		UploadedBy: text, UploadedDate: &at, Policies: `[{"key": "k", "value": "v"}]`, Extra: `{"a": 1}`,
	}
	opensVersion(t, devices, d, true,
		func(d *Device) { d.SerialNumber = nil }, func(d *Device) { d.ProductKey = other },
		func(d *Device) { d.HardwareHash = other }, func(d *Device) { d.ModelName = other },
		func(d *Device) { d.OEMManufacturerName = other }, func(d *Device) { d.UploadedBy = other },
		func(d *Device) { d.UploadedDate = &later }, func(d *Device) { d.Policies = "" },
		func(d *Device) { d.Policies = `[{"key": "k", "value": null}]` })
	opensVersion(t, devices, d, false,
		func(d *Device) { d.Extra = "{}" }, func(d *Device) { d.Policies = `[{"value":"v","key":"k"}]` })

	p := ConfigurationPolicy{
		PolicyID: "p", Name: text, Category: text, Description: text, DevicesAssignedCount: count,
		PolicySettings: []string{"", "NULL", `{"a, b}\`}, CreatedDate: &at, LastModifiedDate: &at, Extra: `{"a": 1}`,
	}
	opensVersion(t, configurationPolicies, p, true,
		func(p *ConfigurationPolicy) { p.Name = nil }, func(p *ConfigurationPolicy) { p.Category = other },
		func(p *ConfigurationPolicy) { p.Description = other }, func(p *ConfigurationPolicy) { p.PolicySettings = nil },
		func(p *ConfigurationPolicy) { p.PolicySettings = []string{"", "NULL"} },
		func(p *ConfigurationPolicy) { p.CreatedDate = &later }, func(p *ConfigurationPolicy) { p.LastModifiedDate = nil })
	opensVersion(t, configurationPolicies, p, false,
		func(p *ConfigurationPolicy) { p.DevicesAssignedCount = another }, func(p *ConfigurationPolicy) { p.Extra = "" })
}

func TestEqualJSON(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{`{"a": 1, "bb": [1, {}]}`, `{"bb":[1,{}],"a":1}`, true},
		{`{"a": 1, "a": 2}`, `{"a": 2}`, true},
		{`[1, 2]`, `[2, 1]`, false},
		{`{"a": 1}`, `{"a": 1, "b": null}`, false},
		{`"é"`, `"\u00e9"`, true},
		{`1.0`, `1.00`, true},
		{`1e3`, `1000`, true},
		{`-0`, `0.0`, true},
		{`120e-1`, `12`, true},
		{`0.1`, `0.10000000000000001`, false},
		{`9007199254740993`, `9007199254740992`, false},
		{`1`, `-1`, false},
		{`1`, `"1"`, false},
		{`null`, `false`, false},
		{`{`, `{}`, false},
	} {
		if got := equalJSON(test.a, test.b); got != test.want {
			t.Errorf("%s and %s: %t, want %t", test.a, test.b, got, test.want)
		}
	}
}

// What is written and read again is what was listed: nothing differs in a second merge, in no column.
func TestMerge_readsWhatItHasWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	claim := w.claim(w.begin(Scheduled, alpha))
	at := time.Date(1999, 12, 31, 23, 59, 59, 123456789, time.UTC)
	text, count := ptr(`é "{}',\`), ptr(int32(-7))
	merges := map[string]func(Listing) (Outcome, error){
		"batches": func(l Listing) (Outcome, error) {
			return w.MergeDeviceBatches(t.Context(), claim, l, []DeviceBatch{
				{BatchID: "b", Status: text, CreatedBy: text, CreationDate: &at, DevicesCount: count, Extra: `{"bb":[1,{}],"a":1.50}`}, {BatchID: "bare"},
			})
		},
		"devices": func(l Listing) (Outcome, error) {
			return w.MergeDevices(t.Context(), claim, DeviceList{BatchID: "b"}, l, []Device{{
				DeviceID: "d", SerialNumber: text, ProductKey: text, HardwareHash: text, ModelName: text, OEMManufacturerName: text,
				UploadedBy: text, UploadedDate: &at, Policies: `[{"key":"k","value":"v"}]`, Extra: `{"a":1}`,
			}, {DeviceID: "bare"}})
		},
		"policies": func(l Listing) (Outcome, error) {
			return w.MergeConfigurationPolicies(t.Context(), claim, l, []ConfigurationPolicy{{
				PolicyID: "p", Name: text, Category: text, Description: text, DevicesAssignedCount: count,
				PolicySettings: []string{"", "NULL", `{"a, b}\`, "skip_eula"}, CreatedDate: &at, LastModifiedDate: &at, Extra: `{"a":1}`,
			}, {PolicyID: "bare"}})
		},
	}
	for name, merge := range merges {
		for i, want := range []Outcome{{Inserted: 2}, {Unchanged: 2}} {
			done, err := merge(Listing{ObservedAt: minute(i), Complete: true})
			w.ok(err)
			if done.DevicesDue = false; done != want {
				t.Errorf("%s, merge %d: %+v, want %+v", name, i+1, done, want)
			}
		}
	}
}

func TestMerge_knownRowsThatDoNotComeAreAnError(t *testing.T) {
	t.Parallel()
	w := worldOver(t, withParameter(t, storetest.New(t).URL, "pool_max_conns", "1"))
	claim := w.claim(w.begin(Scheduled, alpha))
	merge := func() error {
		_, err := w.MergeDeviceBatches(t.Context(), claim, Listing{ObservedAt: minute(1), Complete: true}, []DeviceBatch{{BatchID: "b"}})
		return err
	}
	w.ok(merge()) // which prepares the statement
	w.exec("ALTER TABLE partner_center.device_batches RENAME TO elsewhere")
	if e, ok := errors.AsType[*pgconn.PgError](merge()); !ok || e.Code != "42P01" { // undefined_table
		t.Errorf("got %v, want that the table is not there", e)
	}
}

// What is written otherwise and means the same is no change, though it is not stored just so.
func TestMerge_whatIsWrittenOtherwiseIsUnchanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	known := DeviceBatch{BatchID: "a", CreationDate: &day, Extra: `{"n": 1.0, "list": [1, 2]}`}
	w.pass(minute(1), complete("1"), known)
	const place = "SELECT concat_ws('|', ctid, xmin) FROM partner_center.device_batches"
	before := w.lines(place)
	same := DeviceBatch{BatchID: "a", CreationDate: ptr(day.Add(999 * time.Millisecond)), Extra: `{"list":[1,2],"n":1.00}`}
	if got := w.pass(minute(2), complete("2"), same); got != (Outcome{Unchanged: 1}) {
		t.Errorf("merged %+v, want the row unchanged", got)
	}
	w.want(before, place)
}
