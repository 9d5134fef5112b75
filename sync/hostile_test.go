package sync

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"partnersync/store"
	"partnersync/sync/partnercenter/partnercentertest"
)

// hostile is an item of a list, written by hand, and the row that it becomes: its columns with a | between, ~ for null.
type hostile struct{ item, row string }

// ids are written into items of every kind as they are. What becomes of the rest of the item is not their affair.
var hostileIDs = []struct{ json, id string }{
	{`nul\u0000nul`, "nul\uFFFDnul"},
	{"bytes \xff\xfe", "bytes \uFFFD\uFFFD"},
	{`half \ud83d`, "half \uFFFD"},
	{`other half \ude00 x`, "other half \uFFFD x"},
	{`whole \ud83d\ude00`, "whole 😀"},
	{`right to left \u202e\u0645\u0631`, "right to left \u202e\u0645\u0631"},
	{`zero\u200bwidth\u2060\ufeff`, "zero\u200bwidth\u2060\ufeff"},
	{`'); DROP TABLE partner_center.device_batches; --`, `'); DROP TABLE partner_center.device_batches; --`},
	{`$1 %s %00 ${NAME} {} \\`, `$1 %s %00 ${NAME} {} \`},
	{`a/b?c#d%2Fe;f&g+h`, `a/b?c#d%2Fe;f&g+h`},
	{`tab\tline\nreturn\rbell\u0007`, "tab\tline\nreturn\rbell\a"},
	{` leading and trailing `, ` leading and trailing `},
	{`NULL`, `NULL`},
	{`case`, `case`},
	{`Case`, `Case`},
	{`CASE`, `CASE`},
	{"caf\u00e9", "caf\u00e9"},
	{"cafe\u0301", "cafe\u0301"},
	{`\ufb01`, "ﬁ"},
	{strings.Repeat("x", 1000), strings.Repeat("x", 1000)},
	{strings.Repeat("y", 1001), strings.Repeat("y", 900) + "…" + digest(strings.Repeat("y", 1001))},
	{strings.Repeat("é", 4000), strings.Repeat("é", 450) + "…" + digest(strings.Repeat("é", 4000))},
	{strings.Repeat("z", 1<<20), strings.Repeat("z", 900) + "…" + digest(strings.Repeat("z", 1<<20))},
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// withIDs returns an item for each hostile id, with what else there is in them.
func withIDs(members, rest string) (all []hostile) {
	for _, id := range hostileIDs {
		all = append(all, hostile{`{"id":"` + id.json + `"` + members + `}`, id.id + rest})
	}
	return all
}

// What has no id that could be used is left out.
var withoutID = []hostile{
	{`{"status":"none"}`, ""}, {`{"id":null}`, ""}, {`{"id":""}`, ""}, {`{"id":7}`, ""}, {`{"id":{"id":"x"}}`,
		""}, {`{"id":["x"]}`, ""},
	{`null`, ""}, {`[]`, ""}, {`"x"`, ""}, {`true`, ""},
}

var hostileBatches = []hostile{
	{`{"id":"plain","status":"queued","createdBy":"x","creationDate":"2026-01-02T03:04:05","devicesCount":1}`,
		`plain|queued|x|2026-01-02 03:04:05|1|{}`},
	{`{"id":"text","status":"a\u0000b","createdBy":"\ud800","x\u0000":"\u0000","y":"` + "\xff" + `"}`,
		"text|a\uFFFDb|\uFFFD|~|~|{\"y\": \"\uFFFD\", \"x\uFFFD\": \"\uFFFD\"}"},
	{`{"id":"types","status":5,"createdBy":{},"creationDate":7,"devicesCount":"7"}`,
		`types|~|~|~|~|{"status": 5, "createdBy": {}, "creationDate": 7, "devicesCount": "7"}`},
	{`{"id":"too great","devicesCount":2147483648}`, `too great|~|~|~|~|{"devicesCount": 2147483648}`},
	{`{"id":"too small","devicesCount":-2147483649}`, `too small|~|~|~|~|{"devicesCount": -2147483649}`},
	{`{"id":"greatest","devicesCount":2147483647}`, `greatest|~|~|~|2147483647|{}`},
	{`{"id":"negative","deviceCount":-1}`, `negative|~|~|~|-1|{}`},
	{`{"id":"exponent","devicesCount":1e2}`, `exponent|~|~|~|100|{}`},
	{`{"id":"fraction","devicesCount":1.5}`, `fraction|~|~|~|~|{"devicesCount": 1.5}`},
	{`{"id":"beyond","devicesCount":1e999999}`, `beyond|~|~|~|~|{"devicesCount": "1e999999"}`},
	{`{"id":"last day","creationDate":"9999-12-31T23:59:59.9999999Z"}`, `last day|~|~|9999-12-31 23:59:59.999999|~|{}`},
	{`{"id":"day after","creationDate":"9999-12-31T23:59:59-14:00"}`,
		`day after|~|~|~|~|{"creationDate": "9999-12-31T23:59:59-14:00"}`},
	{`{"id":"day beyond","creationDate":"10000-01-01T00:00:00Z"}`,
		`day beyond|~|~|~|~|{"creationDate": "10000-01-01T00:00:00Z"}`},
	{`{"id":"day of PostgreSQL's end","creationDate":"294277-01-01T00:00:00Z"}`,
		`day of PostgreSQL's end|~|~|~|~|{"creationDate": "294277-01-01T00:00:00Z"}`},
	{`{"id":"before Christ","creationDate":"-4714-01-01T00:00:00Z"}`,
		`before Christ|~|~|~|~|{"creationDate": "-4714-01-01T00:00:00Z"}`},
	{`{"id":"year 0","creationDate":"0000-01-01T00:00:00Z"}`, `year 0|~|~|~|~|{}`},
	{`{"id":"no date","creationDate":"0001-01-01T00:00:00"}`, `no date|~|~|~|~|{}`},
	{`{"id":"no such day","creationDate":"2026-02-30T00:00:00Z"}`,
		`no such day|~|~|~|~|{"creationDate": "2026-02-30T00:00:00Z"}`},
	{`{"id":"infinity","creationDate":"infinity"}`, `infinity|~|~|~|~|{"creationDate": "infinity"}`},
	{`{"id":"nulls","status":null,"createdBy":null,"creationDate":null,"devicesCount":null,"new":null}`,
		`nulls|~|~|~|~|{"new": null}`},
	{`{"id":"empty","status":"","createdBy":" ","":""}`, `empty|| |~|~|{"": ""}`},
	{`{"id":"names of ours","valid_from":"x","removed_at":1,"extra":{"extra":{}}}`,
		`names of ours|~|~|~|~|{"extra": {"extra": {}}, "removed_at": 1, "valid_from": "x"}`},
	{`{"id":"name twice","x":1,"x":2,"status":"a","status":"b"}`, `name twice|b|~|~|~|{"x": 2}`},
	{`{"id":"item twice","status":"first"}`, ``},
	{`{"id":"item twice","status":"last"}`, `item twice|last|~|~|~|{}`},
	{`{"id":"id","id":"id twice"}`, `id twice|~|~|~|~|{}`},
}

var hostileDevices = []hostile{
	{`{"id":"plain","serialNumber":"S","policies":[{"key":"o_o_b_e","value":"p"}]}`,
		`plain|S|~|[{"key": "o_o_b_e", "value": "p"}]|{}`},
	{`{"id":"types","serialNumber":1,"productKey":[],"hardwareHash":{},"modelName":true,"uploadedDate":{},"policies":5}`,
		`types|~|~|[]|{"policies": 5, "modelName": true, "productKey": [], "hardwareHash": {}, "serialNumber": 1, "uploadedDate": {}}`},
	{`{"id":"no policies","policies":null}`, `no policies|~|~|[]|{}`},
	{`{"id":"policies an object","policies":{"key":"a"}}`, `policies an object|~|~|[]|{"policies": {"key": "a"}}`},
	{`{"id":"policy null","policies":[null]}`, `policy null|~|~|[]|{"policies": [null]}`},
	{`{"id":"policy empty","policies":[{}]}`, `policy empty|~|~|[]|{"policies": [{}]}`},
	{`{"id":"policy of policies","policies":[[{"key":"a"}]]}`,
		`policy of policies|~|~|[]|{"policies": [[{"key": "a"}]]}`},
	{`{"id":"key null","policies":[{"key":null,"value":"v"}]}`,
		`key null|~|~|[]|{"policies": [{"key": null, "value": "v"}]}`},
	{`{"id":"value a number","policies":[{"key":"a","value":5},{"key":"b"}]}`,
		`value a number|~|~|[]|{"policies": [{"key": "a", "value": 5}, {"key": "b"}]}`},
	{`{"id":"one key twice","policies":[{"key":"a","value":"y"},{"value":"x","key":"a"},{"key":"a","value":null}]}`,
		`one key twice|~|~|[{"key": "a", "value": null}, {"key": "a", "value": "x"}, {"key": "a", "value": "y"}]|{}`},
	{`{"id":"more of a policy","policies":[{"key":"a","value":"x","note":"\u0000"}]}`,
		"more of a policy|~|~|[{\"key\": \"a\", \"value\": \"x\"}]|{\"policies\": [{\"key\": \"a\", \"note\": \"\uFFFD\", \"value\": \"x\"}]}"},
	{`{"id":"policy text","policies":[{"key":"\u0000\ud800","value":"` + "\xff" + `"}]}`,
		"policy text|~|~|[{\"key\": \"\uFFFD\uFFFD\", \"value\": \"\uFFFD\"}]|{}"},
	{`{"id":"date","uploadedDate":"2020-01-30T09:10:33.2417951+01:00"}`, `date|~|2020-01-30 08:10:33.241795|[]|{}`},
	{`{"id":"allowed","allowedOperations":["GET"],"links":{},"self":1," attributes":{}}`,
		`allowed|~|~|[]|{"allowedOperations": ["GET"]}`},
}

var hostilePolicies = []hostile{
	{`{"id":"plain","name":"n","policySettings":["b","a"],"devicesAssigned":1}`, `plain|n|1|{a,b}|~|{}`},
	{`{"id":"types","name":{},"policySettings":"a","devicesAssigned":"1","createdDate":false}`,
		`types|~|~|{}|~|{"name": {}, "createdDate": false, "policySettings": "a", "devicesAssigned": "1"}`},
	{`{"id":"settings' types","policySettings":["a",1]}`, `settings' types|~|~|{}|~|{"policySettings": ["a", 1]}`},
	{`{"id":"settings' nulls","policySettings":["a",null]}`,
		`settings' nulls|~|~|{}|~|{"policySettings": ["a", null]}`},
	{`{"id":"settings' text","policySettings":["\u0000","a,b","{c}","\"","NULL","","\\"]}`,
		`settings' text|~|~|{"","\"","NULL","\\","a,b","{c}",` + "\uFFFD}|~|{}"},
	{`{"id":"both counts","devicesAssigned":1,"devicesAssignedCount":2}`, `both counts|~|1|{}|~|{}`},
	{`{"id":"date","createdDate":"2017-04-27T11:30:34.1944704-07:00"}`, `date|~|~|{}|2017-04-27 18:30:34.19447|{}`},
}

// rowsOf are the rows of the hostile items that become one.
func rowsOf(all []hostile) (rows []string) {
	for _, h := range all {
		if h.row != "" {
			rows = append(rows, h.row)
		}
	}
	return rows
}

// serve answers requests whose path ends so with a list of the items, and others with none.
func (w *world) serve(path string, all []hostile) {
	items := make([]string, len(all))
	for i, h := range all {
		items[i] = h.item
	}
	w.api.Fail(partnercentertest.Fault{
		Path: path, Body: fmt.Sprintf(`{"totalCount":%d,"items":[%s]}`, len(items), strings.Join(items, ",")),
	})
}

// wantRows compares columns of a table with those of the hostile items, in any order.
func (w *world) wantRows(all []hostile, columns, table string) {
	w.t.Helper()
	got := w.rows(fmt.Sprintf("SELECT %s FROM partner_center.%s", columns, table))
	if diff := cmp.Diff(counted(rowsOf(all)), counted(got)); diff != "" {
		w.t.Errorf("rows of %s: (-want +got)\n%s", table, diff)
	}
}

func counted(rows []string) map[string]int {
	n := map[string]int{}
	for _, row := range rows {
		n[row]++
	}
	return n
}

// misfitLine is the line of the log that counts what could not be stored as received.
type misfitLine struct {
	Msg        string
	Values     int `json:"values_kept_in_extra"`
	Replaced   int `json:"invalid_unicode_replaced"`
	IDs        int `json:"ids_altered"`
	Skipped    int `json:"items_without_id"`
	Duplicates int `json:"items_with_an_id_seen_before"`
}

// misfitLines returns such lines of a log.
func misfitLines(t *testing.T, log *testLog) (lines []misfitLine) {
	t.Helper()
	for raw := range strings.Lines(log.String()) {
		var line misfitLine
		if err := json.Unmarshal([]byte(raw), &line); err != nil {
			t.Fatalf("log line %s: %v", raw, err)
		}
		if line.Msg == "some data could not be stored as received" {
			line.Msg = ""
			lines = append(lines, line)
		}
	}
	return lines
}

const (
	batchColumns = `batch_id, coalesce(status, '~'), coalesce(created_by, '~'),
		coalesce((creation_date AT TIME ZONE 'UTC')::text, '~'),
		coalesce(devices_count::text, '~'), extra`
	deviceColumns = `device_id, coalesce(serial_number, '~'), coalesce((uploaded_date AT TIME ZONE 'UTC')::text, '~'),
		policies, extra`
	policyColumns = `policy_id, coalesce(name, '~'), coalesce(devices_assigned_count::text, '~'), policy_settings,
		coalesce((created_date AT TIME ZONE 'UTC')::text, '~'), extra`
)

func TestOnce_hostileItemsOfEveryKind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{}).reading()
	log := w.logged()
	id := w.customers(1)[0]
	batches := append(withIDs(``, `|~|~|~|~|{}`), hostileBatches...)
	devices := append(withIDs(``, `|~|~|[]|{}`), hostileDevices...)
	policies := append(withIDs(``, `|~|~|{}|~|{}`), hostilePolicies...)
	w.serve("/deviceBatches$", batches)
	w.serve("/deviceBatches/plain/devices$", devices)
	w.serve("/devices$", nil)
	w.serve("/policies$", policies)
	inserted := int64(len(rowsOf(batches)) + len(rowsOf(devices)) + len(rowsOf(policies)))
	if run := w.once(); run.State != store.Complete || run.Inserted != inserted {
		t.Errorf("run: %+v, want %d rows inserted", run, inserted)
	}
	w.want("1",
		`SELECT count(*) FROM partner_center.sync_freshness
			WHERE customer_id = $1::uuid AND last_error_code IS NULL`, id)
	w.wantRows(batches, batchColumns, "device_batches")
	w.wantRows(devices, deviceColumns, "devices")
	w.wantRows(policies, policyColumns, "configuration_policies")
	got := misfitLines(t, log)
	// 3 of the ids of each kind, 5 texts, and 3 members of extra.
	want := []misfitLine{{Values: 33, Replaced: 3*3 + 5 + 3, IDs: 12, Duplicates: 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the log says: (-want +got)\n%s\n%s", diff, log)
	}
	if run := w.once(); run.State != store.Complete || run.Inserted+run.Changed+run.Removed != 0 ||
		run.Unchanged != inserted {
		t.Errorf("second run: %+v, want %d rows unchanged", run, inserted)
	}
	w.wantViews()
}

func TestOnce_itemsWithoutAnIDLeaveTheListIncomplete(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{}).reading()
	log := w.logged()
	id := w.customers(1)[0]
	serve := func(items ...hostile) {
		w.api.ClearFaults()
		for _, path := range []string{"/deviceBatches$", "/deviceBatches/plain/devices$", "/policies$"} {
			w.serve(path, items)
		}
		w.serve("/devices$", nil)
	}
	plain, known := hostile{item: `{"id":"plain"}`}, hostile{item: `{"id":"known"}`}
	serve(plain, known)
	if run := w.once(); run.State != store.Complete || run.Inserted != 6 {
		t.Fatalf("first run: %+v", run)
	}
	serve(append(withoutID, hostile{item: `{"id":"plain","status":"new","serialNumber":"new","name":"new"}`})...)
	for _, changed := range []int64{3, 0} {
		if run := w.once(); run.State != store.Failed || run.Removed != 0 || run.Changed != changed {
			t.Errorf("run: %+v, want %d rows changed", run, changed)
		}
		w.want("incomplete_listing|t", `
			SELECT last_error_code, last_error LIKE '%10 of 11 items had no usable id%'
			FROM partner_center.sync_freshness WHERE customer_id = $1::uuid`, id)
	}
	want := misfitLine{Skipped: 3 * len(withoutID)}
	if diff := cmp.Diff([]misfitLine{want, want}, misfitLines(t, log)); diff != "" {
		t.Errorf("what the log says: (-want +got)\n%s", diff)
	}
	serve(plain)
	if run := w.once(); run.State != store.Complete || run.Removed != 3 {
		t.Errorf("run after all items have an id again: %+v", run)
	}
}

