package main

import (
	"strings"

	"partnersync/sync/partnercenter"
)

// passwordFile reads the one line of the file that the key names; "" if there is no such key.
func (s *section) passwordFile(key string) partnercenter.Secret {
	v, ok := s.scalar(key)
	if !ok {
		return ""
	}
	data, err := readAtMost(v.text, 64<<10)
	if err != nil {
		v.wrong("%s cannot be read: %v; put a password there, or remove the line", v, err)
		return ""
	}
	v.warnIfExposed()
	password := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	switch {
	case strings.TrimSpace(password) == "":
		v.wrong("holds no password; put one there, or remove the line")
	case strings.ContainsAny(password, "\r\n"):
		v.wrong("holds more than one line; leave nothing but the password")
	}
	return partnercenter.Secret(password)
}
