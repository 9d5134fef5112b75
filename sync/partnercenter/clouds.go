package partnercenter

import "strings"

// Cloud is one of Microsoft's clouds: where its API and its sign-in are. The addresses are those of the API
// documentation's "Partner Center REST URLs".
type Cloud struct {
	APIURL       string // base of the API, without /v1
	AuthorityURL string // sign-in
	Scope        string // what a token is asked for: the cloud's own API
}

// CloudNamed returns the cloud of that name: global, usgov, china or germany.
func CloudNamed(name string) (Cloud, bool) {
	const public = "https://api.partnercenter.microsoft.com"
	const china = "https://partner.partnercenterapi.microsoftonline.cn"
	switch name {
	case "global":
		return cloud(public, "https://login.microsoftonline.com"), true
	case "usgov":
		return cloud(public, "https://login.microsoftonline.us"), true
	case "china":
		return cloud(china, "https://login.chinacloudapi.cn"), true
	case "germany":
		return cloud(public, "https://login.microsoftonline.de"), true
	}
	return Cloud{}, false
}

// CloudAt returns the name of the cloud whose authority is that host, "" for any other host. That of China has
// a newer name too, which its documentation uses.
func CloudAt(host string) (name string) {
	switch strings.ToLower(host) {
	case "login.microsoftonline.com":
		return "global"
	case "login.microsoftonline.us":
		return "usgov"
	case "login.chinacloudapi.cn", "login.partner.microsoftonline.cn":
		return "china"
	case "login.microsoftonline.de":
		return "germany"
	}
	return ""
}

func cloud(api, authority string) Cloud {
	return Cloud{APIURL: api, AuthorityURL: authority, Scope: api + "/.default"}
}
