package partnercenter

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHints_sayWhatToDoInOneLine(t *testing.T) {
	t.Parallel()
	numbered := regexp.MustCompile(`^(AADSTS\d{5,7}|[a-z_]+|\d{5,6})$`)
	for _, hints := range []map[string]string{denialHints, hintsByCode} {
		for code, hint := range hints {
			if !numbered.MatchString(code) || len(hint) < 20 || strings.ContainsAny(hint, "\n\t") || strings.HasSuffix(hint, ".") {
				t.Errorf("%s: %q", code, hint)
			}
		}
	}
}

func TestHints_ofWhatHappensMost(t *testing.T) {
	t.Parallel()
	tests := []struct {
		hints      map[string]string
		code, want string
	}{
		{denialHints, "AADSTS7000215", "wrong client secret"},
		{denialHints, "AADSTS7000222", "expired"},
		{denialHints, "AADSTS700016", "client_id"},
		{denialHints, "AADSTS65001", "consent is missing"},
		{denialHints, "AADSTS50076", "multi-factor"},
		{denialHints, "AADSTS50079", "multi-factor"},
		{denialHints, "AADSTS50173", "partnersync login"},
		{denialHints, "AADSTS700082", "90 days"},
		{denialHints, "AADSTS500011", "check cloud"},
		{denialHints, "AADSTS700027", "register the certificate"},
		{denialHints, "AADSTS700024", "clock"},
		{denialHints, "AADSTS70021", "federated credential"},
		{denialHints, "AADSTS7000218", "app_user_secret_file"},
		{denialHints, "AADSTS53003", "conditional access"},
		{denialHints, "AADSTS65002", "client_id"},
		{denialHints, "AADSTS65004", "consent"},
		{denialHints, "AADSTS7000229", "consent"},
		{denialHints, "AADSTS7000216", "secret"},
		{denialHints, "AADSTS700021", "client_id"},
		{denialHints, "AADSTS50027", "federated_token_file"},
		{denialHints, "AADSTS50072", "multi-factor"},
		{denialHints, "AADSTS50078", "second factor"},
		{denialHints, "AADSTS50158", "second factor"},
		{denialHints, "AADSTS50132", "partnersync login"},
		{denialHints, "AADSTS50133", "partnersync login"},
		{denialHints, "AADSTS50020", "tenant_id"},
		{hintsByCode, "900421", "multi-factor"},
		{hintsByCode, "10001", "multi-factor"},
		{hintsByCode, "20002", "exclude_customers"},
		{hintsByCode, "900149", "indirect resellers may not"},
	}
	for _, tt := range tests {
		if got := tt.hints[tt.code]; !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q in it", tt.code, got, tt.want)
		}
	}
	wrong := Error{Status: 401, Description: "Unauthorized: Invalid Authorization header, incorrect audience"}
	if got := hint(&wrong); got != hintAudience {
		t.Errorf("wrong audience: %q", got)
	}
}

func TestCloudNamed_asksForATokenOfItsOwnAPI(t *testing.T) {
	t.Parallel()
	const public, china = "https://api.partnercenter.microsoft.com", "https://partner.partnercenterapi.microsoftonline.cn"
	want := map[string]Cloud{
		"global":  {public, "https://login.microsoftonline.com", public + "/.default"},
		"usgov":   {public, "https://login.microsoftonline.us", public + "/.default"},
		"china":   {china, "https://login.chinacloudapi.cn", china + "/.default"},
		"germany": {public, "https://login.microsoftonline.de", public + "/.default"},
	}
	got := map[string]Cloud{}
	for name := range want {
		got[name], _ = CloudNamed(name)
	}
	for name, cloud := range want {
		if at := CloudAt(strings.TrimPrefix(cloud.AuthorityURL, "https://")); at != name {
			t.Errorf("the cloud at %s: %q", cloud.AuthorityURL, at)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("clouds (-want +got):\n%s", diff)
	}
}
