package partnercenter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func TestSecret_isNeverPrinted(t *testing.T) {
	t.Parallel()
	const value = "hunter2"
	holder := struct{ S Secret }{value}
	var printed []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		printed = append(printed, fmt.Sprintf(verb, Secret(value)), fmt.Sprintf(verb, holder),
			fmt.Sprintf(verb, []Secret{value}))
	}
	printed = append(printed, Secret(value).String(), Secret(value).GoString(), Secret(value).LogValue().String())
	text, _ := Secret(value).MarshalText()
	asJSON, _ := json.Marshal([]any{Secret(value), holder})
	asYAML, _ := yaml.Marshal(holder)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "s", Secret(value), "h", holder)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "s", Secret(value), "h", holder)
	for _, s := range append(printed, string(text), string(asJSON), string(asYAML), log.String()) {
		if strings.Contains(s, value) || strings.Contains(s, fmt.Sprintf("%x", value)) || !strings.Contains(s, "[redacted]") {
			t.Errorf("printed %q", s)
		}
	}
	if Secret(value).Reveal() != value {
		t.Error("a revealed secret has another value")
	}
}

func TestSecret_tokenSourceAndClientPrintNone(t *testing.T) {
	t.Parallel()
	a := newAPI(t, reply(200, onePage))
	c := a.client(t)
	if _, err := batchIDs(c.DeviceBatches(t.Context(), testCustomer, nil)); err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{c, c.tokens, a.credentials()} {
		for _, verb := range []string{"%v", "%+v", "%#v"} {
			if s := fmt.Sprintf(verb, v); strings.Contains(s, testSecret) || strings.Contains(s, "token-1") {
				t.Errorf("%T printed with %s: %s", v, verb, s)
			}
		}
	}
}

func TestCloudNamed_knowsTheFourClouds(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"global", "usgov", "china", "germany"} {
		c, ok := CloudNamed(name)
		if !ok || c.Scope != c.APIURL+"/.default" || !strings.HasPrefix(c.AuthorityURL, "https://login.") {
			t.Errorf("%s: %+v, %v", name, c, ok)
		}
		if partner := strings.HasPrefix(c.APIURL, "https://partner.partnercenterapi."); partner != (name == "china") {
			t.Errorf("%s: API %s", name, c.APIURL)
		}
	}
	if _, ok := CloudNamed("Global"); ok {
		t.Error("a cloud of another name is known")
	}
}

func TestSecret_hideTakesOutEveryWayToWriteIt(t *testing.T) {
	t.Parallel()
	const secret = Secret("a~b+c/d=e&f%g<h>\"i\\j k")
	inJSON, err := json.Marshal(secret.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"client_secret": {secret.Reveal()}}.Encode()
	for _, text := range []string{
		secret.Reveal(), form, strings.ToLower(form), url.PathEscape(secret.Reveal()), string(inJSON),
		fmt.Sprintf("%q", secret.Reveal()),
		html.EscapeString(secret.Reveal()), secret.Reveal() + secret.Reveal(),
	} {
		got := secrets{secret}.redact("before " + text + " after")
		left := strings.NewReplacer("[redacted]", "", "before", "", "after", "", "client_secret=", "", `"`, "").Replace(got)
		if strings.TrimSpace(left) != "" || !strings.Contains(got, "[redacted]") {
			t.Errorf("%s became %s", text, got)
		}
	}
}

func TestSecrets_areHiddenWhateverTheyShare(t *testing.T) {
	t.Parallel()
	tests := []struct {
		secrets    secrets
		text, want string
	}{
		{nil, "nothing", "nothing"},
		{secrets{""}, "nothing", "nothing"},
		{secrets{"t", "s", "te"}, "https://test", "https://test"},
		{secrets{"t", "7"}, "t, 't' (7) or client_secret=t&x=77", "[redacted], '[redacted]' ([redacted]) or client_secret=[redacted]&x=77"},
		{secrets{"redacted", "[", "x"}, "x [redacted]", "[redacted] [redacted]]"},
		{secrets{"key", "a key of mine", "key"}, "a key of mine, key", "[redacted], [redacted]"},
		{secrets{"abcd", "cdef"}, "abcdef", "[redacted]"},
		{secrets{"abab"}, "ababab!", "[redacted]!"},
		{secrets{"é"}, "né é\xe9 é", "né é\xe9 [redacted]"},
		{secrets{"éèà"}, "néèà\xe9\xc3", "n[redacted]\xe9\xc3"},
	}
	for _, tt := range tests {
		if got := tt.secrets.redact(tt.text); got != tt.want {
			t.Errorf("%q without %d secrets is %q, want %q", tt.text, len(tt.secrets), got, tt.want)
		}
	}
}
