package main

import (
	"net/url"
	"strings"
	"time"

	"partnersync/sync/partnercenter"
)

// The environment's variables that workload identity sets in a pod, by "Microsoft Entra Workload ID", "Service account
// labels and annotations".
const (
	azureTenant    = "AZURE_TENANT_ID"
	azureClient    = "AZURE_CLIENT_ID"
	azureToken     = "AZURE_FEDERATED_TOKEN_FILE"
	azureAuthority = "AZURE_AUTHORITY_HOST"
)

// wayKeys are the keys of which there must be exactly one.
var wayKeys = []string{"client_secret", "client_secret_file", "client_certificate_file", "federated_token_file", "app_user"}

// signIn reads the one way to sign in that there must be.
func (s *section) signIn() (c partnerConfig) {
	c.AppUser = s.flag("app_user", false)
	given := s.oneWay(c.AppUser)
	token := s.environment(azureToken)
	switch {
	case given == "" && token != "":
		c.FederatedTokenFile = token
		if _, err := readAtMost(token, 64<<10); err != nil {
			s.doc.mistake(place{key: azureToken + " in the environment"}, "%q cannot be read: %v; let workload identity project the token there", token, err)
		}
	case given == "":
		s.missing("client_secret_file", "name the file that holds the application's secret, or write client_secret, "+
			"client_certificate_file, federated_token_file or app_user: true")
	}
	// All are read even so, for their own mistakes.
	if v, ok := s.scalar("client_secret"); ok {
		c.ClientSecret = v.secret(v.text)
	}
	if v, ok := s.scalar("client_secret_file"); ok {
		c.ClientSecret, c.ClientSecretFile = v.secretFromFile(), v.text
	}
	s.files(&c)
	if v, ok := s.scalar("app_user_secret_file"); ok {
		if !c.AppUser {
			v.wrong("goes with app_user: true; the secret of an application that signs in as itself is client_secret_file's")
		}
		c.ClientSecret, c.ClientSecretFile = v.secretFromFile(), v.text
	}
	c.SecretExpires = s.date("client_secret_expires")
	if !c.SecretExpires.IsZero() && c.ClientSecret == "" {
		s.doc.warn(s.entries["client_secret_expires"].place, "there is no client secret that could expire; remove the line")
	}
	return c
}

// oneWay returns the key of the way to sign in, "" if there is none, and reports each further one.
func (s *section) oneWay(appUser bool) (given string) {
	for _, key := range wayKeys {
		switch {
		case !s.has(key), key == "app_user" && !appUser:
		case given == "":
			given = key
		case key == "app_user" && strings.HasPrefix(given, "client_secret"):
			s.doc.mistake(s.entries[key].place, "stands beside %s; keep one of the two (a confidential application's secret is app_user_secret_file's)", given)
		default:
			s.doc.mistake(s.entries[key].place, "stands beside %s; keep one of the two", given)
		}
	}
	return given
}

// files reads what is read again for each token.
func (s *section) files(c *partnerConfig) {
	if v, ok := s.scalar("client_certificate_file"); ok {
		c.CertificateFile = v.text
		data, err := readAtMost(v.text, 256<<10)
		if err != nil {
			v.wrong("%s cannot be read: %v; put the certificate and its RSA key there, in PEM", v, err)
		} else if _, err := partnercenter.ParseCertificate(data); err != nil {
			v.wrong("%s cannot be used: %v", v, err)
		} else if wrong := exposure(v.text); wrong != "" {
			v.warn("%q %s", v.text, wrong)
		}
	}
	if v, ok := s.scalar("federated_token_file"); ok {
		c.FederatedTokenFile = v.text
		if _, err := readAtMost(v.text, 64<<10); err != nil {
			v.wrong("%s cannot be read: %v; put the token of the other authority there", v, err)
		}
	}
}

// environment returns a variable of the environment, "" if it is not set.
func (s *section) environment(name string) string {
	value, _ := s.doc.lookupEnv(name)
	return strings.TrimSpace(value)
}

func (s *section) tenantID(key string, federated bool) string {
	const example = "such as contoso.onmicrosoft.com"
	if !s.has(key) {
		if id := s.environment(azureTenant); federated && tenant.MatchString(id) {
			return id
		}
		s.missing(key, "write the partner's tenant as a GUID or a domain "+example)
	}
	v, ok := s.scalar(key)
	if ok && !tenant.MatchString(v.text) {
		v.wrong("%s is no tenant; write its GUID or a domain of it %s", v, example)
	}
	return v.text
}

func (s *section) clientID(key string, federated bool) string {
	if id := s.environment(azureClient); !s.has(key) && federated && id != "" {
		return id
	}
	return s.required(key, "write the id that Entra shows for the application")
}

// authority reads the partner's cloud, and the URL of its authority; "" is the cloud's. What the file says goes before the
// environment, whose authority tells the cloud where that is one of Microsoft's.
func (s *section) authority(federated bool) (cloud, authorityURL string) {
	host := s.environment(azureAuthority)
	if s.has("authority_url") || s.has("cloud") || !federated || host == "" {
		return s.cloud("cloud"), s.baseURL("authority_url")
	}
	cloud = "global"
	from := place{key: azureAuthority + " in the environment"}
	u, err := url.Parse(host)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		s.doc.mistake(from, "is no URL; write one such as https://login.microsoftonline.com/")
		return cloud, ""
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

// date reads a day, in UTC; zero if there is none.
func (s *section) date(key string) time.Time {
	v, ok := s.scalar(key)
	if !ok {
		return time.Time{}
	}
	day, err := time.Parse(time.DateOnly, v.text)
	if err != nil {
		v.wrong("%s is no date; write one such as 2027-01-31", v)
	}
	return day
}
