package partnercentertest

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

// methods are the handlers of a path by method; each gets the ids in the path.
type methods map[string]func(e *Emulator, r *http.Request, ids []string) answer

// routes are the paths of the API: segments in lower case, "*" for an id.
var routes = []struct {
	pattern string
	methods methods
}{
	{"customers", methods{"GET": (*Emulator).listCustomers}},
	{"customers/*/devicebatches", methods{"GET": (*Emulator).listBatches, "POST": (*Emulator).createBatch}},
	{"customers/*/devicebatches/*/devices", methods{"GET": (*Emulator).listDevices, "POST": (*Emulator).addDevices}},
	{"customers/*/devicebatches/*/devices/*", methods{
		"PUT": (*Emulator).updateDevice, "DELETE": (*Emulator).deleteDevice,
	}},
	{"customers/*/devicepolicyupdates", methods{"PATCH": (*Emulator).updatePolicies}},
	{"customers/*/batchjobstatus/*", methods{"GET": (*Emulator).jobStatus}},
	{"customers/*/policies", methods{"GET": (*Emulator).listPolicies, "POST": (*Emulator).createPolicy}},
	{"customers/*/policies/*", methods{
		"GET": (*Emulator).getPolicy, "PUT": (*Emulator).updatePolicy, "DELETE": (*Emulator).deletePolicy,
	}},
}

// api answers a request to the API. The token is checked before the path.
func (e *Emulator) api(r *http.Request) answer {
	path, ok := versionedPath(r.URL)
	if !ok {
		return notFound(r)
	}
	if a, refused := e.unauthorized(r); refused {
		return a
	}
	for _, route := range routes {
		ids, ok := match(route.pattern, path)
		if !ok {
			continue
		}
		if method := route.methods[r.Method]; method != nil {
			return method(e, r, ids)
		}
		return methodNotAllowed(r)
	}
	return notFound(r)
}

// versionedPath returns the segments after /v1, unescaped. One product in production asks for /v1//customers and is
// answered, so empty segments are skipped there.
func versionedPath(u *url.URL) (segments []string, ok bool) {
	version, rest, _ := strings.Cut(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	if !strings.EqualFold(version, "v1") {
		return nil, false
	}
	for segment := range strings.SplitSeq(strings.TrimLeft(rest, "/"), "/") {
		segment, err := url.PathUnescape(segment)
		if err != nil {
			return nil, false
		}
		segments = append(segments, segment)
	}
	return segments, true
}

// match compares a path with a pattern, ignoring case, and returns the segments where the pattern has "*".
func match(pattern string, path []string) (ids []string, ok bool) {
	want := strings.Split(pattern, "/")
	if len(want) != len(path) {
		return nil, false
	}
	for i, segment := range path {
		switch {
		case want[i] == "*" && segment != "":
			ids = append(ids, segment)
		case !strings.EqualFold(want[i], segment):
			return nil, false
		}
	}
	return ids, true
}

// unauthorized answers a request without a valid token of this emulator's. The codes are those of "Partner Center
// REST error codes".
func (e *Emulator) unauthorized(r *http.Request) (a answer, refused bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case token == "" || !strings.EqualFold(scheme, "Bearer"):
		a = apiFault(r, http.StatusUnauthorized, "800001", "Partner Token missing in request context")
	default:
		valid, needsMFA := e.checkToken(token)
		switch {
		case !valid:
			a = apiFault(r, http.StatusUnauthorized, "400", "Access denied")
		case needsMFA:
			a = apiFault(r, http.StatusUnauthorized, "900421", "MFA is required to access this resource")
		default:
			return answer{}, false
		}
	}
	a.header.Set("WWW-Authenticate", "OAuth realm=urn:cpsvc:cpid:"+e.opts.TenantID)
	return a, true
}

// checkToken reports whether a token is valid, and whether its user lacks the second factor that is required.
func (e *Emulator) checkToken(token string) (valid, needsMFA bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.tokens[token]
	return time.Now().Before(h.end), e.mfaRequired && h.user != nil && !h.user.mfa
}

// apiAnswer returns an answer of the API, with the headers that support asks for: those of the request where it has
// them, otherwise new ones.
func apiAnswer(r *http.Request, status int, body []byte) answer {
	header := http.Header{}
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("MS-ServerId", "030020344")
	header.Set("MS-RequestId", cmp.Or(r.Header.Get("MS-RequestId"), uuid.NewString()))
	header.Set("MS-CorrelationId", cmp.Or(r.Header.Get("MS-CorrelationId"), uuid.NewString()))
	header.Set("MS-CV", cmp.Or(r.Header.Get("MS-CV"), newVector()))
	return answer{status: status, header: header, body: body}
}

// untyped removes the Content-Type from an answer, which some documented ones lack.
func untyped(a answer) answer {
	a.header["Content-Type"] = nil // without an entry net/http would guess
	return a
}

// noContent returns the empty answer to a request that was carried out at once. The documented Content-Length of 0 is
// missing, because net/http sends none with this status.
func noContent(r *http.Request) answer { return untyped(apiAnswer(r, http.StatusNoContent, nil)) }

// newVector returns a new correlation vector: 96 random bits and a count.
func newVector() string {
	var bits [12]byte
	rand.Read(bits[:])
	return base64.StdEncoding.EncodeToString(bits[:]) + ".0"
}

// apiFault returns an error in the form of "Partner Center REST error codes".
func apiFault(r *http.Request, status int, code, description string) answer {
	body := appendString([]byte(bom+`{"code":`), code)
	body = appendString(append(body, `,"description":`...), description)
	return apiAnswer(r, status, append(body, `,"data":[],"source":"PartnerApiServiceControllers"}`...))
}

func notFound(r *http.Request) answer {
	return apiFault(r, http.StatusNotFound, "1000", "Not found")
}

func badRequest(r *http.Request, description string) answer {
	return apiFault(r, http.StatusBadRequest, "800002", "Invalid request input: "+description)
}

func methodNotAllowed(r *http.Request) answer {
	return apiFault(r, http.StatusMethodNotAllowed, "405", "Method not allowed: "+r.Method)
}
