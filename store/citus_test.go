package store

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	gosync "sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/store/storetest"
)

// A cluster refuses a unique index on a distributed table that lacks the column by which it is distributed.
func TestCitus_uniqueKeysBeginWithTheCustomer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want("", `SELECT concat_ws('|', i.indexrelid::regclass) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
		WHERE c.relnamespace = 'partner_center'::regnamespace AND i.indisunique AND a.attname <> 'customer_id'`)
}

// Views read one customer on its shard. Where devices went is looked for on all shards, but a condition on the customer that they
// left reaches the tables that this is read from, also where the view is outer joined.
func TestCitus_viewsReadACustomerOnItsShard(t *testing.T) {
	t.Parallel()
	if !storetest.IsCitus() {
		t.Skip("allowed: it takes a cluster")
	}
	w := newWorld(t)
	check := func(query string, want int) {
		t.Helper()
		if parts, plan := w.onSeveralShards(w.pool, query); len(parts) != want {
			t.Errorf("%d parts on several shards, want %d: %s\nin %s", len(parts), want, query, plan)
		}
	}
	for _, v := range storetest.Views {
		switch {
		case strings.Contains(v.Query, v.Name+"("): // a function
		case v.Name == "device_moves":
			check("SELECT * FROM partner_center.device_moves WHERE customer_id = '"+alpha+"'", 1)
			check("SELECT * FROM partner_center.customers c LEFT JOIN partner_center.device_moves m USING (customer_id) "+
				"WHERE customer_id = '"+alpha+"'", 1)
		default:
			check("SELECT * FROM partner_center."+v.Name+" WHERE customer_id = '"+alpha+"'", 0)
		}
	}
}

// versionedTable is a table of current rows or of versions, as its name stands in a statement.
var versionedTable = regexp.MustCompile(`partner_center\.(device_batches|device_batch_versions|devices|device_versions|configuration_policies|configuration_policy_versions)\b`)

// recorder keeps the statements that run over its pool, each with the arguments of its last use.
type recorder struct {
	mu         gosync.Mutex
	order      []string // of their first use
	statements map[string][]any
}

// pool returns a pool of one connection whose statements are recorded.
func (r *recorder) pool(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	r.statements = map[string][]any{}
	config.MaxConns, config.ConnConfig.Tracer = 1, r
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func (r *recorder) record(sql string, args []any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.statements[sql]; !ok {
		r.order = append(r.order, sql)
	}
	r.statements[sql] = args
}

func (r *recorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	r.record(data.SQL, data.Args)
	return ctx
}

func (r *recorder) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

func (r *recorder) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	r.record(data.SQL, data.Args)
}

func (r *recorder) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (r *recorder) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// TestCitus_statementsOfAPassAreAboutOneCustomer records them and looks at how PostgreSQL reads the tables: each by the
// customer's id.
func TestCitus_statementsOfAPassAreAboutOneCustomer(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	seen := &recorder{}
	pool := seen.pool(t, db.URL)
	w := &world{Store: New(pool, Options{}), t: t, url: db.URL, pool: pool, customer: alpha}
	w.ok(w.Heartbeat(t.Context()))
	w.wholePasses()

	used := map[string]bool{} // verbs and tables
	for sql, args := range seen.statements {
		if !versionedTable.MatchString(sql) {
			continue
		}
		verb, _, _ := strings.Cut(strings.TrimSpace(sql), " ")
		for _, match := range versionedTable.FindAllStringSubmatch(sql, -1) {
			used[verb+" "+match[1]] = true
		}
		if storetest.IsCitus() {
			if parts, plan := w.onSeveralShards(db.Pool, sql, args...); len(parts) > 0 {
				t.Errorf("on several shards: %s\nin %s", sql, plan)
			}
			continue
		}
		plans, err := plan(t, db.Pool, sql, args)
		w.ok(err)
		for _, reading := range plans.unbound() {
			t.Errorf("not restricted to one customer: %s\nin %s", reading, sql)
		}
	}
	for _, table := range []string{"device_batches", "devices", "configuration_policies"} {
		for _, want := range []string{"SELECT " + table, "INSERT " + table, "UPDATE " + table} {
			if !used[want] {
				t.Errorf("the passes had no %s", want)
			}
		}
	}
}

// onSeveralShards returns which parts of a statement a cluster does on several shards, as EXPLAIN counts their tasks, and the plan.
func (w *world) onSeveralShards(pool *pgxpool.Pool, sql string, args ...any) (parts []string, plan string) {
	w.t.Helper()
	rows, _ := pool.Query(w.t.Context(), "EXPLAIN "+sql, args...) // CollectRows returns its error
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	w.ok(err)
	plan = strings.Join(lines, "\n")
	return regexp.MustCompile(`Task Count: ([2-9]|\d\d)`).FindAllString(plan, -1), plan
}

// plannedNode is a node of a plan, as EXPLAIN has it.
type plannedNode struct {
	Type      string        `json:"Node Type"`
	Schema    string        `json:"Schema"`
	Table     string        `json:"Relation Name"`
	IndexCond string        `json:"Index Cond"`
	Recheck   string        `json:"Recheck Cond"`
	Filter    string        `json:"Filter"`
	Plans     []plannedNode `json:"Plans"`
}

// plan returns how the statement is executed.
func plan(t *testing.T, pool *pgxpool.Pool, sql string, args []any) (plannedNode, error) {
	t.Helper()
	var plans []struct{ Plan plannedNode }
	err := pool.QueryRow(t.Context(), "EXPLAIN (FORMAT JSON, VERBOSE) "+sql, args...).Scan(&plans)
	if err != nil {
		return plannedNode{}, fmt.Errorf("explaining %s: %w", sql, err)
	}
	return plans[0].Plan, nil
}

// oneCustomer is a condition on a customer's id: that it is a given one, or that of another table's row.
var oneCustomer = regexp.MustCompile(`customer_id = ('[-0-9a-f]{36}'::uuid|\w+\.customer_id)`)

// unbound returns the readings of versioned tables that are not restricted to one customer.
func (n plannedNode) unbound() (found []string) {
	conditions := strings.Join([]string{n.IndexCond, n.Recheck, n.Filter}, " ")
	writes := n.Type == "ModifyTable"
	if !writes && versionedTable.MatchString(n.Schema+"."+n.Table) && !oneCustomer.MatchString(conditions) {
		found = append(found, n.Type+" on "+n.Table+conditions)
	}
	for _, inner := range n.Plans {
		found = append(found, inner.unbound()...)
	}
	return found
}

func TestCitus_statementOnAllCustomersIsFound(t *testing.T) {
	if storetest.IsCitus() {
		t.Skip("allowed: a cluster's plans are of another form")
	}
	t.Parallel()
	pool := storetest.New(t).Pool
	for _, sql := range []string{
		"SELECT count(*) FROM partner_center.devices",
		"UPDATE partner_center.device_batches SET removed_at = now() WHERE batch_id = 'b'",
		"SELECT 1 FROM partner_center.device_batches b WHERE customer_id = '" + alpha + "' AND EXISTS (SELECT 1 FROM partner_center.devices d WHERE d.batch_id = b.batch_id)",
		"INSERT INTO partner_center.device_versions SELECT d.*, now() FROM partner_center.devices d WHERE d.customer_id <> '" + alpha + "'",
	} {
		node, err := plan(t, pool, sql, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(node.unbound()) != 1 {
			t.Errorf("%s: found %v, want one", sql, node.unbound())
		}
	}
}
