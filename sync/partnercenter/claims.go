package partnercenter

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Claims are what an access token says of itself. They are for showing to people only: nothing here verifies a token, and
// whom it is good for is the API's to say.
type Claims struct {
	Audience    string    `json:"audience,omitempty"`
	Tenant      string    `json:"tenant,omitempty"`
	Application string    `json:"application,omitempty"`
	User        string    `json:"user,omitempty"` // "" for an application alone
	Roles       []string  `json:"roles,omitempty"`
	Scopes      []string  `json:"scopes,omitempty"`
	MFA         bool      `json:"mfa"` // the user has signed in with a second factor
	Expires     time.Time `json:"expires"`
}

// object is a JSON object whose members are read one by one, so that one of an unexpected type spoils no other.
type object map[string]json.RawMessage

// members returns the object that data holds; nil if it holds none.
func members(data []byte) (o object) {
	if json.Unmarshal(data, &o) != nil {
		return nil
	}
	return o
}

// text returns a member that is a string.
func (o object) text(name string) string {
	var one string
	if json.Unmarshal(o[name], &one) != nil {
		return ""
	}
	return one
}

// texts returns a member that is a string or a list of strings.
func (o object) texts(name string) []string {
	var many []string
	if one := o.text(name); one != "" {
		many = []string{one}
	} else if json.Unmarshal(o[name], &many) != nil {
		return nil
	}
	return many
}

// ReadClaims reads the claims of a token by "Access tokens in the Microsoft identity platform", versions 1 and 2. It is
// not ok for a token that is no JWT, as the API's own may be. A claim of an unexpected type is left out.
func ReadClaims(token Secret) (c Claims, ok bool) {
	parts := strings.Split(token.Reveal(), ".")
	if len(parts) != 3 {
		return Claims{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	said := members(payload)
	if err != nil || said == nil {
		return Claims{}, false
	}
	c = Claims{
		Audience: clean(strings.Join(said.texts("aud"), " "), maxWord), Tenant: clean(said.text("tid"), maxWord),
		Application: clean(cmp.Or(said.text("appid"), said.text("azp")), maxWord), // by version
		User:        clean(cmp.Or(said.text("upn"), said.text("preferred_username"), said.text("unique_name")), maxWord),
		Scopes:      cleanWords(strings.Fields(said.text("scp"))), Roles: cleanWords(said.texts("roles")),
		MFA: slices.Contains(said.texts("amr"), "mfa"),
	}
	var end float64
	if json.Unmarshal(said["exp"], &end) == nil && end > 0 && end < 1<<40 {
		c.Expires = time.Unix(int64(end), 0).UTC()
	}
	return c, true
}

func cleanWords(words []string) []string {
	var all []string
	for _, w := range words {
		if w = clean(w, maxWord); w != "" {
			all = append(all, w)
		}
	}
	return all
}
