package partnercenter

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
)

// TestError_withoutWhatTheServerWasSent is about servers that let out what they are sent.
func TestError_withoutWhatTheServerWasSent(t *testing.T) {
	t.Parallel()
	raw := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			io.WriteString(conn, text)
			conn.Close()
		}
	}
	location := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
		}
	}
	secret := url.QueryEscape(testSecret)
	tests := []struct {
		name         string
		signIn, list http.HandlerFunc
		want         string
	}{
		{"a token cut off", nil, reply(400, `{"description":"`+strings.Repeat("d", maxDescription-3)+`token-1"}`), "ddd[re"},
		{"an escaped token", nil, reply(400, `{"code":"7","description":"\u0074oken-1"}`), "7 [redacted]"},
		{"no HTTP", nil, raw("Bearer token-1\r\n\r\n"), `malformed HTTP status code "[redacted]"`},
		{"a redirect", nil, location("http://token-1.example/"), "not following a redirect to http://[redacted].example"},
		{"a next page", nil, inTurn(reply(200, `{"items":[],"links":{"next":{"uri":"/v1/token-1"}}}`), reply(404, "")),
			"/v1/[redacted]: 404"},
		{"the secret", nil, reply(400, testSecret), "[redacted]"},
		{"a type", nil, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "token-1")
			fmt.Fprint(w, "x")
		}, "[redacted]: "},
		{"a sign-in that is no HTTP", raw("client_secret=" + secret), hang, "client_secret=[redacted]"},
		{"a sign-in's request id", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("x-ms-request-id", testSecret)
			w.WriteHeader(400)
		}, hang, "(request [redacted])"},
		{"a sign-in's redirect", location("http://" + testSecret + "/"), hang, "http://[redacted]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := newPipedAPI(t, tt.list)
				a.signIn = tt.signIn
				_, err := batchIDs(a.client(t).DeviceBatches(t.Context(), testCustomer, nil))
				e, ok := errors.AsType[*Error](err)
				if !ok {
					t.Fatalf("got %v", err)
				}
				said := fmt.Sprintf("%v %+v %s", e, *e, a.log.String())
				if strings.Contains(said, "token-") || strings.Contains(said, testSecret) || !strings.Contains(e.Error(), tt.want) {
					t.Errorf("got %s\nwant %s in it, and no secret", said, tt.want)
				}
			})
		})
	}
}

// inTurn answers with each handler once, and with the last from then on.
func inTurn(handlers ...http.HandlerFunc) http.HandlerFunc {
	n := 0
	return func(w http.ResponseWriter, r *http.Request) {
		handlers[min(n, len(handlers)-1)](w, r)
		n++
	}
}
