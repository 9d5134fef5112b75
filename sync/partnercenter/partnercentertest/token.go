package partnercentertest

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// RevokeTokens makes every token given out so far a bad one.
func (e *Emulator) RevokeTokens() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.tokens)
}

// token answers the token endpoint: client credentials, with the secret in the form.
func (e *Emulator) token(r *http.Request, tenant string) answer {
	if r.Method != http.MethodPost {
		return entraError(r, http.StatusMethodNotAllowed, "invalid_request",
			"AADSTS900561: The endpoint only accepts POST requests. Received a "+r.Method+" request.")
	}
	if a, refused := e.tokenRefusal(r, tenant); refused {
		return a
	}
	lifetime := int(e.opts.TokenLifetime.Seconds())
	body := fmt.Sprintf(`{"token_type":"Bearer","expires_in":%d,"ext_expires_in":%d,"access_token":%q}`,
		lifetime, lifetime, e.newToken())
	return entraAnswer(http.StatusOK, []byte(body))
}

// newToken gives out a token, and forgets those that have ended.
func (e *Emulator) newToken() string {
	token := rand.Text() + rand.Text()
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	maps.DeleteFunc(e.tokens, func(_ string, end time.Time) bool { return !now.Before(end) })
	e.tokens[token] = now.Add(e.opts.TokenLifetime)
	return token
}

// tokenRefusal answers a request that gets no token, with the numbers of "Microsoft Entra authentication and
// authorization error codes".
func (e *Emulator) tokenRefusal(r *http.Request, tenant string) (a answer, refused bool) {
	deny := func(status int, code, format string, args ...any) (answer, bool) {
		return entraError(r, status, code, fmt.Sprintf(format, args...)), true
	}
	for _, name := range []string{"grant_type", "client_id", "scope"} {
		if r.PostFormValue(name) == "" {
			return deny(http.StatusBadRequest, "invalid_request",
				"AADSTS900144: The request body must contain the following parameter: '%s'.", name)
		}
	}
	clientID, scope := r.PostFormValue("client_id"), r.PostFormValue("scope")
	switch {
	case !strings.EqualFold(tenant, e.opts.TenantID):
		return deny(http.StatusBadRequest, "invalid_request",
			"AADSTS90002: Tenant '%s' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.", tenant)
	case r.PostFormValue("grant_type") != "client_credentials":
		return deny(http.StatusBadRequest, "unsupported_grant_type",
			"AADSTS70003: The app requested an unsupported grant type '%s'.", r.PostFormValue("grant_type"))
	case !strings.EqualFold(clientID, e.opts.ClientID):
		return deny(http.StatusBadRequest, "unauthorized_client",
			"AADSTS700016: Application with identifier '%s' was not found in the directory '%s'.", clientID, tenant)
	case r.PostFormValue("client_secret") != e.opts.ClientSecret:
		return deny(http.StatusUnauthorized, "invalid_client",
			"AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '%s'.", clientID)
	case !strings.HasSuffix(scope, "/.default"):
		return deny(http.StatusBadRequest, "invalid_scope",
			"AADSTS1002012: The provided value for scope %s is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).", scope)
	}
	return answer{}, false
}

// entraError is an error in the token endpoint's form. The description begins with AADSTS, a number and a colon.
func entraError(r *http.Request, status int, code, description string) answer {
	number, _, _ := strings.Cut(strings.TrimPrefix(description, "AADSTS"), ":")
	if _, err := strconv.ParseUint(number, 10, 64); err != nil {
		number = ""
	}
	trace, correlation := uuid.NewString(), r.Header.Get("client-request-id")
	if correlation == "" {
		correlation = uuid.NewString()
	}
	at := time.Now().UTC().Format("2006-01-02 15:04:05Z")
	body := appendString([]byte(`{"error":`), code)
	body = appendString(append(body, `,"error_description":`...),
		description+" Trace ID: "+trace+" Correlation ID: "+correlation+" Timestamp: "+at)
	body = fmt.Appendf(body, `,"error_codes":[%s],"timestamp":"%s","trace_id":"%s","correlation_id":`, number, at, trace)
	return entraAnswer(status, append(appendString(body, correlation), '}'))
}

// entraAnswer is an answer of the token endpoint: no byte order mark, nothing to be kept by caches.
func entraAnswer(status int, body []byte) answer {
	header := http.Header{}
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("Cache-Control", "no-store, no-cache")
	header.Set("Pragma", "no-cache")
	header.Set("X-Ms-Request-Id", uuid.NewString())
	return answer{status: status, header: header, body: body}
}
