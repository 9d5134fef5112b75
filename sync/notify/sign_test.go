package notify

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/sync/partnercenter"
)

// The example of the specification's reference implementations.
const (
	exampleKey       = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	exampleID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	exampleTime      = 1614265330
	exampleBody      = `{"test": 2432232314}`
	exampleSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

func TestSign_asStandardWebhooksDoes(t *testing.T) {
	t.Parallel()
	other := partnercenter.Secret("whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 32)))
	tests := []struct {
		name string
		keys []partnercenter.Secret
		want string // whole, or the beginning where there is a second signature
	}{
		{"no key", nil, ""},
		{"one key", []partnercenter.Secret{exampleKey}, exampleSignature},
		{"two keys", []partnercenter.Secret{exampleKey, other}, exampleSignature + " v1,"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			if err := sign(h, tt.keys, exampleID, time.Unix(exampleTime, 0), []byte(exampleBody)); err != nil {
				t.Fatal(err)
			}
			got := h.Get("Webhook-Signature")
			if !strings.HasPrefix(got, tt.want) || len(tt.keys) < 2 && got != tt.want {
				t.Errorf("signature %s, want %s", got, tt.want)
			}
			if diff := cmp.Diff([]string{exampleID, "1614265330"},
				[]string{h.Get("Webhook-Id"), h.Get("Webhook-Timestamp")}); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestParseKey_refusesWhatIsNone(t *testing.T) {
	t.Parallel()
	of := func(n int) string { return "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for _, secret := range []string{"", "hunter2", "whsec_", "whsec_hunter2!", of(23), of(65), of(32) + "\n",
		"WHSEC_" + of(32)[6:]} {
		if _, err := ParseKey(partnercenter.Secret(secret)); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", secret, err)
		}
	}
	for _, n := range []int{24, 64} {
		if key, err := ParseKey(partnercenter.Secret(of(n))); err != nil || len(key) != n {
			t.Errorf("%d bytes, error %v, want %d", len(key), err, n)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	for _, seed := range []string{exampleKey, "whsec_", "", "whsec_AAAA\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, secret string) {
		key, err := ParseKey(partnercenter.Secret(secret))
		if err == nil && secret != "whsec_"+base64.StdEncoding.EncodeToString(key) {
			t.Errorf("%q reads as %x", secret, key)
		}
	})
}

// The sample in deploy/webhooks.md takes what is signed, and refuses the rest without failing.
func TestSign_documentedReceiver(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("allowed: python3 is not installed")
	}
	document, err := os.ReadFile("../../deploy/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	_, sample, _ := strings.Cut(string(document), "```python\n")
	sample, _, found := strings.Cut(sample, "```")
	if !found {
		t.Fatal("there is no sample")
	}
	tests := []struct {
		name string
		age  time.Duration // of the attempt
		edit func(h http.Header)
		want string
	}{
		{"as it is sent", 0, func(http.Header) {}, "True"},
		{"with an old key's signature first", 0, func(h http.Header) {
			h.Set("webhook-signature", "v1,bm9uZQ== "+h.Get("webhook-signature"))
		}, "True"},
		{"late", time.Hour, func(http.Header) {}, "False"},
		{"another id", 0, func(h http.Header) { h.Set("webhook-id", "other") }, "False"},
		{"no id", 0, func(h http.Header) { h.Del("webhook-id") }, "False"},
		{"no time", 0, func(h http.Header) { h.Del("webhook-timestamp") }, "False"},
		{"a time that is none", 0, func(h http.Header) { h.Set("webhook-timestamp", "now") }, "False"},
		{"no signature", 0, func(h http.Header) { h.Del("webhook-signature") }, "False"},
		{"an empty signature", 0, func(h http.Header) { h.Set("webhook-signature", "") }, "False"},
		{"a signature of other characters", 0, func(h http.Header) { h.Set("webhook-signature", "v1,ü") }, "False"},
		{"nothing", 0, func(h http.Header) { clear(h) }, "False"},
	}
	script, want := sample, ""
	for _, tt := range tests {
		h := http.Header{}
		at := time.Now().Add(-tt.age)
		if err := sign(h, []partnercenter.Secret{exampleKey}, exampleID, at, []byte(exampleBody)); err != nil {
			t.Fatal(err)
		}
		tt.edit(h)
		names := map[string]string{}
		for name := range h {
			names[strings.ToLower(name)] = h.Get(name)
		}
		headers, err := json.Marshal(names)
		if err != nil {
			t.Fatal(err)
		}
		script += fmt.Sprintf("print(%q, verify(%q, %s, b'%s'))\n", tt.name, exampleKey, headers, exampleBody)
		want += tt.name + " " + tt.want + "\n"
	}
	got, err := exec.CommandContext(t.Context(), python, "-c", script).CombinedOutput()
	if diff := cmp.Diff(want, string(got)); diff != "" || err != nil {
		t.Errorf("error %v, (-want +got)\n%s", err, diff)
	}
}
