package partnercenter

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

const maxSecretFile = 64 << 10

// ParseSecret returns a client secret without the line break at the end of its text. Its errors say what to do about it.
func ParseSecret(text string) (Secret, error) {
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	switch {
	case strings.TrimSpace(text) == "":
		return "", errors.New("holds no secret; put the application's client secret there")
	case strings.ContainsAny(text, "\r\n"):
		return "", errors.New("holds more than one line; leave nothing but the client secret")
	}
	return Secret(text), nil
}

// readSecret reads a file that holds a client secret and nothing else. Its errors show nothing of what is in the file.
func readSecret(path string) (Secret, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading the client secret: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSecretFile))
	if err != nil {
		return "", fmt.Errorf("reading the client secret: %w", err)
	}
	secret, err := ParseSecret(string(data))
	if err != nil {
		return "", fmt.Errorf("reading the client secret: %s %w", path, err)
	}
	return secret, nil
}
