package partnercenter

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Claims are what an access token says about itself. They are only for showing to people: the token is not verified.
type Claims struct {
	Audience    string    `json:"audience,omitempty"`
	Tenant      string    `json:"tenant,omitempty"`
	Application string    `json:"application,omitempty"`
	User        string    `json:"user,omitempty"` // "" for an application alone
	Roles       []string  `json:"roles,omitempty"`
	Scopes      []string  `json:"scopes,omitempty"`
	MFA         bool      `json:"mfa"` // the user signed in with a second factor
	Expires     time.Time `json:"expires"`
}

// object is a JSON object whose members are read one by one, so that an unexpected type of one does not spoil the
// others.
type object map[string]json.RawMessage

// membersOf returns the JSON object that data holds; nil if it holds none.
func membersOf(data []byte) (o object) {
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

// ReadClaims reads the claims of a token by "Access tokens in the Microsoft identity platform", versions 1 and 2. A
// token need not be a JWT; then ok is false. A claim of an unexpected type is left out.
func ReadClaims(token Secret) (c Claims, ok bool) {
	parts := strings.Split(token.Reveal(), ".")
	if len(parts) != 3 {
		return Claims{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	claims := membersOf(payload)
	if err != nil || claims == nil {
		return Claims{}, false
	}
	c = Claims{
		Audience: shorten(strings.Join(claims.texts("aud"), " "), maxWord), Tenant: shorten(claims.text("tid"), maxWord),
		Application: shorten(cmp.Or(claims.text("appid"), claims.text("azp")), maxWord), // by version
		User:        shorten(claims.user(), maxWord),
		Scopes:      shortenAll(strings.Fields(claims.text("scp"))), Roles: shortenAll(claims.texts("roles")),
		MFA: slices.Contains(claims.texts("amr"), "mfa"),
	}
	var end float64
	if json.Unmarshal(claims["exp"], &end) == nil && end > 0 && end < 1<<40 {
		c.Expires = time.Unix(int64(end), 0).UTC()
	}
	return c, true
}

// user returns the name of the user, which is in different claims by version and kind of user.
func (o object) user() string {
	return cmp.Or(o.text("upn"), o.text("preferred_username"), o.text("unique_name"))
}

func shortenAll(words []string) []string {
	var all []string
	for _, w := range words {
		if w = shorten(w, maxWord); w != "" {
			all = append(all, w)
		}
	}
	return all
}
