package partnercentertest

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

// methods is what a path of the API answers to; each gets the ids in the path.
type methods map[string]func(e *Emulator, r *http.Request, ids []string) answer

// routes are the paths of the API: segments in lower case, "*" for one that is an id.
var routes = []struct {
	pattern string
	methods methods
}{
	{"customers", methods{"GET": (*Emulator).listCustomers}},
	{"customers/*/devicebatches", methods{"GET": (*Emulator).listBatches, "POST": (*Emulator).createBatch}},
	{"customers/*/devicebatches/*/devices", methods{"GET": (*Emulator).listDevices, "POST": (*Emulator).addDevices}},
	{"customers/*/devicebatches/*/devices/*", methods{"PUT": (*Emulator).updateDevice, "DELETE": (*Emulator).deleteDevice}},
	{"customers/*/devicepolicyupdates", methods{"PATCH": (*Emulator).updatePolicies}},
	{"customers/*/batchjobstatus/*", methods{"GET": (*Emulator).jobStatus}},
	{"customers/*/policies", methods{"GET": (*Emulator).listPolicies, "POST": (*Emulator).createPolicy}},
	{"customers/*/policies/*", methods{
		"GET": (*Emulator).getPolicy, "PUT": (*Emulator).updatePolicy, "DELETE": (*Emulator).deletePolicy,
	}},
}

// api answers a request to the API: who asks is looked at before what is asked.
func (e *Emulator) api(r *http.Request) answer {
	path, ok := versionedPath(r.URL)
	if !ok {
		return notFound(r)
	}
	if a, refused := e.refusal(r); refused {
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
// answered, so empty segments are passed over there.
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

// match compares a path with a pattern, without case, and returns the segments where the pattern has "*".
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

// refusal answers a request without a token that this emulator gave out and that is still good. The codes are those of
// "Partner Center REST error codes".
func (e *Emulator) refusal(r *http.Request) (a answer, refused bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case token == "" || !strings.EqualFold(scheme, "Bearer"):
		a = apiFault(r, http.StatusUnauthorized, "800001", "Partner Token missing in request context")
	default:
		h, good := e.holder(token)
		switch {
		case !good:
			a = apiFault(r, http.StatusUnauthorized, "400", "Access denied")
		case h.user != nil && !h.user.mfa && e.requiresMFA():
			a = apiFault(r, http.StatusUnauthorized, "900421", "MFA is required to access this resource")
		default:
			return answer{}, false
		}
	}
	a.header.Set("WWW-Authenticate", "OAuth realm=urn:cpsvc:cpid:"+e.opts.TenantID)
	return a, true
}

// holder says who has a token, and whether it is one of ours and still good.
func (e *Emulator) holder(token string) (h holder, good bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h = e.tokens[token]
	return h, time.Now().Before(h.end)
}

func (e *Emulator) requiresMFA() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mfaRequired
}

// apiAnswer is an answer of the API proper, with the headers that support asks for: those of the request where it has
// them, else new ones.
func apiAnswer(r *http.Request, status int, body []byte) answer {
	header := http.Header{}
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("MS-ServerId", "030020344")
	echo := func(name string, make func() string) {
		value := r.Header.Get(name)
		if value == "" {
			value = make()
		}
		header.Set(name, value)
	}
	echo("MS-RequestId", uuid.NewString)
	echo("MS-CorrelationId", uuid.NewString)
	echo("MS-CV", newVector)
	return answer{status: status, header: header, body: body}
}

// untyped takes the Content-Type from an answer, which some documented ones lack.
func untyped(a answer) answer {
	a.header["Content-Type"] = nil // where there is no such entry, net/http guesses
	return a
}

// noContent is the empty answer to a request that was done at once. The documented Content-Length of 0 is lost: net/http
// sends none with this status.
func noContent(r *http.Request) answer { return untyped(apiAnswer(r, http.StatusNoContent, nil)) }

// newVector returns a correlation vector that begins: 96 random bits and a count.
func newVector() string {
	var bits [12]byte
	rand.Read(bits[:])
	return base64.StdEncoding.EncodeToString(bits[:]) + ".0"
}

// apiFault is an error in the form of "Partner Center REST error codes".
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
