package partnercenter

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
)

// utf16File is a text as PowerShell writes it, in either order of bytes.
func utf16File(text string, order binary.AppendByteOrder) []byte {
	data := order.AppendUint16(nil, 0xfeff)
	for _, unit := range utf16.Encode([]rune(text)) {
		data = order.AppendUint16(data, unit)
	}
	return data
}

func TestReadSecretFile(t *testing.T) {
	t.Parallel()
	der := append([]byte{0x30, 0x82, 1, 0}, bytes.Repeat([]byte{2, 1, 0}, 90)...)
	pfx := append([]byte{0x30, 0x82, 1, 0, 2, 1, 3}, bytes.Repeat([]byte{0xfe}, 250)...)
	for _, c := range []struct {
		name          string
		content       []byte
		want, mistake string
	}{
		{"plain", []byte("hush\n"), "hush\n", ""},
		{"a byte-order mark", []byte("\xef\xbb\xbfhush\r\n"), "hush\n", ""},
		{"UTF-16", utf16File("hush 💡\r\n", binary.LittleEndian), "hush 💡\n", ""},
		{"UTF-16, the other way round", utf16File("hush\r\n", binary.BigEndian), "hush\n", ""},
		{"UTF-16 without a byte-order mark", utf16File("hush", binary.LittleEndian)[2:], "", "iconv -f UTF-16LE -t UTF-8"},
		{"Latin-1", []byte("hush caf\xe9"), "", "iconv -f WINDOWS-1252 -t UTF-8"},
		{"PFX", pfx, "", "it is a PFX (PKCS #12) file; convert it to PEM: openssl pkcs12"},
		{"DER", der, "", "it is in DER; convert it to PEM: openssl x509 -inform DER"},
		{"a sequence that is cut short", []byte{0x30, 0x82}, "", "it is in DER"},
		{"digits", []byte("00"), "00", ""},
		{"empty", nil, "", ""},
		{"too large", bytes.Repeat([]byte("x"), maxSecretFile+1), "", "it is larger than 1048576 bytes"},
	} {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadSecretFile(path)
		if got != c.want || (err == nil) != (c.mistake == "") || err != nil && !strings.Contains(err.Error(), c.mistake) {
			t.Errorf("%s: %q, %v, want %q, %s", c.name, got, err, c.want, c.mistake)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v shows what is in the file", c.name, err)
		}
	}
	if _, err := ReadSecretFile("/nowhere/hush"); !os.IsNotExist(err) || strings.Contains(err.Error(), "hush") {
		t.Errorf("a file that is not there: %v", err)
	}
}

// Whatever Windows' tools make of a file, the sign-in is the same.
func TestReadCertificate_asWindowsWritesIt(t *testing.T) {
	t.Parallel()
	own := newTestCertificate(t)
	text := strings.ReplaceAll(pemOf("CERTIFICATE", own.Raw)+testKeyPEM(), "\n", "\r\n")
	for _, content := range []string{"\ufeff" + text, string(utf16File(text, binary.LittleEndian))} {
		if c, err := ReadCertificate(writeFile(t, "cert.pem", content)); err != nil || !c.NotAfter.Equal(own.NotAfter) {
			t.Errorf("got %v, %v", c, err)
		}
	}
	for _, content := range []string{"\ufeffhush\r\n", string(utf16File("hush\n", binary.BigEndian)), "hush\r"} {
		if secret, err := readSecret(writeFile(t, "secret", content)); err != nil || secret.Reveal() != "hush" {
			t.Errorf("%q: got %q, %v", content, secret.Reveal(), err)
		}
	}
}
