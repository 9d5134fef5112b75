package store

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"partnersync/store/storetest"
)

// wantOtherwise compares rows with those of the list in the database, and wants these positions to be stored otherwise.
func wantOtherwise[R any](w *world, r *resource[R], batchID, what string, rows []R, want ...int) {
	w.t.Helper()
	c, batch := comparison[R]{resource: r, rows: rows}, &pgx.Batch{}
	c.queue(batch, list{customerID: alpha, resource: r.table, batchID: batchID})
	w.ok(w.pool.SendBatch(w.t.Context(), batch).Close())
	if !cmp.Equal(c.otherwise, want) || c.found.known != len(rows) || len(c.found.absent) > 0 {
		w.t.Errorf("%s: %v are stored otherwise, %d known, %v absent; want %v of %d", what, c.otherwise, c.found.known, c.found.absent, want, len(rows))
	}
}

// What is stored just so costs no second look, so it must be seen in each column, and so must each difference.
func TestComparison_seesWhatIsStoredJustSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	claim := w.claim(w.begin(Scheduled, alpha))
	at := time.Date(1999, 12, 31, 23, 59, 59, 123456789, time.UTC)
	later := at.Add(time.Microsecond)
	text, other, count, another := ptr(`é "{}',\`), ptr("x"), ptr(int32(-7)), ptr(int32(-8))
	l := func(i int) Listing { return Listing{ObservedAt: minute(i), Complete: true} }

	b := DeviceBatch{BatchID: "b", Status: text, CreatedBy: text, CreationDate: &at, DevicesCount: count, Extra: `{"a": 1, "bb": [1, {}]}`}
	batches := []DeviceBatch{b, {BatchID: "bare"}}
	_, err := w.MergeDeviceBatches(t.Context(), claim, l(1), batches)
	w.ok(err)
	wantOtherwise(w, deviceBatches, "", "the same batches", batches)
	wantOtherwise(w, deviceBatches, "", "batches in another order", []DeviceBatch{{BatchID: "bare"}, b})
	for i, change := range []func(*DeviceBatch){
		func(b *DeviceBatch) { b.Status = other }, func(b *DeviceBatch) { b.CreatedBy = nil }, func(b *DeviceBatch) { b.CreationDate = &later },
		func(b *DeviceBatch) { b.CreationDate = nil }, func(b *DeviceBatch) { b.DevicesCount = another }, func(b *DeviceBatch) { b.DevicesCount = nil },
		func(b *DeviceBatch) { b.Extra = "" }, func(b *DeviceBatch) { b.Extra = `{"a":1, "bb": [1, {}]}` },
	} {
		changed := b
		change(&changed)
		wantOtherwise(w, deviceBatches, "", fmt.Sprint("batch change ", i), []DeviceBatch{changed, {BatchID: "bare"}}, 0)
	}

	d := Device{
		DeviceID: "d", SerialNumber: text, ProductKey: text, HardwareHash: text, ModelName: text, OEMManufacturerName: text, UploadedBy: text,
		UploadedDate: &at, Policies: `[{"key": "k", "value": "v"}]`, Extra: `{"a": 1}`,
	}
	bare := Device{DeviceID: "bare"}
	_, err = w.MergeDevices(t.Context(), claim, Batch{ID: "b"}, l(2), []Device{d, bare})
	w.ok(err)
	wantOtherwise(w, devices, "b", "the same devices", []Device{d, bare})
	for i, change := range []func(*Device){
		func(d *Device) { d.SerialNumber = nil }, func(d *Device) { d.ProductKey = other }, func(d *Device) { d.HardwareHash = other },
		func(d *Device) { d.ModelName = other }, func(d *Device) { d.OEMManufacturerName = other }, func(d *Device) { d.UploadedBy = other },
		func(d *Device) { d.UploadedDate = &later }, func(d *Device) { d.Policies = "" }, func(d *Device) { d.Extra = "{}" + " " },
	} {
		changed := d
		change(&changed)
		wantOtherwise(w, devices, "b", fmt.Sprint("device change ", i), []Device{bare, changed}, 1)
	}

	p := ConfigurationPolicy{
		PolicyID: "p", Name: text, Category: text, Description: text, DevicesAssignedCount: count, PolicySettings: []string{"", "NULL", `{"a, b}\`, "skip_eula"},
		CreatedDate: &at, LastModifiedDate: &at, Extra: `{"a": 1}`,
	}
	_, err = w.MergeConfigurationPolicies(t.Context(), claim, l(3), []ConfigurationPolicy{p, {PolicyID: "bare"}})
	w.ok(err)
	wantOtherwise(w, configurationPolicies, "", "the same policies", []ConfigurationPolicy{p, {PolicyID: "bare"}})
	for i, change := range []func(*ConfigurationPolicy){
		func(p *ConfigurationPolicy) { p.Name = nil }, func(p *ConfigurationPolicy) { p.Category = other }, func(p *ConfigurationPolicy) { p.Description = other },
		func(p *ConfigurationPolicy) { p.DevicesAssignedCount = another }, func(p *ConfigurationPolicy) { p.PolicySettings = nil },
		func(p *ConfigurationPolicy) { p.PolicySettings = []string{"skip_eula"} }, func(p *ConfigurationPolicy) { p.CreatedDate = &later },
		func(p *ConfigurationPolicy) { p.LastModifiedDate = nil }, func(p *ConfigurationPolicy) { p.Extra = "" },
	} {
		changed := p
		change(&changed)
		wantOtherwise(w, configurationPolicies, "", fmt.Sprint("policy change ", i), []ConfigurationPolicy{changed, {PolicyID: "bare"}}, 0)
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
	const place = "ctid, xmin) FROM partner_center.device_batches"
	before := w.lines(place)
	same := DeviceBatch{BatchID: "a", CreationDate: ptr(day.Add(999 * time.Millisecond)), Extra: `{"list":[1,2],"n":1.00}`}
	if got := w.pass(minute(2), complete("2"), same); got != (Outcome{Unchanged: 1}) {
		t.Errorf("merged %+v, want the row unchanged", got)
	}
	w.want(before, place)
}
