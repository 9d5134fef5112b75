package report

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"partnersync/store/storetest"
)

func TestReadCluster(t *testing.T) {
	t.Parallel()
	c, err := ReadCluster(t.Context(), newWorld(t).pool)
	if err != nil {
		t.Fatal(err)
	}
	if storetest.IsCitus() {
		if c.Version == "" || c.Workers != 2 || len(c.Problems) > 0 {
			t.Errorf("%+v, want 2 workers without problems", c)
		}
	} else if c.Version != "" || len(c.Problems) > 0 {
		t.Errorf("%+v, want no cluster", c)
	}
}

// The nodes of a cluster that do not answer are named with the customers that fail for it.
func TestFindings_nameNodesThatAreDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.threeCustomers()
	for _, each := range [][]any{{alpha, "worker2:5432"}, {beta, "worker1:5432"}} {
		w.exec(`UPDATE partnersync.customer_state SET consecutive_failures = 1, last_error_code = 'database_node_down',
			last_error = 'merging: ERROR: connection to the remote node partnersync_writer@' || $2 || ' failed'
			WHERE customer_id = $1::uuid`, each...)
	}
	var got []string
	for _, f := range Findings(w.state(), Process{}) {
		for _, c := range f.Causes {
			got = append(got, fmt.Sprint(c.Customers, " ", c))
		}
	}
	want := []string{"2 database_node_down: no answer from worker1:5432, worker2:5432; " +
		"partnersync check tries each node of the cluster"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
