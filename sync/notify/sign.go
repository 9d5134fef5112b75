package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"partnersync/sync/partnercenter"
)

// ParseKey reads a secret of Standard Webhooks (https://www.standardwebhooks.com): whsec_ and 24 to 64 bytes in
// base64. The error shows nothing of the secret.
func ParseKey(secret partnercenter.Secret) ([]byte, error) {
	encoded, ok := strings.CutPrefix(secret.Reveal(), "whsec_")
	if !ok {
		return nil, errors.New("does not begin with whsec_")
	}
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	switch {
	case err != nil || strings.ContainsAny(encoded, "\r\n"):
		return nil, errors.New("is no base64 after whsec_")
	case len(key) < 24 || len(key) > 64:
		return nil, errors.New("does not hold 24 to 64 bytes")
	}
	return key, nil
}

// sign sets the headers of Standard Webhooks, by which a receiver that knows a key can verify that body is ours and
// recent.
func sign(h http.Header, keys []partnercenter.Secret, id string, at time.Time, body []byte) error {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", timestamp)
	var signatures []string
	for _, secret := range keys {
		key, err := ParseKey(secret)
		if err != nil {
			return errors.New("signing: the secret " + err.Error())
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	if len(signatures) > 0 {
		h.Set("webhook-signature", strings.Join(signatures, " "))
	}
	return nil
}
