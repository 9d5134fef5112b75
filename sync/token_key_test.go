package sync

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func newTestKey(t *testing.T) *TokenKey {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := NewTokenKey(path); err != nil {
		t.Fatal(err)
	}
	key, err := ReadTokenKey(path)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestNewTokenKey_isOursAloneAndReplacesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if err := NewTokenKey(path); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	if err := NewTokenKey(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second time: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the key was replaced, error %v", err)
	}
}

func TestReadTokenKey_refusesWhatIsNone(t *testing.T) {
	t.Parallel()
	good := filepath.Join(t.TempDir(), "key")
	if err := NewTokenKey(good); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, content string }{
		{"empty", ""}, {"text", "a secret"}, {"damaged", string(text[:len(text)-4])}, {"two", string(text) +
			string(text)},
	}
	for _, tt := range tests {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadTokenKey(path)
		if err == nil || !strings.Contains(err.Error(), "login --new-key") || strings.Contains(err.Error(), "SECRET") ||
			strings.Contains(err.Error(), "a secret") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, err := ReadTokenKey("/nowhere/key"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestTokenKey_opensWhatItSealedForThatPartner(t *testing.T) {
	t.Parallel()
	key, other := newTestKey(t), newTestKey(t)
	data, err := key.seal("contoso", "1.A-token")
	if err != nil || bytes.Contains(data, []byte("1.A-token")) {
		t.Fatalf("sealed %q, error %v", data, err)
	}
	if got, err := key.open("contoso", data); err != nil || got.Reveal() != "1.A-token" {
		t.Errorf("opened %q, error %v", got.Reveal(), err)
	}
	tests := []struct {
		name, partner, want string
		key                 *TokenKey
		data                []byte
	}{
		{"another key", "contoso", "another key", other, data},
		{"another partner", "fabrikam", "another partner's", key, data},
		{"damaged", "contoso", "damaged", key, data[:len(data)-1]},
		{"nothing", "contoso", "another key", key, nil},
	}
	for _, tt := range tests {
		if _, err := tt.key.open(tt.partner, tt.data); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestTokenKey_isNotPrinted(t *testing.T) {
	t.Parallel()
	key := newTestKey(t)
	u := UserTokens{Partner: "contoso", Key: key}
	if shown := fmt.Sprintf("%v %+v %#v %+v %#v", key, *key, key, u, u); strings.Contains(shown, "AGE") {
		t.Error(shown)
	}
}

func FuzzTokenKey_open(f *testing.F) {
	path := filepath.Join(f.TempDir(), "key")
	if err := NewTokenKey(path); err != nil {
		f.Fatal(err)
	}
	key, err := ReadTokenKey(path)
	if err != nil {
		f.Fatal(err)
	}
	good, err := key.seal("contoso", "token")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, err := key.open("contoso", data); err == nil && !bytes.Equal(data, good) {
			t.Errorf("opened %q", got.Reveal())
		}
	})
}
