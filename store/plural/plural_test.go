package plural

import "testing"

func TestOf(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 batches", 1: "1 batch", 2: "2 batches", -1: "-1 batches"} {
		if got := Of(n, "batch", "batches"); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
