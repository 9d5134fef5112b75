package partnercenter

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tokenWith returns a token with this payload.
func tokenWith(payload string) Secret {
	return Secret("e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln")
}

func TestReadClaims(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		token Secret
		want  Claims
		ok    bool
	}{
		{"application, version 1", tokenWith(`{"aud":"https://api","tid":"t","appid":"a","roles":["r"],"exp":1767600000}`),
			Claims{Audience: "https://api", Tenant: "t", Application: "a", Roles: []string{"r"},
				Expires: time.Unix(1767600000, 0).UTC()}, true},
		{"user, version 2", tokenWith(`{"aud":["x","y"],"azp":"a","preferred_username":"u@t","scp":"one  two","amr":["pwd","mfa"],"exp":1767600000.9}`),
			Claims{Audience: "x y", Application: "a", User: "u@t", Scopes: []string{"one", "two"}, MFA: true,
				Expires: time.Unix(1767600000, 0).UTC()}, true},
		{"nothing", tokenWith(`{}`), Claims{}, true},
		{"control characters", tokenWith(`{"upn":"a\u001b[2Jb","scp":"\u0000"}`),
			Claims{User: "a\ufffd[2Jb", Scopes: []string{"\ufffd"}}, true},
		{"a time beyond all", tokenWith(`{"exp":1e300}`), Claims{}, true},
		{"wrong types", tokenWith(`{"tid":1,"aud":{},"roles":[1],"amr":"mfa","exp":"soon","upn":"u@t"}`),
			Claims{User: "u@t", MFA: true}, true},
		{"padding", Secret("e30." + base64.URLEncoding.EncodeToString([]byte(`{"tid":"t"}`)) + ".c2ln"), Claims{Tenant: "t"},
			true},
		{"no object", tokenWith("[1]"), Claims{}, false},
		{"null", tokenWith("null"), Claims{}, false},
		{"no JSON", tokenWith("x"), Claims{}, false},
		{"no base64", "a.!.c", Claims{}, false},
		{"opaque", "0.AXYZ", Claims{}, false},
		{"none", "", Claims{}, false},
	}
	for _, tt := range tests {
		got, ok := ReadClaims(tt.token)
		if diff := cmp.Diff(tt.want, got); diff != "" || ok != tt.ok {
			t.Errorf("%s: ok %v (-want +got):\n%s", tt.name, ok, diff)
		}
	}
}

func FuzzReadClaims(f *testing.F) {
	f.Add(`{"aud":["x"],"roles":"r","exp":1}`)
	f.Add(`{"amr":null}`)
	f.Fuzz(func(t *testing.T, payload string) {
		c, ok := ReadClaims(tokenWith(payload))
		if !ok && !cmp.Equal(c, Claims{}) {
			t.Errorf("claims %+v of no token", c)
		}
		if all := c.Audience + c.User + strings.Join(c.Roles, "") +
			strings.Join(c.Scopes, ""); strings.ContainsAny(all, "\n\x00\x1b") {
			t.Errorf("control characters in %+v", c)
		}
	})
}
