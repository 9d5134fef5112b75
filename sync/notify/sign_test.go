package notify

import (
	"encoding/base64"
	"net/http"
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
