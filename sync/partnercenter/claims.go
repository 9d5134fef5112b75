package partnercenter

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
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

// claimWords are a claim that is a string or a list of strings.
type claimWords []string

func (w *claimWords) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*w = claimWords{one}
		return nil
	}
	var many []string
	err := json.Unmarshal(data, &many)
	*w = many
	return err
}

// ReadClaims reads the claims of a token by "Access tokens in the Microsoft identity platform", versions 1 and 2. It is
// not ok for a token that is no JWT, as the API's own may be.
func ReadClaims(token Secret) (c Claims, ok bool) {
	parts := strings.Split(token.Reveal(), ".")
	if len(parts) != 3 {
		return Claims{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return Claims{}, false
	}
	var said struct {
		Aud        claimWords `json:"aud"`
		Tid        string     `json:"tid"`
		Appid      string     `json:"appid"` // version 1
		Azp        string     `json:"azp"`   // version 2
		UPN        string     `json:"upn"`
		Preferred  string     `json:"preferred_username"`
		UniqueName string     `json:"unique_name"`
		Roles      claimWords `json:"roles"`
		Scp        string     `json:"scp"`
		Amr        claimWords `json:"amr"`
		Exp        float64    `json:"exp"`
	}
	if json.Unmarshal(payload, &said) != nil {
		return Claims{}, false
	}
	c = Claims{
		Audience: clean(strings.Join(said.Aud, " "), maxWord), Tenant: clean(said.Tid, maxWord),
		Application: clean(cmp.Or(said.Appid, said.Azp), maxWord),
		User:        clean(cmp.Or(said.UPN, said.Preferred, said.UniqueName), maxWord),
		Scopes:      cleanWords(strings.Fields(said.Scp)), Roles: cleanWords(said.Roles),
	}
	for _, method := range said.Amr {
		c.MFA = c.MFA || method == "mfa"
	}
	if said.Exp > 0 && said.Exp < 1<<40 {
		c.Expires = time.Unix(int64(said.Exp), 0).UTC()
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
