package partnercenter

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCustomer_keepsWhatFits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, members string
		want          Customer
		misfits       int
	}{
		{"id only", ``, Customer{}, 0},
		{"no profile", `,"companyProfile":null,"relationshipToPartner":"none"`, Customer{Relationship: new("none")}, 0},
		{"empty profile", `,"companyProfile":{}`, Customer{}, 0},
		{"profile of another type", `,"companyProfile":"x"`, Customer{}, 1},
		{"values of other types", `,"companyProfile":{"companyName":5,"domain":{}},"relationshipToPartner":[]`, Customer{},
			3},
		{"unknown fields", `,"links":{"self":{}},"companyProfile":{"id":"y","domain":"d","links":{}},"commerceId":"z"`,
			Customer{Domain: new("d")}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, l := decodeAll(t, `[{"id":"X"`+tt.members+`}, {"companyProfile":{}}]`, decodeCustomer)
			tt.want.ID = "X"
			if d := cmp.Diff([]Customer{tt.want}, got); d != "" {
				t.Error(d)
			}
			if l.Misfits != tt.misfits || l.Skipped != 1 {
				t.Errorf("%d misfits, want %d; %d skipped", l.Misfits, tt.misfits, l.Skipped)
			}
		})
	}
}
