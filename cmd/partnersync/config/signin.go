package config

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"partnersync/sync/partnercenter"
)

// The environment variables that workload identity sets in a pod, according to "Microsoft Entra Workload ID", "Service
// account labels and annotations".
const (
	azureTenant    = "AZURE_TENANT_ID"
	azureClient    = "AZURE_CLIENT_ID"
	azureToken     = "AZURE_FEDERATED_TOKEN_FILE"
	azureAuthority = "AZURE_AUTHORITY_HOST"
)

// signInKeys are the ways to sign in, of which there must be exactly one.
var signInKeys = []string{
	"client_secret", "client_secret_file", "client_certificate_file", "federated_token_file", "app_user",
}

// signIn reads the keys by which the partner signs in, and leaves the rest of the partner empty.
func (s *section) signIn() (p Partner) {
	p.AppUser = s.boolean("app_user", false)
	given := s.signInKey(p.AppUser)
	token := s.environment(azureToken)
	switch {
	case given == "" && token != "":
		p.FederatedTokenFile = token
		if _, err := partnercenter.ReadSecretFile(token); err != nil && s.doc.needed(azureToken) {
			s.doc.mistake(position{key: azureToken + " in the environment"},
				"%q cannot be read: %v; let workload identity project the token there", token, err)
		}
	case given == "":
		s.missing("client_secret_file", "name the file that holds the application's secret, or write client_secret, "+
			"client_certificate_file, federated_token_file or app_user: true")
	}
	// All are read nevertheless, to report their own mistakes.
	if v, ok := s.scalar("client_secret"); ok {
		v.isSecret()
		p.ClientSecret = v.clientSecret(v.text)
	}
	if v, ok := s.scalar("client_secret_file"); ok {
		p.ClientSecret, p.ClientSecretFile = v.clientSecretFile(), v.text
	}
	p.CertificateFile = s.certificateFile("client_certificate_file")
	if v, ok := s.scalar("federated_token_file"); ok {
		p.FederatedTokenFile = v.text
		if _, err := partnercenter.ReadSecretFile(v.text); err != nil && s.doc.needed(v.key) {
			v.wrong("%s cannot be read: %v; put the token of the other authority there", v.path(), err)
		}
	}
	if v, ok := s.scalar("app_user_secret_file"); ok {
		if !p.AppUser {
			v.wrong("goes with app_user: true; " +
				"the secret of an application that signs in as itself is client_secret_file's")
		}
		p.ClientSecret, p.ClientSecretFile = v.clientSecretFile(), v.text
	}
	p.SecretExpires = s.date("client_secret_expires")
	if !p.SecretExpires.IsZero() && p.ClientSecret == "" && s.doc.needed("client_secret") {
		s.doc.warn(s.entries["client_secret_expires"].position,
			"there is no client secret that could expire; remove the line")
	}
	return p
}

// signInKey returns the key of the way to sign in, "" if there is none, and reports each further one.
func (s *section) signInKey(appUser bool) (given string) {
	for _, key := range signInKeys {
		switch {
		case !s.has(key), key == "app_user" && !appUser:
		case given == "":
			given = key
		case key == "app_user" && strings.HasPrefix(given, "client_secret"):
			s.doc.mistake(s.entries[key].position, "is set along with %s; keep one of the two "+
				"(a confidential application's secret is app_user_secret_file's)", given)
		default:
			s.doc.mistake(s.entries[key].position, "is set along with %s; keep one of the two", given)
		}
	}
	return given
}

// certificateFile reads the name of a file with a certificate and its key, and checks the file.
func (s *section) certificateFile(key string) string {
	v, ok := s.scalar(key)
	if !ok || !s.doc.needed(key) {
		return v.text
	}
	text, err := partnercenter.ReadSecretFile(v.text)
	if err != nil {
		v.wrong("%s cannot be read: %v; put the certificate and its RSA key there, in PEM", v.path(), err)
	} else if _, err := partnercenter.ParseCertificate(text); err != nil {
		v.wrong("%s cannot be used: %v", v, err)
	} else {
		v.warnIfExposed()
	}
	return v.text
}

// environment returns an environment variable, "" if it is not set.
func (s *section) environment(name string) string {
	value, _ := s.doc.LookupEnv(name)
	return strings.TrimSpace(value)
}

