package report

import (
	"testing"

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