// wantViews reads every view and function for analysts to its end.
func (w *world) wantViews() {
	w.t.Helper()
	const views = `
		SELECT format('%I.%I', schemaname, viewname) FROM pg_views WHERE schemaname = 'partner_center'
		UNION ALL
		SELECT format('%s(now())', p.oid::regproc) FROM pg_proc p
			WHERE p.pronamespace = 'partner_center'::regnamespace AND p.pronargs = 1 AND p.proargtypes[0] = 'timestamptz'::regtype`
	rows, _ := w.pool.Query(w.t.Context(), views) // CollectRows returns its error
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	w.ok(err)
	if len(names) < 12 {
		w.t.Errorf("only the views %q", names)
	}
	for _, name := range names {
		if _, err := w.pool.Exec(w.t.Context(), "SELECT * FROM "+name); err != nil {
			w.t.Errorf("reading %s: %v", name, err)
		}
	}
}

func TestOnce_hostileCustomers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{})
	log := w.logged()
	long := strings.Repeat("Ünïcode ", 1<<17) // 1.25 MiB
	customer := func(n int, members string) hostile {
		return hostile{item: fmt.Sprintf(`{"id":"00000000-0000-4000-8000-%012d","relationshipToPartner":"reseller"%s}`,
			n, members)}
	}
	w.serve("/customers$", append([]hostile{
		customer(1, `,"companyProfile":{"companyName":"nul\u0000","domain":"`+"\xff"+`.test"}`),
		customer(2, `,"companyProfile":{"companyName":"\u202eelgoog","domain":"'; DROP SCHEMA partner_center; --"}`),
		customer(3, `,"companyProfile":{"companyName":5,"domain":[]}`),
		customer(4, `,"companyProfile":"none"`),
		customer(5, `,"companyProfile":{"companyName":"`+long+`"}`),
		customer(6, `,"companyProfile":{"companyName":"first"}`),
		customer(6, `,"companyProfile":{"companyName":"last"}`),
		{item: `{"id":"00000000-0000-4000-8000-00000000000A","relationshipToPartner":"Reseller"}`},
		{item: `{"id":"no GUID","relationshipToPartner":"reseller"}`},
		{item: `{"id":"../../x","relationshipToPartner":"reseller"}`},
	}, withoutID...))
	w.api.Fail(partnercentertest.Fault{Path: "deviceBatches", Body: `{"totalCount":0,"items":[]}`})
	if run := w.once(); run.State != store.Partial || run.CustomersOK != 7 || run.Error == nil ||
		!strings.Contains(*run.Error, "12 of 20 items had no usable id") {
		t.Errorf("run: %+v", run)
	}
	w.want("nul\uFFFD|\uFFFD.test\n"+"\u202eelgoog|'; DROP SCHEMA partner_center; --\n~|~\n~|~\n"+long+"|~\nlast|~\n~|~",
		"SELECT coalesce(company_name, '~'), coalesce(domain, '~') FROM partner_center.customers ORDER BY customer_id")
	want := []misfitLine{{Values: 3, Replaced: 2, Skipped: len(withoutID) + 2, Duplicates: 1}}
	if diff := cmp.Diff(want, misfitLines(t, log)); diff != "" {
		t.Errorf("what the log says: (-want +got)\n%s", diff)
	}
}

