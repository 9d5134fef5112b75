package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"partnersync/sync/partnercenter"
)

// ReadSecretFile reads a file that holds a secret. Its error does not repeat the path.
func ReadSecretFile(path string) ([]byte, error) { return readAtMost(path, 64<<10) }

// readAtMost reads a file of at most so many bytes. Its error leaves the path to the caller's message, which shows it
// as it is written in the configuration.
func readAtMost(path string, maximum int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maximum+1))
	switch {
	case err != nil:
		return nil, withoutPath(err)
	case int64(len(data)) > maximum:
		return nil, fmt.Errorf("it is larger than %d bytes", maximum)
	}
	return data, nil
}

func withoutPath(err error) error {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return pathError.Err
	}
	return err
}

// secretFile reads the file that the value names, and warns if others can read it too. It reports a file that cannot be
// read, with the fix. What is not needed is not read.
func (v scalar) secretFile(fix string) (text string, ok bool) {
	if !v.doc.needed(v.key) {
		return "", false
	}
	data, err := ReadSecretFile(v.text)
	if err != nil {
		v.wrong("%s cannot be read: %v; %s", v, err, fix)
		return "", false
	}
	v.warnIfExposed()
	return string(data), true
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
	}
	return partnercenter.Secret(password)
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
