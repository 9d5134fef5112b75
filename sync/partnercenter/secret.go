package partnercenter

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Secret is a string that nothing prints: a client secret or an access token. Formatting, logging and marshalling it
// give "[redacted]"; only [Secret.Reveal] gives the value. (fmt cannot call methods on unexported struct fields: keep
// a Secret in exported ones, or out of structs that are printed.)
type Secret string

const redacted = "[redacted]"

// Reveal returns the value, for the one place that sends it.
func (s Secret) Reveal() string { return string(s) }

// secrets are what a server was sent and may echo.
type secrets []Secret

// shortSecret is the length below which a secret is taken out only where it is no part of a longer word: it protects
// nothing, and few words of an error would be left.
const shortSecret = 4

// redact returns text without the secrets, however they are written. It looks for all of them in the original text: one
// may be part of another, overlap it, or be so short that it is part of "[redacted]".
func (all secrets) redact(text string) string {
	secret := make([]bool, len(text)) // for each byte, whether it belongs to one
	for _, s := range all {
		if len(s) > len(text) {
			continue // it takes at least as many bytes in any form
		}
		for _, form := range s.forms() {
			for from := 0; ; from++ {
				i := strings.Index(text[from:], form)
				if i < 0 {
					break
				}
				from += i
				if len(s) < shortSecret && isPartOfWord(text, from, from+len(form)) {
					continue
				}
				for j := range len(form) {
					secret[from+j] = true
				}
			}
		}
	}
	var b strings.Builder
	for i := range len(text) {
		switch {
		case !secret[i]:
			b.WriteByte(text[i])
		case i == 0 || !secret[i-1]:
			b.WriteString(redacted)
		}
	}
	return b.String()
}

// isPartOfWord reports whether the word that text[from:to] begins or ends with goes on beyond it.
func isPartOfWord(text string, from, to int) bool {
	within := func(i int) bool { return i > 0 && i < len(text) && isWordByte(text[i-1]) && isWordByte(text[i]) }
	return within(from) || within(to)
}

func isWordByte(b byte) bool {
	return b >= utf8.RuneSelf || '0' <= b && b <= '9' || 'a' <= b|0x20 && b|0x20 <= 'z'
}

// forms returns the ways in which a server may echo the secret: as it is, or as HTML forms, URLs, JSON, HTML and Go's
// own errors escape it; none for an empty one.
func (s Secret) forms() []string {
	if s == "" {
		return nil
	}
	plain := string(s)
	inJSON, _ := json.Marshal(plain)
	quoted := strconv.Quote(plain)
	query := url.QueryEscape(plain)
	all := []string{
		plain, query, lowerEscapes(query), url.PathEscape(plain), html.EscapeString(plain),
		string(inJSON[1 : len(inJSON)-1]), quoted[1 : len(quoted)-1],
	}
	slices.Sort(all)
	return slices.Compact(all) // most secrets have only one
}

// lowerEscapes returns the same URL escapes with lower-case digits.
func lowerEscapes(s string) string {
	return escape.ReplaceAllStringFunc(s, strings.ToLower)
}

var escape = regexp.MustCompile("%[0-9A-F]{2}")

// String returns "[redacted]".
func (s Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (s Secret) GoString() string { return redacted }

// Format writes "[redacted]" whatever the verb, %x and %q included.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue returns "[redacted]".
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]".
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns "[redacted]" as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalYAML returns "[redacted]".
func (s Secret) MarshalYAML() (any, error) { return redacted, nil }

const maxSecretFile = 1 << 20

// ReadSecretFile returns the text of a file that holds a secret, as UTF-8 with plain line feeds. What Windows' tools
// write is understood: UTF-16, a byte-order mark, carriage returns. Its errors say what to do; they neither show
// anything of the content nor repeat the path.
func ReadSecretFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", withoutPath(err)
	}
	defer file.Close()
	return ReadSecret(file)
}

// ReadSecret is ReadSecretFile of what can be read already.
func ReadSecret(r io.Reader) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxSecretFile+1))
	switch {
	case err != nil:
		return "", withoutPath(err)
	case len(data) > maxSecretFile:
		return "", fmt.Errorf("it is larger than %d bytes", maxSecretFile)
	}
	return decodeText(data)
}

func withoutPath(err error) error {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return pathError.Err
	}
	return err
}

// decodeText returns the text that the bytes of a file stand for.
func decodeText(data []byte) (string, error) {
	var text string
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		text = decodeUTF16(data[2:], binary.LittleEndian)
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		text = decodeUTF16(data[2:], binary.BigEndian)
	case len(data) > 1 && data[0] == 0x30 && data[1] >= 0x80: // a sequence of ASN.1; no UTF-8 begins so
		return "", asn1File(data)
	case !utf8.Valid(data):
		return "", errors.New("it is text in an encoding other than UTF-8; " +
			"convert it: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW")
	default:
		text = strings.TrimPrefix(string(data), "\ufeff")
	}
	if strings.Contains(text, "\x00") {
		return "", errors.New("it holds NUL bytes, as UTF-16 without a byte-order mark does; " +
			"convert it: iconv -f UTF-16LE -t UTF-8 OLD > NEW")
	}
	return strings.ReplaceAll(text, "\r\n", "\n"), nil
}

func decodeUTF16(data []byte, order binary.ByteOrder) string {
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = order.Uint16(data[2*i:])
	}
	return string(utf16.Decode(units))
}

// asn1File is the error for a certificate that is not in PEM. A PFX begins with its version, 3.
func asn1File(data []byte) error {
	content := data[min(len(data), 2+int(data[1]&0x7f)):]
	if bytes.HasPrefix(content, []byte{2, 1, 3}) {
		return errors.New("it is a PFX (PKCS #12) file; convert it to PEM: openssl pkcs12 -in OLD -out NEW -nodes")
	}
	return errors.New("it is in DER; convert it to PEM: openssl x509 -inform DER -in OLD -out NEW, " +
		"or openssl pkey for a private key")
}
