package partnercenter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
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
		printed = append(printed, fmt.Sprintf(verb, Secret(value)), fmt.Sprintf(verb, holder), fmt.Sprintf(verb, []Secret{value}))
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
	for _, v := range []any{c, *c, c.tokens, a.credentials()} {
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
