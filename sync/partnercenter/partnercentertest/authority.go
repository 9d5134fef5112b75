package partnercentertest

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// endpoint is an endpoint of the authority.
type endpoint struct {
	tenant string
	name   string // token, devicecode or devicelogin
	v1     bool   // the older one, which takes a resource instead of scopes and returns numbers as strings
}

// authorityEndpoint returns the endpoint at a path, if it is one of the authority's.
func authorityEndpoint(path string) (p endpoint, ok bool) {
	tenant, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	p.tenant = tenant
	switch strings.ToLower(rest) {
	case "oauth2/v2.0/token":
		p.name = "token"
	case "oauth2/token":
		p.name, p.v1 = "token", true
	case "oauth2/v2.0/devicecode":
		p.name = "devicecode"
	case "":
		p.name, p.tenant = strings.ToLower(tenant), ""
		return p, p.name == "devicelogin"
	}
	return p, p.name != ""
}

// authority answers a request to one of the authority's endpoints.
func (e *Emulator) authority(r *http.Request, at endpoint) answer {
	if at.name == "devicelogin" {
		return e.deviceLogin(r)
	}
	if r.Method != http.MethodPost {
		return entraError(r, http.StatusMethodNotAllowed, "invalid_request",
			"AADSTS900561: The endpoint only accepts POST requests. Received a "+r.Method+" request.")
	}
	q, refused := e.query(r, at)
	if refused != nil {
		return refused.answer(r)
	}
	if at.name == "devicecode" {
		return e.deviceCode(r, q)
	}
	a, refused := e.token(q)
	if refused != nil {
		return refused.answer(r)
	}
	return a
}

// refusal is a refusal by the authority. Its description begins with a number from "Microsoft Entra authentication
// and authorization error codes".
type refusal struct {
	status      int
	code        string // of OAuth
	description string
}

func refuse(status int, code, format string, args ...any) *refusal {
	return &refusal{status, code, fmt.Sprintf(format, args...)}
}

func (f *refusal) answer(r *http.Request) answer {
	return entraError(r, f.status, f.code, f.description)
}

// query is a request to the authority.
type query struct {
	endpoint
	r        *http.Request
	grant    string
	clientID string
	scope    []string // what the token is for; the OpenID scopes are not among them
	openID   map[string]bool
}

// query reads what requests for all grants have in common.
func (e *Emulator) query(r *http.Request, at endpoint) (*query, *refusal) {
	what := "scope"
	if at.v1 {
		what = "resource"
	}
	required := []string{"client_id", what}
	if at.name == "token" {
		required = append([]string{"grant_type"}, required...)
	}
	for _, name := range required {
		if r.PostFormValue(name) == "" {
			return nil, refuse(http.StatusBadRequest, "invalid_request",
				"AADSTS900144: The request body must contain the following parameter: '%s'.", name)
		}
	}
	q := &query{endpoint: at, r: r, openID: map[string]bool{}}
	q.grant, q.clientID = r.PostFormValue("grant_type"), r.PostFormValue("client_id")
	for _, scope := range strings.Fields(r.PostFormValue(what)) {
		switch scope {
		case "offline_access", "openid", "profile":
			q.openID[scope] = true
		default:
			q.scope = append(q.scope, scope)
		}
	}
	switch {
	case !strings.EqualFold(at.tenant, e.opts.TenantID):
		return nil, refuse(http.StatusBadRequest, "invalid_request",
			"AADSTS90002: Tenant '%s' not found. Check to make sure you have the correct tenant ID "+
				"and are signing into the correct cloud.", at.tenant)
	case !strings.EqualFold(q.clientID, e.opts.ClientID) && (at.name == "devicecode" || grants[q.grant] != nil):
		return nil, refuse(http.StatusBadRequest, "unauthorized_client",
			"AADSTS700016: Application with identifier '%s' was not found in the directory '%s'.", q.clientID, at.tenant)
	}
	return q, nil
}

// audience returns the API that a token is requested for.
func (q *query) audience() string {
	if q.v1 || len(q.scope) == 0 {
		return cmp.Or(q.r.PostFormValue("resource"), "00000003-0000-0000-c000-000000000000")
	}
	i := strings.LastIndexByte(q.scope[0], '/')
	return q.scope[0][:max(i, 0)]
}

// entraError returns an error in the authority's form. The description begins with AADSTS, a number and a colon.
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

// entraAnswer returns an answer of the authority: without a byte order mark, and not to be cached.
func entraAnswer(status int, body []byte) answer {
	header := http.Header{}
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("Cache-Control", "no-store, no-cache")
	header.Set("Pragma", "no-cache")
	header.Set("X-Ms-Request-Id", uuid.NewString())
	return answer{status: status, header: header, body: body}
}