// noise returns n characters that do not compress to nothing, so that no index could hide how long they are.
func noise(n int) string {
	var b strings.Builder
	sum := sha256.Sum256(nil)
	for b.Len() < n {
		b.WriteString(hex.EncodeToString(sum[:]))
		sum = sha256.Sum256(sum[:])
	}
	return b.String()[:n]
}

func TestOnce_hugeValuesAndManyAndDeepOnes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{}).reading()
	id := w.customers(1)[0]
	huge := noise(1 << 20)
	var members strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&members, `,"unknown %d":%d`, i, i)
	}
	// Nearly as deep as the client's JSON reader goes.
	deep := strings.Repeat(`[`, 9_990) + strings.Repeat(`]`, 9_990)
	texts := func(names ...string) (items []hostile) {
		item := `{"id":"b","new":"` + huge + `","deep":` + deep + members.String()
		for _, name := range names {
			item += `,"` + name + `":"` + huge + `"`
		}
		return []hostile{{item: item + "}"}, {item: `{"id":"plain"}`}}
	}
	w.serve("/deviceBatches$", texts("status", "createdBy"))
	w.serve("/devices$",
		texts("serialNumber", "productKey", "hardwareHash", "modelName", "oemManufacturerName", "uploadedBy"))
	w.serve("/policies$", texts("name", "category", "description"))
	if run := w.once(); run.State != store.Complete || run.Inserted != 8 {
		t.Errorf("run: %+v", run)
	}
	const kept = `, count(*) FILTER (WHERE extra->>'new' = $1 AND extra->'unknown 49999' = '49999' AND extra ? 'deep')
		FROM partner_center.`
	w.want("1|1", "SELECT count(*) FILTER (WHERE status = $1 AND created_by = $1)"+kept+"device_batches", huge)
	w.want("2|2",
		`SELECT count(*) FILTER (WHERE serial_number = $1 AND product_key = $1 AND hardware_hash = $1
			AND model_name = $1
		AND oem_manufacturer_name = $1 AND uploaded_by = $1)`+kept+"devices", huge)
	w.want("1|1",
		`SELECT count(*) FILTER (WHERE name = $1 AND category = $1
			AND description = $1)`+kept+"configuration_policies", huge)
	// All of it once more as a superseded version, which has indexes of its own.
	w.api.ClearFaults()
	w.put(id, "b", "finished")
	w.put(id, "plain", "finished")
	if run := w.once(); run.State == store.Running || run.Changed != 2 {
		t.Errorf("second run: %+v", run)
	}
	w.want("t", "SELECT status = $1 FROM partner_center.device_batch_versions WHERE batch_id = 'b'", huge)
	w.wantViews()
}

func TestOnce_depthBombFailsItsListAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, partnercentertest.Options{}).reading()
	ids := w.customers(2)
	for _, id := range ids {
		w.put(id, "b", "finished")
	}
	w.api.Fail(partnercentertest.Fault{
		Path: ids[0] + "/deviceBatches$", Body: `{"items":[{"id":"b","x":` + strings.Repeat(`[`, 1<<20) +
			strings.Repeat(`]`, 1<<20) + `}]}`,
	})
	if run := w.once(); run.State != store.Partial || run.CustomersOK != 1 || run.Inserted != 1 {
		t.Errorf("run: %+v", run)
	}
	w.want(ids[0]+"|bad_response",
		"SELECT customer_id, last_error_code FROM partner_center.sync_freshness WHERE consecutive_failures > 0")
}
