package sync

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/age"

	"partnersync/sync/partnercenter"
)

// TokenKey seals the refresh tokens of users, so that a dump of the database gives none away.
type TokenKey struct{ identity *age.X25519Identity }

// NewTokenKey makes a key and writes it to a file that nobody else can read. A file that exists already is left alone,
// and is an error.
func NewTokenKey(path string) error {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return fmt.Errorf("making a token key: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("making a token key: %w", err)
	}
	const comment = "# seals partnersync's refresh tokens; keep it apart from the database's backups\n"
	_, err = file.WriteString(comment + identity.String() + "\n")
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(fmt.Errorf("writing the token key: %w", err), os.Remove(path))
	}
	return nil
}

// ReadTokenKey reads a file written by NewTokenKey or age-keygen. Its errors show nothing of what is in the file.
func ReadTokenKey(path string) (*TokenKey, error) {
	text, err := partnercenter.ReadSecretFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the token key: %s: %w; partnersync login --new-key makes one", path, err)
	}
	identities, err := age.ParseIdentities(strings.NewReader(text))
	if err != nil || len(identities) != 1 {
		return nil, fmt.Errorf("reading the token key %s: it does not hold one age identity; "+
			"partnersync login --new-key makes such a file", path)
	}
	identity, ok := identities[0].(*age.X25519Identity)
	if !ok {
		return nil, fmt.Errorf("reading the token key %s: it is no X25519 identity of age", path)
	}
	return &TokenKey{identity}, nil
}

// sealed is what is sealed. It names the partner, so that a token put in the place of another partner's is not used
// there.
type sealed struct {
	Partner string `json:"partner"`
	Token   string `json:"token"`
}

func (k *TokenKey) seal(partner string, token partnercenter.Secret) ([]byte, error) {
	text, err := json.Marshal(sealed{partner, token.Reveal()})
	if err != nil {
		return nil, fmt.Errorf("sealing the refresh token: %w", err)
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, k.identity.Recipient())
	if err == nil {
		_, err = w.Write(text)
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("sealing the refresh token: %w", err)
	}
	return out.Bytes(), nil
}

func (k *TokenKey) open(partner string, data []byte) (partnercenter.Secret, error) {
	r, err := age.Decrypt(bytes.NewReader(data), k.identity)
	if err != nil {
		return "", errors.New("the stored refresh token was sealed with another key than that in token_key_file")
	}
	text, err := io.ReadAll(r)
	var s sealed
	switch {
	case err != nil || json.Unmarshal(text, &s) != nil:
		return "", errors.New("the stored refresh token is damaged")
	case s.Partner != partner:
		return "", errors.New("the stored refresh token is another partner's")
	}
	return partnercenter.Secret(s.Token), nil
}
