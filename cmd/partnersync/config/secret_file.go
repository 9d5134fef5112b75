package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"partnersync/sync/partnercenter"
)

// secretFile reads the file that the value names, and warns if others can read it too. It reports a file that cannot be
// read, with the fix. What is not needed is not read.
func (v scalar) secretFile(fix string) (text string, ok bool) {
	if !v.doc.needed(v.key) {
		return "", false
	}
	text, err := partnercenter.ReadSecretFile(v.text)
	if err != nil {
		v.wrong("%s cannot be read: %v; %s", v.path(), err, fix)
		return "", false
	}
	v.warnIfExposed()
	return text, true
}

// clientSecretFile reads the client secret in the file that the value names.
func (v scalar) clientSecretFile() partnercenter.Secret {
	text, ok := v.secretFile("put the application's client secret there")
	if !ok {
		return ""
	}
	return v.clientSecret(text)
}

// clientSecret returns the client secret that the text holds, and reports text that cannot be one.
func (v scalar) clientSecret(text string) partnercenter.Secret {
	secret, err := partnercenter.ParseSecret(text)
	if err != nil {
		v.wrong("%v", err)
	}
	return secret
}

// minPassword is how many characters a password has that people, who may be anywhere, cannot guess.
const minPassword = 12

// passwordFile reads the single line of the file that the key names; "" if there is no such key.
func (s *section) passwordFile(key string) partnercenter.Secret {
	v, ok := s.scalar(key)
	if !ok {
		return ""
	}
	text, ok := v.secretFile("put a password there, or remove the line")
	if !ok {
		return ""
	}
	password := strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	switch {
	case strings.TrimSpace(password) == "":
		v.wrong("holds no password; put one there, or remove the line")
	case strings.ContainsAny(password, "\r\n"):
		v.wrong("holds more than one line; leave nothing but the password")
	case utf8.RuneCountInString(password) < minPassword:
		v.wrong("holds a password of less than %d characters, which can be guessed; "+
			"openssl rand -base64 18 makes a good one", minPassword)
	}
	return partnercenter.Secret(password)
}

// path is the name of a file that cannot be read, for a message: not if it is rather the secret itself.
func (v scalar) path() string {
	if _, err := os.Stat(v.text); err != nil && looksSecret(v.text) && !strings.Contains(v.raw, "${") {
		return "the value (not shown, since it looks like a secret and not like a file's name)"
	}
	return v.String()
}

// looksSecret reports whether a text looks like a secret rather than a file's name: names have a / or a dot, and are
// made of words.
func looksSecret(text string) bool {
	text = strings.ReplaceAll(text, `\`, "/")
	if !strings.ContainsAny(text, "/.") {
		return true
	}
	for name := range strings.SplitSeq(text, "/") {
		upper, lower := strings.ContainsFunc(name, unicode.IsUpper), strings.ContainsFunc(name, unicode.IsLower)
		if len(name) >= 12 && upper && lower && strings.ContainsAny(name, "0123456789") {
			return true
		}
		if len(name) > 2 && strings.ContainsAny(name, "~!@#$%^&*()=+|<>?;:'\"") {
			return true
		}
	}
	return false
}

// isSecret notes that the value is a secret. One that does not come from the environment stands in the file itself.
func (v scalar) isSecret() { v.doc.holdsSecret = v.doc.holdsSecret || !strings.Contains(v.raw, "${") }

// warnOfExposure warns of a configuration that holds secrets, and of the key of users' tokens, if others can read them.
func (s *section) warnOfExposure(c *Config) {
	if wrong := Exposure(s.doc.path); wrong != "" && s.doc.holdsSecret {
		s.doc.warn(position{}, "%s holds secrets and %s", s.doc.path, wrong)
	}
	ofUser := func(p Partner) bool { return p.AppUser }
	if wrong := Exposure(c.TokenKeyFile); wrong != "" && slices.ContainsFunc(c.Partners, ofUser) {
		s.doc.warn(position{key: "token_key_file"}, "%q %s", c.TokenKeyFile, wrong)
	}
}

// tokenKeyFile reads the name of the file with the key of users' tokens, which login may still have to make.
func (s *section) tokenKeyFile(key string) string {
	path := s.text(key, "partnersync.key")
	if strings.HasPrefix(strings.ToUpper(path), "AGE-SECRET-KEY-") {
		s.doc.mistake(s.entries[key].position, "is the key itself and not the name of its file; put it there")
		return ""
	}
	return path
}

// warnIfExposed warns of a secret file that others can read.
func (v scalar) warnIfExposed() {
	if wrong := Exposure(v.text); wrong != "" {
		v.warn("%q %s", v.text, wrong)
	}
}

const (
	groupRead  fs.FileMode = 0o040
	othersRead fs.FileMode = 0o004
)

// exposure says who can read a secret file besides its owner, and what to do about it; "" if nobody can. mode is that
// of the file itself, behind any link; owned is whether this process's user owns it.
//
// A group's right to read is intended if another user, such as root, owns the file: that is how the program reads it.
// And files that Kubernetes mounts can be read by everybody, since it cannot know the user, but a container has no
// other users.
func exposure(path string, mode fs.FileMode, owned bool) string {
	switch {
	case mode&(groupRead|othersRead) == 0, inKubernetesVolume(path):
		return ""
	case mode&othersRead != 0 && owned:
		return "can be read by every user of this machine; take that away with chmod 600"
	case mode&othersRead != 0:
		return "can be read by every user of this machine; let its owner take that away: " +
			"chmod 600, or 640 with a group of partnersync's alone"
	case owned:
		return "can be read by its group; take that away with chmod 600"
	}
	return ""
}

// inKubernetesVolume reports whether a file is in a volume that the kubelet fills: its files are links to ..data/NAME,
// and that is a link to a directory named after the time, such as ..2026_01_31_18_00_00.123456789.
func inKubernetesVolume(path string) bool {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	folders := strings.Split(filepath.Dir(target), string(filepath.Separator))
	return slices.ContainsFunc(folders, func(name string) bool { return strings.HasPrefix(name, "..2") })
}