func (s *section) tenantID(key string, federated bool) string {
	const fix = "is not a tenant; write its GUID or a domain of it such as contoso.onmicrosoft.com"
	if id := s.environment(azureTenant); !s.has(key) && federated && id != "" {
		if !isTenant(id) {
			s.doc.mistake(position{key: azureTenant + " in the environment"}, "%q %s", id, fix)
		}
		return id
	}
	if !s.has(key) {
		s.missing(key, "write the partner's tenant as a GUID or a domain such as contoso.onmicrosoft.com")
	}
	v, ok := s.scalar(key)
	if ok && !isTenant(v.text) {
		v.wrong("%s %s", v, fix)
	}
	return v.text
}

func (s *section) clientID(key string, federated bool) string {
	// The value is not shown: it may be the secret, taken for the id.
	const fix = "is not a GUID; write the id that Entra shows for the application"
	if id := s.environment(azureClient); !s.has(key) && federated && id != "" {
		if !guid.MatchString(id) {
			s.doc.mistake(position{key: azureClient + " in the environment"}, fix)
		}
		return id
	}
	if !s.has(key) {
		s.missing(key, "write the id that Entra shows for the application")
	}
	v, ok := s.scalar(key)
	if ok && !guid.MatchString(v.text) {
		v.wrong(fix)
	}
	return v.text
}

// authority reads the partner's cloud and the URL of its authority; "" is the cloud's own. The file takes precedence
// over the environment, whose authority also tells the cloud if it is one of Microsoft's.
func (s *section) authority(federated bool) (cloud, authorityURL string) {
	host := s.environment(azureAuthority)
	if s.has("authority_url") || s.has("cloud") || !federated || host == "" {
		authorityURL = s.apiURL("authority_url")
		if u, err := url.Parse(authorityURL); err == nil && isTokenURL(u) {
			s.doc.mistake(positionOf(s.entries["authority_url"].node, "authority_url"), "%s", moreThanAuthority)
		}
		return s.cloud("cloud"), authorityURL
	}
	cloud = "global"
	from := position{key: azureAuthority + " in the environment"}
	u, err := url.Parse(host)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		s.doc.mistake(from, "is not a URL; write one such as https://login.microsoftonline.com/")
		return cloud, ""
	}
	if isTokenURL(u) {
		s.doc.mistake(from, "%s", moreThanAuthority)
	}
	if known := partnercenter.CloudAt(u.Hostname()); known != "" && known != cloud {
		cloud = known
		s.doc.warn(from, "%s", cloudWarning(cloud))
	}
	if inTheClear(u) {
		s.doc.warn(from, "%s", clearWarning)
	}
	return cloud, host
}

const moreThanAuthority = "is more than the authority; leave out the tenant and what comes after it, as in " +
	"https://login.microsoftonline.com"

// isTokenURL reports whether an authority's URL has a path that is appended to it anyway. What stands in for
// Microsoft's may have a path of its own.
func isTokenURL(u *url.URL) bool {
	path := strings.Trim(u.Path, "/")
	return path != "" && partnercenter.CloudAt(u.Hostname()) != "" || slices.Contains(strings.Split(path, "/"), "oauth2")
}

func (s *section) cloud(key string) string {
	v, ok := s.scalar(key)
	if !ok {
		return "global"
	}
	if _, known := partnercenter.CloudNamed(v.text); !known {
		v.wrong("%s is not a known cloud; write global, usgov, china or germany", v)
	} else if v.text != "global" {
		v.warn("%s", cloudWarning(v.text))
	}
	return v.text
}

// cloudWarning says what the API documentation does not promise about a cloud.
func cloudWarning(cloud string) string {
	if cloud == "germany" {
		return "the API documentation of today no longer has the cloud germany, " +
			"which was closed to new customers in 2018; expect refusals"
	}
	return "the API documentation promises device deployment in the global cloud only; expect refusals in " + cloud
}

// date reads a day, in UTC; zero if there is none.
func (s *section) date(key string) time.Time {
	v, ok := s.scalar(key)
	if !ok {
		return time.Time{}
	}
	day, err := time.Parse(time.DateOnly, v.text)
	if err != nil {
		v.wrong("%s is not a date; write one such as 2027-01-31", v)
	}
	return day
}
