package partnercenter

import (
	"strings"
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
			got, l := decodeAll(t, `[{"id":"`+testCustomer+`"`+tt.members+`}, {"companyProfile":{}}]`, decodeCustomer)
			tt.want.ID = testCustomer
			if d := cmp.Diff([]Customer{tt.want}, got); d != "" {
				t.Error(d)
			}
			if l.Misfits != tt.misfits || l.Skipped != 1 {
				t.Errorf("%d misfits, want %d; %d skipped", l.Misfits, tt.misfits, l.Skipped)
			}
		})
	}
}

func TestCustomer_itsIDIsAUUIDInLowerCase(t *testing.T) {
	t.Parallel()
	got, l := decodeAll(t, `[{"id":"`+strings.ToUpper(testCustomer)+`"},{"id":"contoso"},{"id":"../../x"},
		{"id":""},{"id":7},{"id":"`+testCustomer+`","id":"47021739-3426-40bf-9601-61b4b6d7c79"},"`+testCustomer+`"]`, decodeCustomer)
	if d := cmp.Diff([]Customer{{ID: testCustomer}}, got); d != "" || l.Skipped != 6 {
		t.Errorf("%d skipped, %s", l.Skipped, d)
	}
}
