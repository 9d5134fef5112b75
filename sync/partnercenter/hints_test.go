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
	for _, hints := range []map[string]string{authorityHints, userHints, applicationHints, hintsByCode,
		hintsForUsers, hintsForApplications} {
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
		{userHints, "AADSTS50076", "multi-factor"},
		{userHints, "AADSTS50079", "multi-factor"},
		{userHints, "AADSTS50173", "partnersync login"},
		{userHints, "AADSTS700082", "90 days"},
		{authorityHints, "AADSTS500011", "check cloud"},
		{authorityHints, "AADSTS700027", "register the certificate"},
		{authorityHints, "AADSTS700024", "clock"},
		{authorityHints, "AADSTS70021", "federated credential"},
		{userHints, "AADSTS7000218", "app_user_secret_file"},
		{userHints, "AADSTS53003", "conditional access"},
		{authorityHints, "AADSTS65002", "client_id"},
		{userHints, "AADSTS65004", "consent"},
		{authorityHints, "AADSTS7000229", "consent"},
		{authorityHints, "AADSTS7000216", "secret"},
		{authorityHints, "AADSTS700021", "client_id"},
		{authorityHints, "AADSTS50027", "federated_token_file"},
		{userHints, "AADSTS50072", "multi-factor"},
		{userHints, "AADSTS50078", "second factor"},
		{userHints, "AADSTS50158", "second factor"},
		{userHints, "AADSTS50132", "partnersync login"},
		{userHints, "AADSTS50133", "partnersync login"},
		{userHints, "AADSTS50020", "tenant_id"},
		{hintsForUsers, "900421", "multi-factor"},
		{hintsForUsers, "10001", "multi-factor"},
		{hintsByCode, "20002", "exclude_customers"},
		{hintsByCode, "900149", "indirect resellers may not"},
	}
	for _, tt := range tests {
		if got := tt.hints[tt.code]; !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q in it", tt.code, got, tt.want)
		}
	}
	wrong := Error{Status: 401, Description: "Unauthorized: Invalid Authorization header, incorrect audience"}
	if got := hint(&wrong, false); got != hintAudience {
		t.Errorf("wrong audience: %q", got)
	}
}

// Who signs in as an application has no user to sign in again, and no file for the secret of a user's.
func TestHints_fitTheWayOfSigningIn(t *testing.T) {
	t.Parallel()
	all := map[string]bool{}
	for _, hints := range []map[string]string{authorityHints, userHints, applicationHints, hintsByCode, hintsForUsers} {
		for code := range hints {
			all[code] = true
		}
	}
	ofUsers := regexp.MustCompile(`login|app_user|sign the user|the user's|refresh token`)
	for number := range all {
		for _, code := range []string{"", "invalid_client", "invalid_grant", "interaction_required", "unauthorized_client"} {
			if got := authorityHint(false, number, code); ofUsers.MatchString(got) {
				t.Errorf("%s, %s: an application is told %q", number, code, got)
			}
		}
		for _, e := range []Error{{Code: number, Status: 401}, {Status: 401, Description: "MFA"}} {
			if got := hint(&e, false); ofUsers.MatchString(got) || got == "" {
				t.Errorf("%s: an application is told %q", number, got)
			}
		}
	}
	if got := authorityHint(false, "AADSTS50173", "invalid_grant"); !strings.Contains(got, "check client_id") {
		t.Errorf("an application is told %q", got)
	}
	if got := authorityHint(true, "AADSTS1", "invalid_grant"); !strings.Contains(got, "partnersync login") {
		t.Errorf("a user is told %q", got)
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
