package partnercenter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const maxSecretFile = 1 << 20

// ReadSecretFile returns the text of a file that holds a secret, as UTF-8 with plain line feeds. What Windows' tools write
// is understood: UTF-16, a byte-order mark, carriage returns. Its errors say what to do; they neither show anything of the
// content nor repeat the path.
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
