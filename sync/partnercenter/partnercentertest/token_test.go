package partnercentertest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/sync/partnercenter/partnercentertest"
)

func TestToken_answer(t *testing.T) {
	t.Parallel()
	p := newPartner(t, partnercentertest.Options{})
	response, body := p.do(t, tokenRequest(t, p.server.URL, nil))
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%v (a byte order mark?) in %q", err, body)
	}
	if token, _ := got["access_token"].(string); len(token) < 40 || token == p.token {
		t.Errorf("access token %q, want a long one of its own", token)
	}
	delete(got, "access_token")
	want := map[string]any{"token_type": "Bearer", "expires_in": 3599.0, "ext_expires_in": 3599.0}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if got := response.Header.Get("Cache-Control"); !strings.Contains(got, "no-store") {
		t.Errorf("Cache-Control %q", got)
	}
}

func TestToken_refusals(t *testing.T) {
	t.Parallel()
	p := newPartner(t, partnercentertest.Options{})
	tests := []struct {
		name   string
		change map[string]string
		status int
		code   string
		number float64
	}{
		{"wrong secret", map[string]string{"client_secret": "guess"}, 401, "invalid_client", 7000215},
		{"no secret", map[string]string{"client_secret": ""}, 401, "invalid_client", 7000215},
		{"unknown client", map[string]string{"client_id": "someone"}, 400, "unauthorized_client", 700016},
		{"no client", map[string]string{"client_id": ""}, 400, "invalid_request", 900144},
		{"no scope", map[string]string{"scope": ""}, 400, "invalid_request", 900144},
		{"scope of a user", map[string]string{"scope": "https://api.partnercenter.microsoft.com/user_impersonation"}, 400,
			"invalid_scope", 1002012},
		{"grant", map[string]string{"grant_type": "password"}, 400, "unsupported_grant_type", 70003},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			response, body := p.do(t, tokenRequest(t, p.server.URL, test.change))
			checkRefusal(t, response, body, test.status, test.code, test.number)
		})
	}
	t.Run("unknown tenant", func(t *testing.T) {
		t.Parallel()
		r := tokenRequest(t, p.server.URL, nil)
		r.URL.Path = "/fabrikam.com/oauth2/v2.0/token"
		response, body := p.do(t, r)
		checkRefusal(t, response, body, 400, "invalid_request", 90002)
	})
	t.Run("method", func(t *testing.T) {
		t.Parallel()
		r := tokenRequest(t, p.server.URL, nil)
		r.Method = "GET"
		response, body := p.do(t, r)
		checkRefusal(t, response, body, 405, "invalid_request", 900561)
	})
}

// checkRefusal checks that an answer has the token endpoint's form of an error, with the number in both places.
func checkRefusal(t *testing.T, response *http.Response, body string, status int, code string, number float64) {
	t.Helper()
	var got struct {
		Error         string    `json:"error"`
		Description   string    `json:"error_description"`
		Codes         []float64 `json:"error_codes"`
		Timestamp     string    `json:"timestamp"`
		TraceID       string    `json:"trace_id"`
		CorrelationID string    `json:"correlation_id"`
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	if response.StatusCode != status || got.Error != code {
		t.Errorf("%d %s, want %d %s", response.StatusCode, got.Error, status, code)
	}
	if diff := cmp.Diff([]float64{number}, got.Codes); diff != "" {
		t.Errorf("error_codes (-want +got):\n%s", diff)
	}
	if _, err := time.Parse("2006-01-02 15:04:05Z", got.Timestamp); err != nil {
		t.Error(err)
	}
	for _, part := range []string{"Trace ID: " + got.TraceID, "Correlation ID: " + got.CorrelationID,
		"Timestamp: " + got.Timestamp} {
		if !strings.Contains(got.Description, part) {
			t.Errorf("description %q lacks %q", got.Description, part)
		}
	}
}

func TestToken_options(t *testing.T) {
	t.Parallel()
	e := partnercentertest.New(partnercentertest.Options{
		TenantID: "contoso.onmicrosoft.com", ClientID: "app", ClientSecret: `s&p`, TokenLifetime: 90 * time.Second,
	})
	r := tokenRequest(t, "", map[string]string{"client_id": "APP", "client_secret": `s&p`})
	r.URL.Path = "/Contoso.OnMicrosoft.com/OAuth2/v2.0/token"
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"expires_in":90,`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// ask sends a request to the emulator without a network and returns the answer.
func ask(e *partnercentertest.Emulator, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w
}

func TestToken_endsByTheTimeOfItsHolder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := partnercentertest.New(partnercentertest.Options{Speed: 60})
		_, rest, _ := strings.Cut(ask(e, tokenRequest(t, "", nil)).Body.String(), `"access_token":"`)
		token, _, _ := strings.Cut(rest, `"`)
		list := func() int {
			return ask(e, newRequest(t, "GET", "/v1/customers", nil, "Authorization", "Bearer "+token)).Code
		}
		<-time.After(3598 * time.Second)
		e.Advance(240 * time.Hour)
		if got := list(); got != http.StatusOK {
			t.Errorf("%d a second before the end, want 200", got)
		}
		<-time.After(time.Second)
		if got := list(); got != http.StatusUnauthorized {
			t.Errorf("%d at the end, want 401", got)
		}
	})
}

func TestToken_revoked(t *testing.T) {
	t.Parallel()
	p := newPartner(t, partnercentertest.Options{})
	p.RevokeTokens()
	if response, _ := p.get(t, "/v1/customers"); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d with a revoked token, want 401", response.StatusCode)
	}
	p.signIn(t)
	if response, _ := p.get(t, "/v1/customers"); response.StatusCode != http.StatusOK {
		t.Errorf("status %d with a new token, want 200", response.StatusCode)
	}
}
