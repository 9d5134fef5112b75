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
	for _, hints := range []map[string]string{authorityHints, hintsByCode} {
		for code, hint := range hints {
			if !numbered.MatchString(code) || len(hint) < 20 || strings.ContainsAny(hint, "\n\t") ||
				strings.HasSuffix(hint, ".") {
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
		{authorityHints, "AADSTS7000215", "wrong client secret"},
		{authorityHints, "AADSTS7000222", "expired"},
		{authorityHints, "AADSTS700016", "client_id"},
		{authorityHints, "AADSTS65001", "consent is missing"},
		{authorityHints, "AADSTS50076", "multi-factor"},
		{authorityHints, "AADSTS50079", "multi-factor"},
		{authorityHints, "AADSTS50173", "partnersync login"},
		{authorityHints, "AADSTS700082", "90 days"},
		{authorityHints, "AADSTS500011", "check cloud"},
		{authorityHints, "AADSTS700027", "register the certificate"},
		{authorityHints, "AADSTS700024", "clock"},
		{authorityHints, "AADSTS70021", "federated credential"},
		{authorityHints, "AADSTS7000218", "app_user_secret_file"},
		{authorityHints, "AADSTS53003", "conditional access"},
		{authorityHints, "AADSTS65002", "client_id"},
		{authorityHints, "AADSTS65004", "consent"},
		{authorityHints, "AADSTS7000229", "consent"},
		{authorityHints, "AADSTS7000216", "secret"},
		{authorityHints, "AADSTS700021", "client_id"},
		{authorityHints, "AADSTS50027", "federated_token_file"},
		{authorityHints, "AADSTS50072", "multi-factor"},
		{authorityHints, "AADSTS50078", "second factor"},
		{authorityHints, "AADSTS50158", "second factor"},
		{authorityHints, "AADSTS50132", "partnersync login"},
		{authorityHints, "AADSTS50133", "partnersync login"},
		{authorityHints, "AADSTS50020", "tenant_id"},
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
