package report

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/store/plural"
)

// Cluster is the Citus cluster over which the database is spread.
type Cluster struct {
	Version string // of the extension; "": there is none, and so no cluster
	Workers int
	// Problems are what is missing or does not answer, in words, each with what to do.
	Problems []string
}

// clusterTimeout is how long the nodes may take to answer each other.
const clusterTimeout = 30 * time.Second

// ReadCluster reads how the database is spread over a cluster, and whether the cluster's nodes answer.
func ReadCluster(ctx context.Context, pool *pgxpool.Pool) (c Cluster, err error) {
	const version = `SELECT coalesce(max(extversion), '') FROM pg_extension WHERE extname = 'citus'`
	const workers = `SELECT count(*) FROM pg_dist_node WHERE groupid <> 0`
	err = readOnly(ctx, pool, clusterTimeout, func(ctx context.Context, tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, version).Scan(&c.Version); err != nil || c.Version == "" {
			return err
		}
		if err := tx.QueryRow(ctx, workers).Scan(&c.Workers); err != nil {
			return err
		}
		missing, err := readMissing(ctx, tx)
		if err != nil {
			return err
		}
		down, err := readNodesDown(ctx, tx)
		c.Problems = append(missing, down...)
		return err
	})
	if err != nil {
		return c, fmt.Errorf("asking how the database is spread over its cluster: %w", err)
	}
	return c, nil
}

// readMissing returns what the catalogue and the settings lack.
func readMissing(ctx context.Context, tx pgx.Tx) ([]string, error) {
	const query = `
		SELECT format('%s is not distributed: run deploy/citus.sql', c.oid::regclass)
		FROM pg_class c
		LEFT JOIN pg_dist_partition p ON p.logicalrelid = c.oid
		WHERE c.relkind = 'r' AND p.logicalrelid IS NULL
		  AND (c.relnamespace = to_regnamespace('partner_center') OR c.oid = to_regclass('partnersync.list_state'))
		UNION ALL
		SELECT format('%s is not distributed together with the others, so that it cannot be joined with them', min(p.logicalrelid::text))
		FROM pg_dist_partition p
		WHERE p.partmethod = 'h' AND p.logicalrelid::text LIKE 'partner_center.%'
		HAVING count(DISTINCT p.colocationid) > 1
		UNION ALL
		SELECT 'no commit can take place on several nodes: set max_prepared_transactions to the number of connections, on each node'
		WHERE current_setting('max_prepared_transactions')::integer = 0
		UNION ALL
		SELECT 'commits that are in doubt are never settled: set citus.recover_2pc_interval'
		WHERE current_setting('citus.recover_2pc_interval', true) LIKE '-1%'
		UNION ALL
		SELECT format('%1$s owns the tables and may not log in, so that no shard can be moved to another node: ALTER ROLE %1$s LOGIN',
		              quote_ident(r.rolname))
		FROM pg_class c
		JOIN pg_roles r ON r.oid = c.relowner
		WHERE c.oid = to_regclass('partner_center.device_batches') AND NOT r.rolcanlogin`
	rows, _ := tx.Query(ctx, query) // CollectRows returns its error
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// readNodesDown returns which nodes do not answer the coordinator, and how many customers have their rows there.
func readNodesDown(ctx context.Context, tx pgx.Tx) (problems []string, err error) {
	const query = `
		SELECT n.nodename, n.nodeport, coalesce(c.customers, 0)
		FROM pg_dist_node n
		JOIN citus_check_cluster_node_health() h ON h.to_nodename = n.nodename AND h.to_nodeport = n.nodeport
		LEFT JOIN (
		    SELECT p.nodename, p.nodeport, count(*) AS customers
		    FROM partner_center.customers c
		    JOIN pg_dist_shard_placement p
		         ON p.shardid = get_shard_id_for_distribution_column('partner_center.device_batches', c.customer_id)
		    WHERE c.removed_at IS NULL
		    GROUP BY p.nodename, p.nodeport
		) c ON c.nodename = n.nodename AND c.nodeport = n.nodeport
		WHERE h.from_nodename = (SELECT nodename FROM pg_dist_node WHERE groupid = 0 LIMIT 1)
		  AND h.from_nodeport = (SELECT nodeport FROM pg_dist_node WHERE groupid = 0 LIMIT 1)
		  AND h.result IS NOT TRUE
		ORDER BY 1, 2`
	var name string
	var port, customers int
	rows, _ := tx.Query(ctx, query) // ForEachRow returns its error
	_, err = pgx.ForEachRow(rows, []any{&name, &port, &customers}, func() error {
		problems = append(problems, fmt.Sprintf("node %s:%d does not answer, so that nothing of %s is read or written: start it",
			name, port, plural.Of(customers, "customer", "customers")))
		return nil
	})
	return problems, err
}
