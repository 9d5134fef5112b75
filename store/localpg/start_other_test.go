//go:build !unix

package localpg

import (
	"strings"
	"testing"
)

func TestStart_isRefused(t *testing.T) {
	t.Parallel()
	if _, err := Start(t.Context(), Config{}); err == nil || !strings.Contains(err.Error(), "not available on Windows") {
		t.Errorf("got %v, want that it is not available", err)
	}
}
