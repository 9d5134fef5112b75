package partnercentertest_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/sync/partnercenter/partnercentertest"
)

func TestPolicyWrites_life(t *testing.T) {
	t.Parallel()
	p := newContoso(t)
	response, body := p.send(t, "POST", contosoPolicies, bom+`{"Name":"Test policy","Category":"o_o_b_e","Description":"from the API",`+
		`"PolicySettings":["skip_eula"],"Attributes":{"ObjectType":"ConfigurationPolicy"}}`)
	created := decode[policyItem](t, body)
	want := policyItem{
		ID: created.ID, Name: "Test policy", Category: "o_o_b_e", Description: "from the API", PolicySettings: []string{"skip_eula"},
		CreatedDate: "2026-01-05T08:00:00", LastModifiedDate: "2026-01-05T08:00:00",
	}
	if diff := cmp.Diff(want, created); diff != "" || response.StatusCode != 200 || created.ID == "" {
		t.Fatalf("created with %d (-want +got):\n%s", response.StatusCode, diff)
	}

	p.Advance(time.Minute)
	response, body = p.send(t, "PUT", contosoPolicies+"/"+created.ID, `{"name":"Renamed","policySettings":[]}`)
	want.Name, want.PolicySettings, want.LastModifiedDate = "Renamed", []string{}, "2026-01-05T08:01:00"
	if diff := cmp.Diff(want, decode[policyItem](t, body)); diff != "" || response.StatusCode != 200 {
		t.Errorf("updated with %d (-want +got):\n%s", response.StatusCode, diff)
	}
	want.CreatedDate, want.LastModifiedDate = "2026-01-05T08:00:00.0000000+00:00", "2026-01-05T08:01:00.0000000+00:00"
	if diff := cmp.Diff([]policyItem{want}, p.policies(t)); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}

	response, body = p.send(t, "DELETE", contosoPolicies+"/"+created.ID, "")
	if response.StatusCode != 204 || body != "" {
		t.Errorf("deleted with %d %q, want 204 and nothing", response.StatusCode, body)
	}
	if got := p.policies(t); len(got) != 0 {
		t.Errorf("policies left: %+v", got)
	}
}

func TestPolicyWrites_refused(t *testing.T) {
	t.Parallel()
	p := newContoso(t)
	p.PutPolicy(contoso, partnercentertest.Policy{ID: "p1", Name: "kept"})
	tests := []struct {
		name, method, path, body string
		status                   int
		code                     string
	}{
		{"no name", "POST", contosoPolicies, `{}`, 400, "3000"},
		{"no JSON", "POST", contosoPolicies, `{`, 400, "800002"},
		{"name taken away", "PUT", contosoPolicies + "/p1", `{"name":""}`, 400, "3000"},
		{"settings of another type", "PUT", contosoPolicies + "/p1", `{"name":"changed","policySettings":7}`, 400, "800002"},
		{"unknown to update", "PUT", contosoPolicies + "/P1", `{"name":"a"}`, 404, "1000"},
		{"unknown to delete", "DELETE", contosoPolicies + "/p2", ``, 404, "1000"},
		{"unknown to get", "GET", contosoPolicies + "/p2", ``, 404, "1000"},
		{"unknown customer", "POST", "/v1/customers/" + fabrikam + "/policies", `{"name":"a"}`, 403, "20002"},
		{"no such method", "PATCH", contosoPolicies + "/p1", `{}`, 405, "405"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			response, body := p.send(t, test.method, test.path, test.body)
			if got := decode[fault](t, body).Code; response.StatusCode != test.status || got != test.code {
				t.Errorf("%d %s, want %d %s", response.StatusCode, got, test.status, test.code)
			}
			if items := p.policies(t); len(items) != 1 || items[0].Name != "kept" {
				t.Errorf("policies are now %+v", items)
			}
		})
	}
}
