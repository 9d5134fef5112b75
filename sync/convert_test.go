package sync

import (
	"strings"
	"testing"
	"unicode/utf8"

	"partnersync/store"
	"partnersync/sync/partnercenter"
)

func TestKey(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, id, want string
		altered        bool
	}{
		{"plain", "Test batch", "Test batch", false},
		{"a thousand bytes", strings.Repeat("x", 1000), strings.Repeat("x", 1000), false},
		{
			"one more", strings.Repeat("x", 1001),
			strings.Repeat("x", 900) + "…" + "7ae9c5c6ecc2c9f0e3aa9c2a8ad1ca0e1a1dbd7ab2d8b3e7e3a6b33b0d5e4a0f", true,
		},
		{"NUL", "a\x00b", "a\uFFFDb", true},
	}
	for _, test := range tests {
		got, altered := storedID(test.id)
		if test.name == "one more" { // the digest is checked by its form, and by being another for another id
			other, _ := storedID(test.id + "y")
			if len(got) != 900+3+64 || got[:903] != test.want[:903] || other == got {
				t.Errorf("%s: %q", test.name, got)
			}
			got = test.want
		}
		if got != test.want || altered != test.altered {
			t.Errorf("%s: key is %q, altered %t; want %q, %t", test.name, got, altered, test.want, test.altered)
		}
	}
}

func FuzzKey(f *testing.F) {
	for _, seed := range []string{"", "a", "a\x00", strings.Repeat("é", 600), strings.Repeat("\x00", 400), "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		got, altered := storedID(id)
		if len(got) > maxKey || !utf8.ValidString(got) || strings.Contains(got, "\x00") {
			t.Errorf("storedID(%q) = %q, which PostgreSQL cannot hold", id, got)
		}
		if altered != (got != id) {
			t.Errorf("storedID(%q) = %q, altered %t", id, got, altered)
		}
		if again, changed := storedID(got); changed || again != got {
			t.Errorf("storedID(%q) = %q is not stable: %q", id, got, again)
		}
	})
}

func TestRows_lastOfEqualIDsWins(t *testing.T) {
	t.Parallel()
	r := rows[store.DeviceBatch]{at: map[string]int{}}
	for _, b := range []partnercenter.DeviceBatch{
		{ID: "a", DevicesCount: new(int32(1))}, {ID: "b"}, {ID: "a", DevicesCount: new(int32(2))},
		{ID: "b\x00"}, {ID: "b\uFFFD"},
	} {
		addBatch(&r, b)
	}
	if len(r.all) != 3 || *r.all[0].DevicesCount != 2 || r.duplicates != 2 || r.altered != 1 {
		t.Errorf("%d rows, %d duplicates, %d altered: %+v", len(r.all), r.duplicates, r.altered, r.all)
	}
}
