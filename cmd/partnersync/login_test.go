package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"partnersync/cmd/partnersync/config"
)

func TestLogin_showsNoTimeThatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/devicecode") {
			io.WriteString(w,
				`{"device_code":"d","user_code":"ABCDEFGHI","verification_uri":"https://login.test","interval":1}`)
			return
		}
		http.Error(w, `{"error":"expired_token"}`, http.StatusBadRequest)
	}))
	t.Cleanup(server.Close)
	var shown bytes.Buffer
	a := &app{stdout: &shown, stderr: io.Discard}
	pc := config.Partner{Name: "contoso", Cloud: "global", TenantID: "contoso", ClientID: "c", AuthorityURL: server.URL,
		AppUser: true}
	_, err := a.signIn(t.Context(), pc, "", slog.New(slog.DiscardHandler))
	if err == nil || !strings.HasSuffix(shown.String(), "a sales agent. Waiting …\n") {
		t.Errorf("shown %q, error %v", shown.String(), err)
	}
}
